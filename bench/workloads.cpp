#include "workloads.hpp"

#include "protocols/autonat/exchange.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <memory>
#include <vector>

namespace pyrsia::bench {
namespace {

constexpr std::size_t kWriteBytes = 256 * 1024;
/// Peers that connect at once where only the result counts.
constexpr int kConnecting = 32;
/// Whether a stream can be opened yet: what this adds to a first byte, at most.
constexpr Duration kLookAgainAfter = std::chrono::microseconds(200);

using Nodes = std::vector<std::unique_ptr<Node>>;

Nodes make_nodes(Env& env, const std::string& security, int count) {
  Nodes nodes;
  for (int i = 0; i < count; ++i)
    nodes.emplace_back(std::make_unique<Node>(env, security))->start(false);
  return nodes;
}

Task<> stop_all(Nodes& nodes) {
  for (const auto& node : nodes) PYRSIA_CO_TRY(co_await node->stop());
  co_return ok;
}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

double number_after(std::string_view text, std::string_view key) {
  const auto at = text.find(key);
  double value = 0;
  if (at != text.npos)
    std::from_chars(text.data() + at + key.size(), text.data() + text.size(), value);
  return value;
}

/// What the server says of itself.
struct Stats {
  double cpu_seconds = 0;
  double resident_bytes = 0;
  double identified = 0;
};

Task<Stats> stats_of(Node& node, PeerId server) {
  const std::string protocol(kStats);
  PYRSIA_CO_TRY(const auto stream, co_await node.swarm().open_stream(server, protocol));
  PYRSIA_CO_TRY(co_await stream->close_write());
  std::string text;
  std::array<std::uint8_t, 128> bytes;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream->read_some(bytes));
    if (count == 0) break;
    text += as_text(BytesView(bytes).first(count));
  }
  co_return Stats{number_after(text, "cpu="), number_after(text, "rss="),
                  number_after(text, "identified=")};
}

/// Reads the peer's count of the bytes that it got.
Task<std::uint64_t> finish(Stream& stream) {
  PYRSIA_CO_TRY(co_await stream.close_write());
  Number answer;
  PYRSIA_CO_TRY(co_await read_exactly(stream, answer));
  co_return from_number(answer);
}

/// A stream on which the server begins to write, for `milliseconds`.
Task<std::unique_ptr<Stream>> open_source(Node& node, PeerId server, std::uint64_t milliseconds) {
  const std::string protocol(kSource);
  PYRSIA_CO_TRY(auto stream, co_await node.swarm().open_stream(server, protocol));
  const auto request = to_number(milliseconds);
  PYRSIA_CO_TRY(co_await stream->write_all(request));
  PYRSIA_CO_TRY(co_await stream->close_write());
  co_return std::move(stream);
}

Task<> drain(Node& node, PeerId server, std::uint64_t milliseconds, std::uint64_t& bytes) {
  PYRSIA_CO_TRY(const auto stream, co_await open_source(node, server, milliseconds));
  Bytes block(kWriteBytes);
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream->read_some(block));
    if (count == 0) co_return ok;
    bytes += count;
  }
}

/// connect() ends when the server has judged us, a round trip after streams can be opened over
/// QUIC.
Task<> connect_in_background(Node& node, swarm::DialRequest request) {
  const auto connected = co_await node.swarm().connect(std::move(request));
  co_return connected ? Result<>(ok) : Result<>(connected.error());
}

/// From the start of a dial to the first byte of an answer; identify is not waited for.
Task<double> time_first_byte(Node& node, Load load) {
  const auto server = *load.to.peer_id();
  const auto begin = node.env().now();
  swarm::DialRequest request{server, std::move(load.also)};
  request.addresses.push_back(std::move(load.to));
  request.is_only_these = true;
  TaskGroup connecting(node.env());
  connecting.spawn(connect_in_background(node, std::move(request)));
  auto stream = co_await open_source(node, server, 1);
  while (!stream && connecting.size() > 0) {
    PYRSIA_CO_TRY(co_await node.env().sleep_for(kLookAgainAfter));
    stream = co_await open_source(node, server, 1);
  }
  std::array<std::uint8_t, 1> byte;
  auto read = stream ? co_await read_exactly(**stream, byte) : Result<>(stream.error());
  const auto elapsed = 1000 * seconds(node.env().now() - begin);
  PYRSIA_CO_TRY(co_await connecting.join());
  if (!read) co_return read.error();
  co_return elapsed;
}

Task<> blast(Node& node, PeerId server, TimePoint until, std::uint64_t& bytes) {
  const std::string protocol(kSink);
  PYRSIA_CO_TRY(const auto stream, co_await node.swarm().open_stream(server, protocol));
  const Bytes block(kWriteBytes, 7);
  while (node.env().now() < until) PYRSIA_CO_TRY(co_await stream->write_all(block));
  PYRSIA_CO_TRY(const auto received, co_await finish(*stream));
  bytes += received;
  co_return ok;
}

Task<> set_up_many(Node& node, Multiaddr to, TimePoint until, std::uint64_t& done) {
  while (node.env().now() < until) {
    PYRSIA_CO_TRY(const auto connection, co_await node.connect_both_ways(to));
    node.swarm().close_connection(connection.id);
    ++done;
  }
  co_return ok;
}

Task<> connect_each(Nodes& nodes, Multiaddr to, std::size_t& next) {
  while (next < nodes.size()) {
    auto& node = *nodes[next++];
    PYRSIA_CO_TRY(co_await node.connect(to));
  }
  co_return ok;
}

Task<> connect_all(Env& env, Nodes& nodes, Multiaddr to) {
  std::size_t next = 0;
  TaskGroup tasks(env);
  for (int i = 0; i < kConnecting; ++i) tasks.spawn(connect_each(nodes, to, next));
  co_return co_await tasks.join();
}

Task<> ask_many(Node& node, Multiaddr to, TimePoint until, std::uint64_t& reached) {
  const auto server = *to.peer_id();
  const std::string protocol(autonat::kProtocol);
  while (node.env().now() < until) {
    PYRSIA_CO_TRY(const auto stream, co_await node.swarm().open_stream(server, protocol));
    auto dial = autonat::fitting_dial(node.swarm().local_peer(), node.swarm().listen_addresses());
    const auto answer = co_await autonat::request(*stream, std::move(dial));
    if (!answer) co_return answer.error();
    if (answer->status != autonat::Status::ok) {
      std::fprintf(stderr, "not reached: %s\n", answer->text.c_str());
      co_return Errc::refused;
    }
    ++reached;
  }
  co_return ok;
}

std::uint64_t sum(const std::vector<std::uint64_t>& counts) {
  std::uint64_t total = 0;
  for (const auto count : counts) total += count;
  return total;
}

}  // namespace

Task<> throughput(Env& env, Load load) {
  auto nodes = make_nodes(env, load.security, 1);
  auto& node = *nodes.front();
  PYRSIA_CO_TRY(const auto connection, co_await node.connect(load.to));
  const auto begin = env.now();
  std::uint64_t bytes = 0;
  TaskGroup streams(env);
  for (int i = 0; i < load.at_once; ++i)
    streams.spawn(blast(node, connection.peer, begin + load.duration, bytes));
  PYRSIA_CO_TRY(co_await streams.join());
  const auto elapsed = seconds(env.now() - begin);
  std::printf("result gbps=%.3f\n", double(bytes) * 8 / elapsed / 1e9);
  co_return co_await stop_all(nodes);
}

Task<> download(Env& env, Load load) {
  auto nodes = make_nodes(env, load.security, 1);
  auto& node = *nodes.front();
  PYRSIA_CO_TRY(const auto connection, co_await node.connect(load.to));
  const auto begin = env.now();
  const auto told = std::chrono::duration_cast<std::chrono::milliseconds>(load.duration).count();
  std::uint64_t bytes = 0;
  TaskGroup streams(env);
  for (int i = 0; i < load.at_once; ++i)
    streams.spawn(drain(node, connection.peer, std::uint64_t(told), bytes));
  PYRSIA_CO_TRY(co_await streams.join());
  const auto elapsed = seconds(env.now() - begin);
  std::printf("result gbps=%.3f\n", double(bytes) * 8 / elapsed / 1e9);
  co_return co_await stop_all(nodes);
}

Task<> first_byte(Env& env, Load load) {
  auto nodes = make_nodes(env, load.security, load.at_once);
  std::vector<double> times;
  for (const auto& node : nodes) {
    PYRSIA_CO_TRY(const auto time, co_await time_first_byte(*node, load));
    times.push_back(time);
  }
  std::ranges::sort(times);
  std::printf("result ms=%.2f least=%.2f most=%.2f\n", times[times.size() / 2], times.front(),
              times.back());
  co_return co_await stop_all(nodes);
}

Task<> setup(Env& env, Load load) {
  auto nodes = make_nodes(env, load.security, load.at_once + 1);
  auto& asking = *nodes.back();
  const auto server = *load.to.peer_id();
  PYRSIA_CO_TRY(co_await asking.connect(load.to));
  PYRSIA_CO_TRY(const auto before, co_await stats_of(asking, server));
  const auto begin = env.now();
  std::vector<std::uint64_t> done(std::size_t(load.at_once), 0);
  TaskGroup dialers(env);
  for (std::size_t i = 0; i < done.size(); ++i)
    dialers.spawn(set_up_many(*nodes[i], load.to, begin + load.duration, done[i]));
  PYRSIA_CO_TRY(co_await dialers.join());
  const auto elapsed = seconds(env.now() - begin);
  PYRSIA_CO_TRY(const auto after, co_await stats_of(asking, server));
  const auto total = double(sum(done));
  std::printf("result per_second=%.1f both_ways=%.3f\n", total / elapsed,
              (after.identified - before.identified) / total);
  co_return co_await stop_all(nodes);
}

Task<> idle(Env& env, Load load) {
  auto first = make_nodes(env, load.security, 1);
  auto nodes = make_nodes(env, load.security, load.at_once);
  auto& asking = *first.front();
  const auto server = *load.to.peer_id();
  PYRSIA_CO_TRY(co_await asking.connect(load.to));
  PYRSIA_CO_TRY(const auto before, co_await stats_of(asking, server));
  PYRSIA_CO_TRY(co_await connect_all(env, nodes, load.to));
  PYRSIA_CO_TRY(co_await env.sleep_for(std::chrono::seconds(1)));
  PYRSIA_CO_TRY(const auto full, co_await stats_of(asking, server));
  PYRSIA_CO_TRY(const auto begin, co_await stats_of(asking, server));
  PYRSIA_CO_TRY(co_await env.sleep_for(load.duration));
  PYRSIA_CO_TRY(const auto end, co_await stats_of(asking, server));
  std::printf("result rss_bytes=%.0f cpu_percent=%.3f connections=%d identified=%.0f\n",
              (full.resident_bytes - before.resident_bytes) / load.at_once,
              100 * (end.cpu_seconds - begin.cpu_seconds) / seconds(load.duration), load.at_once,
              full.identified - before.identified);
  PYRSIA_CO_TRY(co_await stop_all(nodes));
  co_return co_await stop_all(first);
}

Task<> autonat(Env& env, Load load) {
  auto nodes = make_nodes(env, load.security, load.at_once);
  for (const auto& node : nodes) {
    const auto bound = node->swarm().listen(load.listen);
    if (!bound) co_return bound.error();
  }
  PYRSIA_CO_TRY(co_await connect_all(env, nodes, load.to));
  const auto begin = env.now();
  std::vector<std::uint64_t> reached(std::size_t(load.at_once), 0);
  TaskGroup askers(env);
  for (std::size_t i = 0; i < reached.size(); ++i)
    askers.spawn(ask_many(*nodes[i], load.to, begin + load.duration, reached[i]));
  PYRSIA_CO_TRY(co_await askers.join());
  const auto elapsed = seconds(env.now() - begin);
  std::printf("result per_second=%.1f\n", double(sum(reached)) / elapsed);
  co_return co_await stop_all(nodes);
}

}  // namespace pyrsia::bench
