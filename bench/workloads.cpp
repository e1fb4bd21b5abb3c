#include "workloads.hpp"

#include <array>
#include <cstdio>
#include <vector>

namespace pyrsia::bench {
namespace {

constexpr std::size_t kWriteBytes = 256 * 1024;
/// About what identify sends.
constexpr std::size_t kRequestBytes = 440;

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// Reads the peer's count of the bytes that it got.
Task<std::uint64_t> finish(Stream& stream) {
  PYRSIA_CO_TRY(co_await stream.close_write());
  std::array<std::uint8_t, 8> answer;
  PYRSIA_CO_TRY(co_await read_exactly(stream, answer));
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < 8; ++i) total |= std::uint64_t(answer[i]) << (8 * i);
  std::array<std::uint8_t, 1> end;
  PYRSIA_CO_TRY(co_await stream.read_some(end));
  co_return total;
}

Task<> blast(Env& env, Connection& connection, TimePoint until, std::uint64_t& bytes) {
  PYRSIA_CO_TRY(const auto stream, co_await connection.muxer().open_stream());
  const Bytes block(kWriteBytes, 7);
  while (env.now() < until) PYRSIA_CO_TRY(co_await stream->write_all(block));
  PYRSIA_CO_TRY(const auto received, co_await finish(*stream));
  bytes += received;
  co_return ok;
}

Task<> set_up_one(Node& node, Endpoint remote) {
  PYRSIA_CO_TRY(const auto connection, co_await dial(node, remote));
  {
    PYRSIA_CO_TRY(const auto stream, co_await connection->muxer().open_stream());
    const Bytes request(kRequestBytes, 7);
    PYRSIA_CO_TRY(co_await stream->write_all(request));
    PYRSIA_CO_TRY(co_await finish(*stream));
  }
  connection->muxer().close(mux::GoAway::normal);
  co_return co_await connection->join();
}

Task<> set_up_many(Node& node, Endpoint remote, TimePoint until, std::uint64_t& done) {
  while (node.env.now() < until) {
    PYRSIA_CO_TRY(co_await set_up_one(node, remote));
    ++done;
  }
  co_return ok;
}

}  // namespace

Task<> throughput(Node& node, Load load) {
  PYRSIA_CO_TRY(const auto connection, co_await dial(node, load.remote));
  const auto begin = node.env.now();
  std::uint64_t bytes = 0;
  TaskGroup streams(node.env);
  for (int i = 0; i < load.at_once; ++i)
    streams.spawn(blast(node.env, *connection, begin + load.duration, bytes));
  PYRSIA_CO_TRY(co_await streams.join());
  const auto elapsed = seconds(node.env.now() - begin);
  std::printf("throughput streams=%d s=%.3f Gbps=%.2f\n", load.at_once, elapsed,
              double(bytes) * 8 / elapsed / 1e9);
  connection->muxer().close(mux::GoAway::normal);
  co_return co_await connection->join();
}

Task<> setup(Node& node, Load load) {
  const auto begin = node.env.now();
  std::vector<std::uint64_t> done(std::size_t(load.at_once), 0);
  TaskGroup dialers(node.env);
  for (auto& count : done)
    dialers.spawn(set_up_many(node, load.remote, begin + load.duration, count));
  PYRSIA_CO_TRY(co_await dialers.join());
  const auto elapsed = seconds(node.env.now() - begin);
  std::uint64_t total = 0;
  for (const auto count : done) total += count;
  std::printf("setup at_once=%d s=%.3f rate=%.1f\n", load.at_once, elapsed,
              double(total) / elapsed);
  co_return ok;
}

}  // namespace pyrsia::bench
