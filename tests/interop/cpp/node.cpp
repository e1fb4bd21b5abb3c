#include "node.hpp"

#include "echo.hpp"
#include "host/web_certificate.hpp"
#include "runtime/timeout.hpp"
#include "transport/quic/transport.hpp"
#include "transport/tcp/transport.hpp"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <utility>

namespace pyrsia::interop {
namespace {

constexpr Duration kEchoTimeout = std::chrono::minutes(3);
constexpr Duration kIdentifyTimeout = std::chrono::seconds(10);
constexpr Duration kProbeTimeout = std::chrono::seconds(45);
constexpr std::size_t kResetBytes = 1000;
constexpr std::size_t kBatchBytes = 1000;  // Of the first stream; each has one more than the last.

KeyPair make_key(std::uint8_t seed) {
  std::array<std::uint8_t, 32> bytes;
  bytes.fill(seed);
  return KeyPair::from_seed(bytes);
}

template <class List>
json::array texts(const List& list) {
  json::array out;
  for (const auto& each : list) out.emplace_back(each.to_string());
  return out;
}

json::array strings(const std::vector<std::string>& list) {
  json::array out;
  for (const auto& each : list) out.emplace_back(each);
  return out;
}

json::object failure(Error error) {
  json::object out;
  out["ok"] = false;
  out["kind"] = error == Errc::wrong_peer ? "wrong_peer_id" : "other";
  out["error"] = error.message();
  return out;
}

json::object success() {
  json::object out;
  out["ok"] = true;
  return out;
}

std::string text_of(const json::object& command, std::string_view key) {
  const auto* value = command.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

/// One server is asked once, when we say so.
/// Without limits a minute: js asks again what it has lost.
autonat_v2::ServerConfig server2_config() {
  autonat_v2::ServerConfig config;
  config.throttle.clear();
  config.dial_data_throttle.clear();
  return config;
}

autonat_v2::ClientConfig client2_config() {
  autonat_v2::ClientConfig config;
  config.first_probes = 1;
  return config;
}

double milliseconds(Duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

std::int64_t number_of(const json::object& command, std::string_view key) {
  const auto* value = command.if_contains(key);
  return value != nullptr && value->is_int64() ? value->as_int64() : 0;
}

}  // namespace

void print(const json::object& line) {
  std::cout << json::serialize(line) << std::endl;
}

/// Many streams at once. Shared, as its tasks may be cancelled in any order.
struct Node::Batch {
  Batch(Env& env, std::size_t count) : streams(count), left(count), done(env.executor()) {}

  void ended(Result<> result) {
    if (!result && !failed) failed = result.error();
    if (--left == 0) done.notify();
  }

  std::vector<std::unique_ptr<Stream>> streams;
  std::size_t left;
  std::optional<Error> failed;
  Event done;
};

/// An AutoNAT client that asks one server once, and what it hears.
struct Node::Probing final : autonat::Observer {
  explicit Probing(Node& node)
      : ended(node.env_.executor()),
        client(
            node.swarm_, config(), [&node] { return node.addresses(); }, *this,
            Logger("autonat", node.sink_)) {}

  static autonat::ClientConfig config() {
    autonat::ClientConfig config;
    config.boot_delay = Duration::zero();
    config.first_probes = 1;
    return config;
  }

  void on_probe_result(const autonat::ProbeResult& answer) override {
    result = answer;
    ended.notify();
  }
  void on_outbound_probe(const OutboundProbe& probe) override {
    if (probe.stage != OutboundProbe::Stage::error || result) return;
    reason = probe.reason;
    if (probe.server) ended.notify();
  }

  std::optional<autonat::ProbeResult> result;
  std::string reason;
  Event ended;
  autonat::Client client;
};

Node::Node(Env& env, const Flags& flags)
    : env_(env),
      flags_(flags),
      key_(make_key(flags.key_seed)),
      classifier_(flags.allows_loopback ? AddressClass::loopback : AddressClass::global),
      swarm_(env, key_, swarm::Config(), classifier_, Logger("swarm", sink_)),
      identifier_(
          swarm_, identify::Config(), [this] { return addresses(); }, *this,
          Logger("identify", sink_)),
      pinger_(swarm_, ping::Config()),
      server_(swarm_, autonat::ServerConfig(), *this, Logger("autonat", sink_)),
      dialer_(swarm_, autonat_v2::DialerConfig()),
      siblings_(swarm_, autonat_v2::sibling::Config(), dialer_, Logger("siblings", sink_)),
      server2_(swarm_, server2_config(), dialer_, siblings_, *this, Logger("autonat2", sink_)),
      ended2_(env.executor()),
      client2_(
          swarm_, client2_config(), [this] { return asked2_; }, *this, Logger("autonat2", sink_)),
      tasks_(env) {
  transport::tcp::Config tcp_config;
  tcp_config.securities.assign(1, flags.security);
  auto tcp = std::make_unique<transport::tcp::Transport>(env, key_, tcp_config);
  if (!flags.web_tls.empty()) use_web_tls(*tcp);
  swarm_.add_transport(std::move(tcp));
  swarm_.add_transport(
      std::make_unique<transport::quic::Transport>(env, key_, transport::quic::Config()));
  swarm_.add_observer(*this);
}

void Node::use_web_tls(transport::tcp::Transport& tcp) const {
  const std::filesystem::path folder(flags_.web_tls);
  WebTlsConfig config;
  config.certificate = folder / "cert.pem";
  config.key = folder / "key.pem";
  config.extra_roots = folder / "ca.pem";
  std::string why;
  auto certificate = host::read_web_certificate(config, &why);
  const auto trust = host::read_web_trust(config, &why);
  if (!certificate || !trust || !tcp.set_trust(*trust, &why)) {
    std::cerr << "pyrsia_interop: " << why << "\n";
    std::exit(2);
  }
  tcp.set_certificate(*std::move(certificate));
}

Node::~Node() {
  swarm_.remove_observer(*this);
}

Result<> Node::start() {
  swarm::ProtocolLimits limits;
  limits.streams_of_one_peer = limits.streams;
  swarm_.handle(std::string(kEchoProtocol), limits,
                [this](swarm::IncomingStream incoming) { return serve(std::move(incoming)); });
  swarm_.start();
  identifier_.start();
  pinger_.start();
  if (flags_.serves_autonat) {
    server_.start();
    server2_.start();
  }
  client2_.start();
  std::vector<Multiaddr> bound;
  for (const auto& address : flags_.listen) {
    PYRSIA_TRY(auto actual, swarm_.listen(address));
    bound.push_back(std::move(actual));
  }
  json::object line;
  line["event"] = "listening";
  line["peer"] = swarm_.local_peer().to_string();
  line["addresses"] = texts(bound);
  print(line);
  return ok;
}

Task<> Node::stop() {
  tasks_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.join());
  if (probing_) {
    PYRSIA_CO_TRY(co_await probing_->client.stop());
  }
  PYRSIA_CO_TRY(co_await client2_.stop());
  PYRSIA_CO_TRY(co_await identifier_.stop());
  co_return co_await swarm_.stop();
}

std::vector<Multiaddr> Node::addresses() const {
  auto all = flags_.announce;
  for (auto& each : swarm_.listen_addresses()) all.push_back(std::move(each));
  return all;
}

void Node::on_connected(const swarm::ConnectionInfo& connection) {
  json::object line;
  line["event"] = "connected";
  line["peer"] = connection.peer.to_string();
  line["address"] = connection.remote.to_string();
  line["direction"] = connection.direction == swarm::Direction::inbound ? "inbound" : "outbound";
  print(line);
}

void Node::on_disconnected(const swarm::ConnectionInfo& connection, Error reason) {
  json::object line;
  line["event"] = "disconnected";
  line["peer"] = connection.peer.to_string();
  line["reason"] = reason.message();
  print(line);
  if (!swarm_.is_connected(connection.peer)) identified_.erase(connection.peer);
}

void Node::on_identified(const swarm::ConnectionInfo& connection, const identify::Info& info) {
  json::object line;
  line["event"] = info.kind == identify::Kind::push ? "pushed" : "identified";
  line["peer"] = connection.peer.to_string();
  line["protocols"] = strings(swarm_.peer_store().protocols(connection.peer));
  print(line);
  if (info.protocols) client2_.on_identified(connection, *info.protocols);
  if (info.kind == identify::Kind::answer) identified_.insert_or_assign(connection.peer, info);
}

Task<> Node::serve(swarm::IncomingStream incoming) {
  Echoed echoed;
  auto serving = serve_echo(*incoming.stream, echoed);
  const auto served = co_await with_timeout(env_, kEchoTimeout, std::move(serving));
  json::object line;
  line["event"] = served ? "served" : "stream_failed";
  line["peer"] = incoming.connection.peer.to_string();
  line["bytes"] = echoed.bytes;
  line["sum"] = echoed.sum.value();
  if (!served) {
    line["reset"] = served.error() == Errc::reset;
    line["error"] = served.error().message();
  }
  print(line);
  co_return served;
}

void Node::begin(json::object command) {
  tasks_.spawn(run(std::move(command)));
}

Task<> Node::run(json::object command) {
  const auto id = number_of(command, "id");
  auto result = co_await outcome(std::move(command));
  json::object reply = result ? *std::move(result) : failure(result.error());
  reply["event"] = "reply";
  reply["id"] = id;
  print(reply);
  co_return ok;
}

Task<json::object> Node::outcome(json::object command) {
  const auto name = text_of(command, "cmd");
  if (name == "connect") {
    PYRSIA_CO_TRY(auto address, Multiaddr::parse(text_of(command, "address")));
    co_return co_await connect(std::move(address));
  }
  if (name == "latency") {
    PYRSIA_CO_TRY(auto address, Multiaddr::parse(text_of(command, "address")));
    co_return co_await latency(std::move(address));
  }
  if (name == "push") co_return co_await push(text_of(command, "protocol"));
  PYRSIA_CO_TRY(auto peer, PeerId::parse(text_of(command, "peer")));
  const auto count = number_of(command, "count");
  if (name == "identify") co_return co_await identify(std::move(peer));
  if (name == "ping") co_return co_await ping(std::move(peer), count);
  if (name == "echo")
    co_return co_await echo_one(std::move(peer),
                                static_cast<std::uint64_t>(number_of(command, "bytes")));
  if (name == "streams")
    co_return co_await echo_many(std::move(peer), static_cast<std::size_t>(count));
  if (name == "reset") co_return co_await reset(std::move(peer));
  if (name == "autonat") co_return co_await autonat(std::move(peer));
  if (name == "autonat2") {
    std::vector<Multiaddr> asked;
    if (const auto* list = command.if_contains("addresses"); list != nullptr && list->is_array()) {
      for (const auto& each : list->get_array()) {
        PYRSIA_CO_TRY(auto address, Multiaddr::parse(each.is_string() ? each.get_string() : ""));
        asked.push_back(std::move(address));
      }
    }
    if (asked.empty()) asked = addresses();
    co_return co_await autonat2(std::move(peer), std::move(asked));
  }
  if (name == "disconnect") {
    swarm_.disconnect(peer);
    co_return success();
  }
  co_return Errc::invalid_argument;
}

Task<json::object> Node::connect(Multiaddr address) {
  const auto peer = address.peer_id();
  if (!peer) co_return Errc::invalid_argument;
  swarm::DialRequest request{
      .peer = *peer, .addresses = {address.without_peer()}, .is_only_these = true};
  PYRSIA_CO_TRY(const auto connection, co_await swarm_.connect(std::move(request)));
  auto reply = success();
  reply["peer"] = connection.peer.to_string();
  co_return reply;
}

Task<json::object> Node::latency(Multiaddr address) {
  const auto peer = address.peer_id();
  if (!peer) co_return Errc::invalid_argument;
  const auto start = env_.now();
  PYRSIA_CO_TRY(auto reply, co_await connect(std::move(address)));
  PYRSIA_CO_TRY(co_await pinger_.ping(*peer));
  reply["handshakePlusOneRtt"] = milliseconds(env_.now() - start);
  PYRSIA_CO_TRY(const auto time, co_await pinger_.ping(*peer));
  reply["pingRtt"] = milliseconds(time);
  co_return reply;
}

Task<json::object> Node::identify(PeerId peer) {
  const auto end = env_.now() + kIdentifyTimeout;
  while (!identified_.contains(peer)) {
    if (env_.now() > end) co_return Errc::timed_out;
    PYRSIA_CO_TRY(co_await env_.sleep_for(std::chrono::milliseconds(50)));
  }
  const auto& info = identified_.at(peer);
  auto reply = success();
  reply["protocols"] = strings(info.protocols.value_or(std::vector<std::string>()));
  reply["agent"] = info.agent.value_or("");
  reply["protocolVersion"] = info.protocol_version.value_or("");
  reply["listenAddresses"] = texts(info.addresses.value_or(std::vector<Multiaddr>()));
  reply["observedAddress"] = info.observed ? info.observed->to_string() : "";
  reply["signedRecord"] = info.record_sequence.has_value();
  co_return reply;
}

Task<json::object> Node::push(std::string protocol) {
  swarm_.handle(std::move(protocol), swarm::ProtocolLimits(),
                [this](swarm::IncomingStream incoming) { return serve(std::move(incoming)); });
  co_return success();
}

Task<json::object> Node::ping(PeerId peer, std::int64_t count) {
  json::array times;
  for (std::int64_t i = 0; i < count; ++i) {
    PYRSIA_CO_TRY(const auto time, co_await pinger_.ping(peer));
    times.emplace_back(milliseconds(time));
  }
  auto reply = success();
  reply["milliseconds"] = std::move(times);
  co_return reply;
}

Task<json::object> Node::echo_one(PeerId peer, std::uint64_t bytes) {
  const auto start = env_.now();
  PYRSIA_CO_TRY(const auto stream,
                co_await swarm_.open_stream(std::move(peer), std::string(kEchoProtocol)));
  auto echoing = echo(*stream, bytes);
  PYRSIA_CO_TRY(const auto sum, co_await with_timeout(env_, kEchoTimeout, std::move(echoing)));
  auto reply = success();
  reply["bytes"] = bytes;
  reply["sum"] = sum;
  reply["seconds"] = std::chrono::duration<double>(env_.now() - start).count();
  co_return reply;
}

Task<json::object> Node::echo_many(PeerId peer, std::size_t count) {
  const auto batch = std::make_shared<Batch>(env_, count);
  for (std::size_t i = 0; i < count; ++i) tasks_.spawn(open_one(batch, i, peer));
  PYRSIA_CO_TRY(co_await batch->done.wait());
  if (batch->failed) co_return *batch->failed;
  batch->left = count;  // All are open: now the first is used.
  for (std::size_t i = 0; i < count; ++i) tasks_.spawn(use_one(batch, i));
  PYRSIA_CO_TRY(co_await batch->done.wait());
  if (batch->failed) co_return *batch->failed;
  auto reply = success();
  reply["count"] = count;
  co_return reply;
}

Task<> Node::open_one(std::shared_ptr<Batch> batch, std::size_t index, PeerId peer) {
  auto opened = co_await swarm_.open_stream(std::move(peer), std::string(kEchoProtocol));
  if (!opened) {
    batch->ended(opened.error());
    co_return ok;
  }
  batch->streams[index] = *std::move(opened);
  batch->ended(ok);
  co_return ok;
}

Task<> Node::use_one(std::shared_ptr<Batch> batch, std::size_t index) {
  auto echoing = echo(*batch->streams[index], kBatchBytes + index);
  const auto echoed = co_await with_timeout(env_, kEchoTimeout, std::move(echoing));
  if (echoed)
    batch->ended(ok);
  else
    batch->ended(echoed.error());
  co_return ok;
}

Task<json::object> Node::reset(PeerId peer) {
  PYRSIA_CO_TRY(const auto stream,
                co_await swarm_.open_stream(std::move(peer), std::string(kEchoProtocol)));
  Bytes bytes(kResetBytes);
  PYRSIA_CO_TRY(co_await stream->write_all(bytes));
  auto reading = read_exactly(*stream, bytes);
  PYRSIA_CO_TRY(co_await with_timeout(env_, kEchoTimeout, std::move(reading)));
  stream->reset();
  co_return success();
}

Task<json::object> Node::autonat(PeerId peer) {
  if (probing_) co_return Errc::limit_reached;
  probing_ = std::make_unique<Probing>(*this);
  auto reply = co_await ask(std::move(peer));
  PYRSIA_CO_TRY(co_await probing_->client.stop());
  probing_.reset();
  co_return reply;
}

void Node::on_address_result(const autonat_v2::AddressResult& result) {
  result2_ = result;
  ended2_.notify();
}

Task<json::object> Node::autonat2(PeerId peer, std::vector<Multiaddr> asked) {
  if (!asked2_.empty()) co_return Errc::limit_reached;
  PYRSIA_CO_TRY(co_await identify(peer));  // Then we know that it serves v2.
  json::array results;
  for (const auto& address : asked) {
    auto result = co_await ask_about(address);
    asked2_.clear();
    if (!result) co_return result.error();
    results.push_back(*std::move(result));
  }
  auto reply = success();
  reply["results"] = std::move(results);
  co_return reply;
}

Task<json::object> Node::ask_about(Multiaddr address) {
  json::object said;
  said["address"] = address.to_string();
  asked2_.assign(1, std::move(address));
  result2_.reset();
  client2_.probe(asked2_);
  const auto end = env_.now() + kProbeTimeout;
  while (!result2_ && env_.now() < end) {
    const auto ended = co_await with_timeout(env_, end - env_.now(), ended2_.wait());
    if (!ended && ended.error() == Errc::cancelled) co_return ended.error();
  }
  said["status"] = "unknown";
  said["response"] = "";
  said["dialStatus"] = "";
  said["text"] = "no answer";
  if (!result2_) co_return said;
  said["status"] = name(result2_->verdict);
  if (result2_->response_status) said["response"] = name(*result2_->response_status);
  if (result2_->dial_status) said["dialStatus"] = name(*result2_->dial_status);
  said["text"] = result2_->reason;
  co_return said;
}

Task<json::object> Node::ask(PeerId peer) {
  PYRSIA_CO_TRY(probing_->client.add_server(peer, std::vector<Multiaddr>()));
  probing_->client.start();
  auto waiting = probing_->ended.wait();
  const auto ended = co_await with_timeout(env_, kProbeTimeout, std::move(waiting));
  auto reply = success();
  reply["status"] = "unknown";
  reply["response"] = "";
  reply["text"] = ended ? probing_->reason : ended.error().message();
  if (const auto& result = probing_->result) {
    reply["response"] = autonat::name(result->status);
    reply["text"] = result->text;
    if (result->status == autonat::Status::ok) reply["status"] = "public";
    if (result->status == autonat::Status::dial_error) reply["status"] = "private";
  }
  co_return reply;
}

}  // namespace pyrsia::interop
