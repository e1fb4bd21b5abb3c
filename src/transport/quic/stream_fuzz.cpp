#include "transport/quic/test_forger.hpp"

#include <cstdlib>

using namespace pyrsia;
using namespace pyrsia::transport;

namespace {

constexpr std::size_t kMaxSteps = 64;
constexpr std::size_t kMaxPacketBytes = 400;

/// What the server does with a stream that it was given, by a number from the input.
Task<> use(Stream& stream, std::uint8_t choice) {
  std::array<std::uint8_t, 64> bytes{};
  if ((choice & 1) != 0) PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  if ((choice & 2) != 0) PYRSIA_CO_TRY(co_await stream.read_some(bytes));
  if ((choice & 4) != 0) PYRSIA_CO_TRY(co_await stream.close_write());
  if ((choice & 8) != 0) stream.reset(static_cast<ResetCode>(choice));
  co_return ok;
}

/// Each step: one byte of choice, then, where its highest bit is set, the length of a packet's
/// frames and they; else something that our side does with the stream that it opened or took last.
class Play {
 public:
  Play(quic::Peers& peers, quic::Forger& forger) : peers_(peers), forger_(forger) {}

  void step(BytesView& input) {
    const auto choice = input[0];
    input = input.subspan(1);
    if ((choice & 0x80) != 0) return send(input);
    if ((choice & 0x40) != 0) open();
    if ((choice & 0x20) != 0 && peers_.end_b->streams.size() > 0) take();
    if ((choice & 0x10) != 0) stream_.reset();
    if (stream_) [[maybe_unused]]
      const auto done = run(use(*stream_, choice));
    peers_.world.run_for(std::chrono::milliseconds(60));
  }
  void drop() { stream_.reset(); }

 private:
  template <class T>
  Result<T> run(Task<T> task) {
    const Duration limit = std::chrono::milliseconds(10);
    auto [result] = peers_.world.run(with_timeout(peers_.host_b, limit, std::move(task)));
    if (!result && result.error() == Errc::deadlock) std::abort();
    return std::move(result);
  }
  void send(BytesView& input) {
    if (input.empty()) return;
    const auto size = std::min({std::size_t(input[0]) + 1, kMaxPacketBytes, input.size() - 1});
    forger_.send(input.subspan(1, size));
    input = input.subspan(1 + size);
  }
  void open() {
    if (auto opened = run(peers_.end_b->connection.muxer->open_stream()))
      stream_ = *std::move(opened);
  }
  void take() {
    if (auto taken = run(peers_.end_b->streams.next())) stream_ = *std::move(taken);
  }

  quic::Peers& peers_;
  quic::Forger& forger_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace

// Any frames from a peer that has shown its certificate, between whatever we do with the streams:
// never more streams than are allowed, and once the connection has ended, none.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  quic::Peers peers;
  peers.world.set_run_limit(std::chrono::minutes(10));
  quic::Forger forger(peers);
  auto [connected, accepted] = peers.world.run(forger.connect(), quic::accept_one(*peers.listener));
  if (!connected || !accepted) std::abort();
  peers.end_b = std::make_unique<quic::End>(peers.host_b, *std::move(accepted));
  const auto& muxer = *peers.end_b->connection.muxer;
  Play play(peers, forger);
  BytesView input(data, size);
  for (std::size_t i = 0; i < kMaxSteps && !input.empty(); ++i) {
    play.step(input);
    if (muxer.stream_count() > 256 + 500) std::abort();
  }
  peers.world.run_for(std::chrono::minutes(1));
  if (peers.end_b->is_serving() || muxer.stream_count() != 0) std::abort();
  play.drop();
  return 0;
}
