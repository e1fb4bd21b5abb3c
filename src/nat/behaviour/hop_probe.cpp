#include "nat/behaviour/hop_probe.hpp"

#include "nat/stun/ask_once.hpp"
#include "nat/stun/builder.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::nat {

using Target = HopTrace::Target;

HopProbe::HopProbe(Env& env, std::vector<Endpoint> servers, const HopConfig& config)
    : env_(env),
      servers_(std::move(servers)),
      config_(config),
      answered_(env.executor()),
      begun_(env.executor()),
      tasks_(env) {
  servers_.resize(std::min(servers_.size(), kMaxServers));
}

Task<> HopProbe::stop() {
  tasks_.cancel();
  (void)co_await tasks_.join();
  sockets_.clear();
  co_return ok;
}

Task<HopFacts> HopProbe::run() {
  const auto looked = co_await with_timeout(env_, config_.limit, look());
  begun_.notify();
  if (!looked && looked.error() == Errc::cancelled) co_return looked.error();
  co_return trace_.facts();
}

Task<> HopProbe::ask(Endpoint server) {
  stun::Query query;
  query.server = server;
  query.plan = config_.plan;
  auto asking = stun::ask_once(env_, std::move(query));
  auto answer = co_await std::move(asking);
  if (answer && !answer->error && !seen_) seen_ = *std::move(answer);
  --asking_count_;
  if (seen_ || asking_count_ == 0) answered_.notify();
  co_return ok;
}

Task<> HopProbe::look() {
  if (servers_.empty()) co_return ok;
  asking_count_ = servers_.size();
  for (const auto& server : servers_) tasks_.spawn(ask(server));
  PYRSIA_CO_TRY(co_await answered_.wait());
  if (!seen_ || is_own(seen_->mapped.ip)) co_return ok;
  const Endpoint any{seen_->from.ip.is_v6() ? IpAddress::v6_any() : IpAddress::v4_any(), 0};
  UdpOptions options;
  options.hears_errors = true;
  for (std::size_t hop = 1; hop <= HopTrace::kMaxHops; ++hop) {
    options.hop_limit = static_cast<std::uint8_t>(hop);
    PYRSIA_CO_TRY(auto socket, env_.udp_bind(any, options));
    sockets_.push_back(std::move(socket));
    tasks_.spawn(listen(hop));
  }
  const auto wish = std::chrono::duration_cast<Duration>(seen_->round_trip * config_.round_trips);
  const auto wait = std::clamp(wish, config_.min_wait, config_.max_wait);
  for (int i = 0; i < HopTrace::kTransmissions; ++i) {
    for (std::size_t hop = 1; hop <= sockets_.size(); ++hop)
      for (const auto target : {Target::mapped, Target::server}) send(target, hop);
    begun_.notify();
    PYRSIA_CO_TRY(co_await env_.sleep_for(wait));
  }
  co_return ok;
}

Task<> HopProbe::listen(std::size_t hop) {
  auto& socket = *sockets_[hop - 1];
  for (;;) {
    PYRSIA_CO_TRY(const auto error, co_await socket.receive_error());
    const bool is_of_server = error.to == seen_->from;
    // The same port, so that no filter on the way tells the two apart.
    const bool is_of_mapped = error.to == Endpoint{seen_->mapped.ip, seen_->from.port};
    if (is_of_server) trace_.take(Target::server, hop, error);
    if (is_of_mapped) trace_.take(Target::mapped, hop, error);
  }
}

void HopProbe::send(Target target, std::size_t hop) {
  if (!trace_.is_wanted(target, hop)) return;
  std::array<std::uint8_t, 64> buffer{};
  stun::Header header;
  header.message_class = stun::MessageClass::indication;
  header.transaction = stun::random_transaction(env_);
  stun::Builder builder(buffer, header);
  builder.add_fingerprint();
  const auto ip = target == Target::server ? seen_->from.ip : seen_->mapped.ip;
  const auto sent = sockets_[hop - 1]->send({ip, seen_->from.port}, builder.bytes());
  if (sent) trace_.sent(target, hop);
}

bool HopProbe::is_own(const IpAddress& ip) {
  const auto own = env_.interface_addresses();
  return std::ranges::find(own, ip, &InterfaceAddress::ip) != own.end();
}

}  // namespace pyrsia::nat
