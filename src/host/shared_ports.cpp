#include "host/shared_ports.hpp"

#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::host {
namespace {

constexpr Duration kResolveLimit = std::chrono::seconds(2);
/// Between two rounds, whatever happens.
constexpr Duration kPause = std::chrono::seconds(1);

stun::ServerConfig server_config(const StunConfig& config) {
  stun::ServerConfig out;
  out.responder.limit = stun::limit_of(config.per_source_per_second);
  return out;
}

/// A response has the first bit of its class set. Spec: RFC 8489, 5.
bool is_response(BytesView message) {
  return (message[0] & 0x01) != 0;
}

}  // namespace

SharedPorts::SharedPorts(Env& env, const StunConfig& config, bool asks,
                         transport::quic::Transport& quic, Callbacks callbacks, Logger log)
    : env_(env),
      config_(config),
      asks_(asks && config.is_client),
      quic_(quic),
      callbacks_(std::move(callbacks)),
      log_(log),
      wanted_(env.executor()),
      asking_(env),
      tasks_(env) {
  if (config_.is_server) server_.emplace(env, server_config(config_), log);
}

SharedPorts::~SharedPorts() {
  quic_.set_other_sink(nullptr);
}

void SharedPorts::start() {
  if (server_) {
    // It has no socket of its own that it could fail to open.
    [[maybe_unused]] const auto started = server_->start(nullptr);
  }
  if (server_ || asks_) quic_.set_other_sink(this);
  if (asks_) tasks_.spawn(run());
}

Task<> SharedPorts::stop() {
  quic_.set_other_sink(nullptr);
  tasks_.cancel();
  (void)co_await tasks_.join();
  asking_.cancel();
  (void)co_await asking_.join();
  for (auto& [local, side] : sides_)
    if (side.client) (void)co_await side.client->stop();
  for (const auto& client : gone_) (void)co_await client->stop();
  gone_.clear();
  sides_.clear();
  if (server_) (void)co_await server_->stop();
  co_return ok;
}

void SharedPorts::reconsider() {
  wanted_.notify();
}

std::map<std::string, std::uint64_t> SharedPorts::server_counters() const {
  if (!server_) return {};
  return server_->counters();
}

SharedPorts::Side& SharedPorts::side_at(const Endpoint& local) {
  auto& side = sides_[local];
  if (!side.answering) side.answering = std::make_unique<SharedSocket>(env_, quic_, local);
  return side;
}

bool SharedPorts::on_datagram(const Endpoint& local, const ReceivedDatagram& datagram) {
  if (!stun::looks_like_stun(datagram.bytes)) return false;
  auto& side = side_at(local);
  if (!is_response(datagram.bytes)) {
    if (!server_) return false;
    server_->answer_on(*side.answering, datagram);
    return true;
  }
  if (side.asking == nullptr) return false;
  if (!side.asking->give(datagram)) metrics_.lost.add();
  return true;
}

void SharedPorts::on_batch_end(const Endpoint& local) {
  if (server_) server_->flush(*side_at(local).answering);
}

Task<> SharedPorts::run() {
  auto pause = config_.retry_interval;
  for (;;) {
    PYRSIA_CO_TRY(co_await ask_everybody());
    const bool is_known = answers_of_round_ > 0;
    const auto wait = is_known ? config_.interval : pause;
    pause = is_known ? config_.retry_interval : std::min(pause * 2, config_.interval);
    PYRSIA_CO_TRY(co_await env_.sleep_for(std::min(kPause, wait)));
    const auto waited = co_await with_timeout(env_, wait, wanted_.wait());
    if (!waited && waited.error() != Errc::timed_out) co_return waited.error();
  }
}

Task<> SharedPorts::ask_everybody() {
  const auto sockets = quic_.sockets();
  PYRSIA_CO_TRY(co_await clear_sides(sockets));
  answers_of_round_ = 0;
  if (sockets.empty()) co_return ok;
  PYRSIA_CO_TRY(const auto known, co_await servers());
  if (known.empty()) co_return ok;
  metrics_.rounds.add();
  for (const auto& local : sockets) {
    auto& side = side_at(local);
    if (!side.client) {
      auto socket = std::make_unique<SharedSocket>(env_, quic_, local);
      side.asking = socket.get();
      side.client = std::make_unique<stun::Client>(env_, std::move(socket), &client_metrics_);
    }
    std::size_t count = 0;
    for (const auto& server : known) {
      if (server.ip.is_v6() != local.ip.is_v6() || ++count > kMaxServers) continue;
      asking_.spawn(ask(*side.client, server));
    }
  }
  co_return co_await asking_.wait_until_empty();
}

Task<> SharedPorts::ask(stun::Client& client, Endpoint server) {
  callbacks_.on_contact(server.ip);
  stun::Query query;
  query.server = server;
  query.plan = stun::RetransmitPlan::quick();
  const auto answer = co_await client.ask(query);
  if (!answer && answer.error() == Errc::cancelled) co_return answer.error();
  if (!answer || answer->error) {
    metrics_.no_answers.add();
    co_return ok;
  }
  metrics_.answers.add();
  ++answers_of_round_;
  log_.debug("a STUN server sees our QUIC port",
             {{"server", server.to_string()}, {"at", answer->mapped.to_string()}});
  callbacks_.on_word({server, client.local().port, answer->mapped});
  co_return ok;
}

Task<std::vector<Endpoint>> SharedPorts::servers() {
  std::vector<Endpoint> out;
  const auto add = [&](const Endpoint& server) {
    if (std::ranges::find(out, server) == out.end()) out.push_back(server);
  };
  for (const auto& address : config_.servers) {
    if (const auto endpoint = address.endpoint()) add(*endpoint);
    const auto name = address.dns_name();
    if (!name) continue;
    const auto family = address.has(Protocol::dns4)   ? IpFamily::v4
                        : address.has(Protocol::dns6) ? IpFamily::v6
                                                      : IpFamily::any;
    auto resolving = env_.resolve(*name, family);
    const auto ips = co_await with_timeout(env_, kResolveLimit, std::move(resolving));
    if (!ips && ips.error() == Errc::cancelled) co_return ips.error();
    if (!ips || ips->empty()) {
      tell_unresolved(*name, ips ? Error(Errc::not_found) : ips.error());
      continue;
    }
    unresolved_.erase(*name);
    for (const auto& ip : *ips) add({ip, address.port().value_or(0)});
  }
  for (const auto& server : callbacks_.servers()) add(server);
  co_return out;
}

void SharedPorts::tell_unresolved(const std::string& name, const Error& error) {
  metrics_.unresolved.add();
  if (!unresolved_.insert(name).second) return;
  log_.warning("a STUN server is not asked: its name cannot be resolved to an address",
               {{"server", name}, {"error", error}});
}

Task<> SharedPorts::clear_sides(const std::vector<Endpoint>& sockets) {
  for (auto& [local, side] : sides_) {
    if (std::ranges::find(sockets, local) != sockets.end() || !side.client) continue;
    side.asking = nullptr;
    gone_.push_back(std::move(side.client));
  }
  std::erase_if(sides_, [&](const auto& entry) {
    return std::ranges::find(sockets, entry.first) == sockets.end();
  });
  for (const auto& client : gone_) PYRSIA_CO_TRY(co_await client->stop());
  gone_.clear();
  co_return ok;
}

}  // namespace pyrsia::host
