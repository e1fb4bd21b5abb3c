/// For tests: a host that speaks AutoNAT v2 both ways, and peers that do not keep to it.
#pragma once

#include "protocols/autonat_v2/client.hpp"
#include "protocols/autonat_v2/exchange.hpp"
#include "protocols/autonat_v2/server.hpp"
#include "swarm/test_node.hpp"
#include "wire/finish.hpp"
#include "wire/frame.hpp"

#include <string>
#include <vector>

namespace pyrsia::autonat_v2 {

inline Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

/// To be stopped before it is destroyed.
struct Node final : autonat_v2::Observer {
  Node(Env& env, std::uint8_t number, const sibling::Config& config = {})
      : node(env, number),
        dialer(node.swarm, {}),
        siblings(node.swarm, config, dialer, Logger("siblings", swarm::kNoLog)),
        server(node.swarm, {}, dialer, siblings, *this, Logger("autonat2", swarm::kNoLog)),
        client(
            node.swarm, {}, [this] { return addresses; }, *this,
            Logger("autonat2", swarm::kNoLog)) {}

  void on_inbound_probe(const InboundProbe& probe) override { inbound.push_back(probe); }
  void on_outbound_probe(const OutboundProbe& probe) override { outbound.push_back(probe); }
  void on_address_result(const AddressResult& result) override { results.push_back(result); }

  Task<> stop() {
    PYRSIA_CO_TRY(co_await client.stop());
    PYRSIA_CO_TRY(co_await siblings.stop());
    co_return co_await node.swarm.stop();
  }

  std::vector<Multiaddr> addresses;
  std::vector<InboundProbe> inbound;
  std::vector<OutboundProbe> outbound;
  std::vector<AddressResult> results;
  swarm::TestNode node;
  Dialer dialer;
  sibling::Siblings siblings;
  Server server;
  Client client;
};

inline Task<std::unique_ptr<Stream>> open_request(Node& client, PeerId server) {
  const std::string protocol(kDialRequestProtocol);
  co_return co_await client.node.swarm.open_stream(std::move(server), protocol);
}

/// Sends `bytes` as a request, pays what is asked, and returns the answer.
inline Task<DialResponse> ask_raw(Node& client, PeerId server, Bytes bytes) {
  PYRSIA_CO_TRY(const auto stream, co_await open_request(client, std::move(server)));
  PYRSIA_CO_TRY(co_await wire::write_frame(*stream, bytes));
  PYRSIA_CO_TRY(auto answer, co_await wire::read_frame(*stream, kMaxReceivedBytes));
  PYRSIA_CO_TRY(auto message, decode(answer));
  if (std::holds_alternative<DialDataRequest>(message)) {
    const DialDataResponse data{kDialDataChunkBytes};
    const auto chunk = encode(data);
    for (int i = 0; i < 25; ++i) PYRSIA_CO_TRY(co_await wire::write_frame(*stream, chunk));
    PYRSIA_CO_TRY(answer, co_await wire::read_frame(*stream, kMaxReceivedBytes));
    PYRSIA_CO_TRY(message, decode(answer));
  }
  const auto* response = std::get_if<DialResponse>(&message);
  if (!response) co_return Errc::protocol_violation;
  PYRSIA_CO_TRY(co_await stream->close_write());
  co_return *response;
}

enum class Payer {
  silent,
  tiny_chunks,  ///< 99 bytes each.
  dripping,     ///< 100 bytes each, one a second.
};

/// The same, but pays like that. Errors: the server hangs up.
inline Task<DialResponse> ask_and_pay(Node& client, PeerId server, Bytes bytes, Payer payer) {
  PYRSIA_CO_TRY(const auto stream, co_await open_request(client, std::move(server)));
  PYRSIA_CO_TRY(co_await wire::write_frame(*stream, bytes));
  PYRSIA_CO_TRY(co_await wire::read_frame(*stream, kMaxReceivedBytes));
  const DialDataResponse data{payer == Payer::tiny_chunks ? std::size_t(99) : std::size_t(100)};
  const auto chunk = encode(data);
  for (int i = 0; i < 1000 && payer != Payer::silent; ++i) {
    PYRSIA_CO_TRY(co_await wire::write_frame(*stream, chunk));
    if (payer == Payer::dripping)
      PYRSIA_CO_TRY(co_await client.node.env.sleep_for(std::chrono::seconds(1)));
  }
  PYRSIA_CO_TRY(const auto answer, co_await wire::read_frame(*stream, kMaxReceivedBytes));
  PYRSIA_CO_TRY(const auto message, decode(answer));
  const auto* response = std::get_if<DialResponse>(&message);
  if (!response) co_return Errc::protocol_violation;
  co_return *response;
}

/// Pays by one frame that is larger than any may be.
inline Task<DialResponse> pay_at_once(Node& client, PeerId server, Bytes bytes) {
  PYRSIA_CO_TRY(const auto stream, co_await open_request(client, std::move(server)));
  PYRSIA_CO_TRY(co_await wire::write_frame(*stream, bytes));
  PYRSIA_CO_TRY(co_await wire::read_frame(*stream, kMaxReceivedBytes));
  const Bytes huge(kMaxDialDataBytes + 1000, 0x1a);
  PYRSIA_CO_TRY(co_await wire::write_frame(*stream, huge));
  PYRSIA_CO_TRY(const auto answer, co_await wire::read_frame(*stream, kMaxReceivedBytes));
  PYRSIA_CO_TRY(const auto message, decode(answer));
  const auto* response = std::get_if<DialResponse>(&message);
  if (!response) co_return Errc::protocol_violation;
  co_return *response;
}

/// Pays the most that can be asked, and goes on until the server ends it.
inline Task<> pay_for_ever(Node& client, PeerId server, Bytes bytes) {
  PYRSIA_CO_TRY(const auto stream, co_await open_request(client, std::move(server)));
  PYRSIA_CO_TRY(co_await wire::write_frame(*stream, bytes));
  const DialDataResponse data{kDialDataChunkBytes};
  const auto chunk = encode(data);
  for (;;) PYRSIA_CO_TRY(co_await wire::write_frame(*stream, chunk));
}

/// Dials the client back as it should, and brings `nonces`, each told by its distance from the
/// right one, then says that all is well. Counts those that are taken.
inline Task<> serve_nonces(Node& server, std::vector<std::uint64_t> nonces, std::size_t& taken,
                           swarm::IncomingStream incoming) {
  auto& swarm = server.node.swarm;
  PYRSIA_CO_TRY(const auto request, co_await receive_request(*incoming.stream));
  swarm::DialRequest dial{.peer = incoming.connection.peer, .addresses = request.addresses};
  dial.is_only_these = dial.is_new_connection = dial.use_new_port = true;
  PYRSIA_CO_TRY(const auto back, co_await swarm.connect(std::move(dial)));
  const std::string protocol(kDialBackProtocol);
  for (const auto distance : nonces) {
    PYRSIA_CO_TRY(const auto stream, co_await swarm.open_stream_on(back.id, protocol));
    const auto sent = co_await send_nonce(*stream, request.nonce + distance);
    taken += sent.has_value();
  }
  const DialResponse response{ResponseStatus::ok, 0, DialStatus::ok};
  co_return co_await respond(*incoming.stream, response);
}

/// A server that says "reached" and has not dialed.
inline Task<> claim_success(swarm::IncomingStream incoming) {
  PYRSIA_CO_TRY(co_await receive_request(*incoming.stream));
  const DialResponse response{ResponseStatus::ok, 0, DialStatus::ok};
  co_return co_await respond(*incoming.stream, response);
}

/// Does what rust's server does.
inline Task<> say_unreachable_of_the_last(swarm::IncomingStream incoming) {
  PYRSIA_CO_TRY(const auto request, co_await receive_request(*incoming.stream));
  const auto last = static_cast<std::uint32_t>(request.addresses.size() - 1);
  const DialResponse response{ResponseStatus::ok, last, DialStatus::dial_error};
  co_return co_await respond(*incoming.stream, response);
}

/// The same as to connections: serves on those that it has accepted, and keeps the one that it has
/// dialed back, on which it says that it serves nothing.
inline Task<> serve_as_rust(Node& server, Node& client, swarm::IncomingStream incoming) {
  auto& swarm = server.node.swarm;
  if (incoming.connection.direction == swarm::Direction::outbound)
    co_return Errc::protocol_violation;
  PYRSIA_CO_TRY(const auto request, co_await receive_request(*incoming.stream));
  swarm::DialRequest dial{.peer = incoming.connection.peer, .addresses = request.addresses};
  dial.is_only_these = dial.is_new_connection = dial.use_new_port = true;
  PYRSIA_CO_TRY(const auto back, co_await swarm.connect(std::move(dial)));
  const std::string protocol(kDialBackProtocol);
  PYRSIA_CO_TRY(const auto stream, co_await swarm.open_stream_on(back.id, protocol));
  PYRSIA_CO_TRY(co_await send_nonce(*stream, request.nonce));
  client.node.swarm.peer_store().set_protocols(server.node.peer(), {});
  for (const auto& each : client.node.swarm.connections_to(server.node.peer()))
    if (each.direction == swarm::Direction::inbound) client.client.on_identified(each, {});
  const DialResponse response{ResponseStatus::ok, 0, DialStatus::ok};
  co_return co_await respond(*incoming.stream, response);
}

inline Task<> hang_up(swarm::IncomingStream incoming) {
  PYRSIA_CO_TRY(co_await receive_request(*incoming.stream));
  co_return co_await wire::finish(*incoming.stream);
}

/// Sends a nonce over any connection that is there.
inline Task<> send_dial_back(swarm::Swarm& swarm, PeerId to, std::uint64_t nonce) {
  const std::string protocol(kDialBackProtocol);
  PYRSIA_CO_TRY(const auto stream, co_await swarm.open_stream(std::move(to), protocol));
  co_return co_await send_nonce(*stream, nonce);
}

/// A server that saves itself the dial.
inline Task<> answer_over_same_connection(swarm::Swarm& swarm, swarm::IncomingStream incoming) {
  PYRSIA_CO_TRY(const auto request, co_await receive_request(*incoming.stream));
  PYRSIA_CO_TRY(co_await send_dial_back(swarm, incoming.connection.peer, request.nonce));
  const DialResponse response{ResponseStatus::ok, 0, DialStatus::ok};
  co_return co_await respond(*incoming.stream, response);
}

}  // namespace pyrsia::autonat_v2
