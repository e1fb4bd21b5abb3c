/// For tests: two hosts that speak QUIC.
#pragma once

#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"
#include "sim/host.hpp"
#include "sim/network.hpp"
#include "sim/two_hosts.hpp"
#include "transport/quic/transport.hpp"

#include <array>
#include <deque>
#include <memory>
#include <string>

namespace pyrsia::transport::quic {

inline KeyPair test_key(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

inline Multiaddr address(const std::string& text) {
  return *Multiaddr::parse(text);
}

/// Keeps the streams that a peer opens until somebody takes them.
class StreamQueue final : public mux::StreamSink {
 public:
  explicit StreamQueue(Env& env) : arrived_(env.executor()) {}

  void on_stream(std::unique_ptr<Stream> stream) override {
    streams_.push_back(std::move(stream));
    arrived_.notify();
  }
  Task<std::unique_ptr<Stream>> next() {
    while (streams_.empty()) PYRSIA_CO_TRY(co_await arrived_.wait());
    auto stream = std::move(streams_.front());
    streams_.pop_front();
    co_return stream;
  }
  std::size_t size() const { return streams_.size(); }

 private:
  std::deque<std::unique_ptr<Stream>> streams_;
  Event arrived_;
};

/// One end of a connection, being served. To be ended by finish().
class End {
 public:
  End(Env& env, Connection made)
      : connection(std::move(made)), streams(env), tasks_(env), serving_(true) {
    tasks_.spawn(serve());
  }

  Task<> finish() {
    connection.muxer->close(mux::GoAway::normal);
    co_return co_await tasks_.join();
  }
  Task<> wait_for_end() { co_return co_await tasks_.wait_until_empty(); }
  bool is_serving() const { return serving_; }
  Error reason() const { return reason_; }

  Connection connection;
  StreamQueue streams;

 private:
  Task<> serve() {
    const auto end = co_await connection.muxer->run(streams);
    reason_ = end.error();
    serving_ = false;
    co_return ok;
  }

  TaskGroup tasks_;
  bool serving_;
  Error reason_;
};

inline Task<Connection> accept_one(Listener& listener) {
  PYRSIA_CO_TRY(auto incoming, co_await listener.accept());
  co_return co_await incoming->upgrade();
}

/// A and B, 50 ms apart; B listens on port 4001.
struct Peers {
  explicit Peers(std::uint64_t seed = 1, const Config& config = {})
      : world(seed), a(host_a, test_key(1), config), b(host_b, test_key(2), config) {
    net.set_default_path(sim::delay_of(std::chrono::milliseconds(50)));
    listener = b.listen(address("/ip4/0.0.0.0/udp/4001/quic-v1")).value();
  }
  ~Peers() { stop(); }

  void stop() {
    if (end_a) world.run(end_a->finish());
    if (end_b) world.run(end_b->finish());
    end_a.reset();
    end_b.reset();
    listener.reset();
    world.run(a.stop(), b.stop());
  }

  Task<Connection> dial_b() {
    co_return co_await a.dial(address("/ip4/5.6.7.8/udp/4001/quic-v1"), test_key(2).peer_id(),
                              DialOptions());
  }
  /// Connects A to B. False if it fails.
  bool connect() {
    auto [dialed, accepted] = world.run(dial_b(), accept_one(*listener));
    if (!dialed || !accepted) return false;
    end_a = std::make_unique<End>(host_a, *std::move(dialed));
    end_b = std::make_unique<End>(host_b, *std::move(accepted));
    return true;
  }

  sim::World world;
  sim::Network net{world};
  sim::SimHost& host_a = net.add_host({"a", {"1.2.3.4", "2600::1"}});
  sim::SimHost& host_b = net.add_host({"b", {"5.6.7.8", "2600::2"}});
  Transport a;
  Transport b;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<End> end_a;
  std::unique_ptr<End> end_b;
};

/// Numbers that tell where in a stream they are.
inline std::uint8_t byte_at(std::uint64_t position) {
  return static_cast<std::uint8_t>(position * 7 + (position >> 8) * 13 + (position >> 16));
}

inline Task<> write_numbers(Stream& stream, std::uint64_t count) {
  Bytes block(16384);
  for (std::uint64_t at = 0; at < count;) {
    const auto size = std::min<std::uint64_t>(block.size(), count - at);
    for (std::uint64_t i = 0; i < size; ++i) block[i] = byte_at(at + i);
    PYRSIA_CO_TRY(co_await stream.write_all(BytesView(block).first(size)));
    at += size;
  }
  co_return co_await stream.close_write();
}

/// How many right numbers came before the end. Errors: `Errc::malformed` at a wrong one.
inline Task<std::uint64_t> read_numbers(Stream& stream) {
  Bytes block(16384);
  std::uint64_t at = 0;
  for (;;) {
    PYRSIA_CO_TRY(const auto size, co_await stream.read_some(block));
    if (size == 0) co_return at;
    for (std::size_t i = 0; i < size; ++i)
      if (block[i] != byte_at(at + i)) co_return Errc::malformed;
    at += size;
  }
}

/// Sends back what comes, then ends.
inline Task<> echo(Stream& stream) {
  std::array<std::uint8_t, 4096> bytes;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
    if (count == 0) co_return co_await stream.close_write();
    PYRSIA_CO_TRY(co_await stream.write_all(BytesView(bytes).first(count)));
  }
}

inline Task<> echo_next(End& end) {
  PYRSIA_CO_TRY(const auto stream, co_await end.streams.next());
  co_return co_await echo(*stream);
}

}  // namespace pyrsia::transport::quic
