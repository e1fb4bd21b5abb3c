#include "node.hpp"

#include "runtime/timeout.hpp"
#include "transport/quic/transport.hpp"
#include "transport/tcp/transport.hpp"

#include <malloc.h>
#include <sys/resource.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <limits>

namespace pyrsia::bench {
namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kReadBytes = 256 * 1024;
/// Whether an answer has been sent.
constexpr Duration kLookAgainAfter = std::chrono::microseconds(50);

swarm::Config swarm_config() {
  swarm::Config config;
  config.max_connections = kNoLimit;
  config.max_connections_of_one_peer = kNoLimit;
  config.max_connections_of_one_ip = kNoLimit;
  config.max_incoming_upgrades = kNoLimit;
  config.max_incoming_upgrades_of_one_ip = kNoLimit;
  config.max_accepts_per_second = kNoLimit;
  return config;
}

autonat::ServerConfig autonat_config() {
  autonat::ServerConfig config;
  config.throttle.clear();
  return config;
}

autonat_v2::ServerConfig autonat2_config() {
  autonat_v2::ServerConfig config;
  config.throttle.clear();
  config.dial_data_throttle.clear();
  return config;
}

autonat_v2::DialerConfig dialer_config() {
  autonat_v2::DialerConfig config;
  config.max_dials = kNoLimit;
  return config;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return double(time.tv_sec) + double(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  statm >> size >> resident;
  return resident * 4096;
}

}  // namespace

Node::Node(Env& environment, const std::string& security)
    : swarm_(environment, KeyPair::generate(), swarm_config(), classifier_,
             Logger("bench", silence_)),
      identifier_(
          swarm_, {}, [this] { return swarm_.listen_addresses(); }, *this,
          Logger("bench", silence_)),
      autonat_(swarm_, autonat_config(), *this, Logger("bench", silence_)),
      dialer_(swarm_, dialer_config()),
      siblings_(swarm_, {}, dialer_, Logger("bench", silence_)),
      autonat2_(swarm_, autonat2_config(), dialer_, siblings_, nobody_, Logger("bench", silence_)),
      changed_(environment.executor()) {
  transport::tcp::Config config;
  config.securities.assign(1, security);
  swarm_.add_transport(
      std::make_unique<transport::tcp::Transport>(environment, swarm_.key(), config));
  transport::quic::Config quic;
  quic.max_ready = quic.max_half_open = kNoLimit;
  quic.retry_above_half_open = quic.retry_above_half_open_of_one_ip = kNoLimit;
  swarm_.add_transport(
      std::make_unique<transport::quic::Transport>(environment, swarm_.key(), quic));
}

void Node::start(bool is_server) {
  identifier_.start();
  if (is_server) {
    autonat_.start();
    autonat2_.start();
    const swarm::ProtocolLimits limits{kNoLimit, kNoLimit};
    swarm_.handle(std::string(kSink), limits,
                  [this](swarm::IncomingStream incoming) { return sink(std::move(incoming)); });
    swarm_.handle(std::string(kSource), limits,
                  [this](swarm::IncomingStream incoming) { return source(std::move(incoming)); });
    swarm_.handle(std::string(kStats), limits,
                  [this](swarm::IncomingStream incoming) { return stats(std::move(incoming)); });
  }
  swarm_.start();
}

Task<> Node::stop() {
  PYRSIA_CO_TRY(co_await identifier_.stop());
  co_return co_await swarm_.stop();
}

Task<swarm::ConnectionInfo> Node::connect(Multiaddr address) {
  const auto peer = address.peer_id();
  if (!peer) co_return Errc::invalid_argument;
  std::vector<Multiaddr> addresses(1, std::move(address));
  swarm::DialRequest request{*peer, std::move(addresses)};
  request.is_only_these = true;
  request.is_new_connection = true;
  PYRSIA_CO_TRY(auto connection, co_await swarm_.connect(std::move(request)));
  PYRSIA_CO_TRY(
      co_await with_timeout(env(), std::chrono::seconds(30), until_identified(connection.id)));
  co_return connection;
}

Task<swarm::ConnectionInfo> Node::connect_both_ways(Multiaddr address) {
  const auto answered = identifier_.metrics().answered.value();
  PYRSIA_CO_TRY(auto connection, co_await connect(std::move(address)));
  PYRSIA_CO_TRY(
      co_await with_timeout(env(), std::chrono::seconds(30), until_answered(answered + 1)));
  co_return connection;
}

Task<> Node::until_answered(std::uint64_t count) {
  while (identifier_.metrics().answered.value() < count)
    PYRSIA_CO_TRY(co_await env().sleep_for(kLookAgainAfter));
  co_return ok;
}

Task<> Node::until_identified(swarm::ConnectionId connection) {
  while (identified_ < connection) PYRSIA_CO_TRY(co_await changed_.wait());
  co_return ok;
}

void Node::on_identified(const swarm::ConnectionInfo& connection, const identify::Info&) {
  identified_ = connection.id;
  changed_.notify();
}

void Node::on_identify_failed(const swarm::ConnectionInfo& connection, Error error) {
  if (error != Errc::closed && error != Errc::reset)
    std::fprintf(stderr, "connection %llu not identified: %s\n",
                 static_cast<unsigned long long>(connection.id), error.message().c_str());
}

Task<> Node::sink(swarm::IncomingStream incoming) {
  auto& stream = *incoming.stream;
  Bytes bytes(1024);
  std::uint64_t total = 0;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
    if (count == 0) break;
    total += count;
    if (count == bytes.size()) bytes.resize(kReadBytes);
  }
  const auto answer = to_number(total);
  PYRSIA_CO_TRY(co_await stream.write_all(answer));
  co_return co_await stream.close_write();
}

Task<> Node::source(swarm::IncomingStream incoming) {
  auto& stream = *incoming.stream;
  Number request;
  PYRSIA_CO_TRY(co_await read_exactly(stream, request));
  const auto end = env().now() + std::chrono::milliseconds(from_number(request));
  // The first alone: of a full frame nobody sees a byte before all has come.
  const Bytes block(kReadBytes, 7);
  PYRSIA_CO_TRY(co_await stream.write_all(BytesView(block).first(1)));
  do {
    PYRSIA_CO_TRY(co_await stream.write_all(block));
  } while (env().now() < end);
  co_return co_await stream.close_write();
}

Task<> Node::stats(swarm::IncomingStream incoming) {
  const auto cpu = cpu_seconds();
  ::malloc_trim(0);
  std::array<char, 128> line;
  const int size = std::snprintf(
      line.data(), line.size(), "cpu=%.6f rss=%zu identified=%llu\n", cpu, resident_bytes(),
      static_cast<unsigned long long>(identifier_.metrics().identified.value()));
  const std::string_view text(line.data(), std::size_t(size));
  PYRSIA_CO_TRY(co_await incoming.stream->write_all(as_bytes(text)));
  co_return co_await incoming.stream->close_write();
}

Number to_number(std::uint64_t value) {
  Number bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::uint8_t(value >> (8 * i));
  return bytes;
}

std::uint64_t from_number(const Number& bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value |= std::uint64_t(bytes[i]) << (8 * i);
  return value;
}

Task<> serve(Node& node, Multiaddr address) {
  PYRSIA_CO_TRY(const auto bound, node.swarm().listen(address));
  const auto named = bound.with_peer(node.swarm().local_peer());
  std::printf("ready %s\n", named.to_string().c_str());
  std::fflush(stdout);
  for (;;) PYRSIA_CO_TRY(co_await node.env().sleep_for(std::chrono::hours(1)));
}

}  // namespace pyrsia::bench
