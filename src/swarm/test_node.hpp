/// For tests: a swarm with TCP that speaks a small protocol.
#pragma once

#include "swarm/swarm.hpp"
#include "transport/tcp/transport.hpp"

#include <array>
#include <string>
#include <vector>

namespace pyrsia::swarm {

inline const LogSink kNoLog;

/// Sends back what comes until the peer closes its side.
inline Task<> echo(IncomingStream incoming) {
  std::array<std::uint8_t, 256> bytes;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await incoming.stream->read_some(bytes));
    if (count == 0) co_return co_await incoming.stream->close_write();
    PYRSIA_CO_TRY(co_await incoming.stream->write_all(BytesView(bytes).first(count)));
  }
}

inline KeyPair test_key(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

/// What an observer heard, in order.
struct Heard final : Observer {
  void on_connected(const ConnectionInfo& info) override { connected.push_back(info); }
  void on_disconnected(const ConnectionInfo& info, Error reason) override {
    disconnected.push_back(info);
    reasons.push_back(reason);
  }
  void on_listen_addresses_changed() override { ++address_changes; }
  void on_protocols_changed() override { ++protocol_changes; }

  std::vector<ConnectionInfo> connected;
  std::vector<ConnectionInfo> disconnected;
  std::vector<Error> reasons;
  int address_changes = 0;
  int protocol_changes = 0;
};

/// A host that echoes on "/echo/1". To be stopped before it is destroyed.
struct TestNode {
  TestNode(Env& e, std::uint8_t number, const Config& config = {},
           const mux::yamux::Config& yamux = {})
      : env(e),
        key(test_key(number)),
        swarm(env, key, config, classifier, Logger("swarm", kNoLog)) {
    transport::tcp::Config tcp_config;
    tcp_config.yamux = yamux;
    auto owned = std::make_unique<transport::tcp::Transport>(env, key, tcp_config);
    tcp = owned.get();
    swarm.add_transport(std::move(owned));
    swarm.handle("/echo/1", ProtocolLimits(), echo);
    swarm.add_observer(heard);
    swarm.start();
  }

  PeerId peer() const { return key.peer_id(); }
  Multiaddr listen(const std::string& address) {
    return swarm.listen(*Multiaddr::parse(address)).value();
  }
  void knows(const TestNode& other, const std::vector<std::string>& addresses) {
    std::vector<Multiaddr> parsed;
    for (const auto& each : addresses) parsed.push_back(*Multiaddr::parse(each));
    swarm.peer_store().add_addresses(other.peer(), parsed, AddressSource::manual, env.now(),
                                     std::chrono::hours(1));
  }

  Env& env;
  KeyPair key;
  AddressClassifier classifier;
  Heard heard;
  transport::tcp::Transport* tcp = nullptr;
  Swarm swarm;
};

inline Task<ConnectionInfo> connect(TestNode& from, PeerId to) {
  DialRequest request{.peer = std::move(to), .addresses = {}};
  co_return co_await from.swarm.connect(std::move(request));
}

/// Sends `text` over a new echo stream; returns what came back.
inline Task<std::string> ask(TestNode& from, PeerId to, std::string text) {
  PYRSIA_CO_TRY(auto stream, co_await from.swarm.open_stream(std::move(to), "/echo/1"));
  PYRSIA_CO_TRY(co_await stream->write_all(as_bytes(text)));
  PYRSIA_CO_TRY(co_await stream->close_write());
  std::string answer;
  std::array<std::uint8_t, 64> bytes;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream->read_some(bytes));
    if (count == 0) co_return answer;
    answer += as_text(BytesView(bytes).first(count));
  }
}

}  // namespace pyrsia::swarm
