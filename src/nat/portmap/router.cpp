#include "nat/portmap/router.hpp"

#include "nat/portmap/nat_pmp_client.hpp"
#include "nat/portmap/pcp_client.hpp"
#include "nat/portmap/upnp_client.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::portmap {
namespace {

pcp::Nonce draw_nonce(Env& env) {
  pcp::Nonce nonce;
  env.random(nonce);
  return nonce;
}

std::string seconds_text(Duration duration) {
  const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count() / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

}  // namespace

Router::Router(const Context& context, RouterConfig config, const Route& route,
               const std::optional<Route>& upnp_route, const Recalled& recalled)
    : context_(context),
      config_(std::move(config)),
      route_(route),
      recalled_(recalled),
      nonce_(recalled.nonce ? *recalled.nonce : draw_nonce(context.env)),
      progress_(context.env.executor()),
      tasks_(context.env) {
  for (const auto method : kMethods)
    if (std::ranges::find(config_.methods, method) != config_.methods.end())
      add_clients(method, upnp_route);
}

void Router::add_clients(Method method, const std::optional<Route>& upnp_route) {
  const Retransmission plan;
  if (method == Method::pcp) {
    add(std::make_unique<pcp::PcpClient>(context_, route_, nonce_, plan), route_.server);
  } else if (method == Method::nat_pmp && route_.server.is_v4()) {
    add(std::make_unique<nat_pmp::NatPmpClient>(context_, route_, plan), route_.server);
  } else if (method == Method::upnp) {
    upnp::UpnpConfig config;
    config.asks_everybody = route_.client == route_.local;  // Further away we know whom we mean.
    // The first over the family that it is for; many routers only speak it over IPv4.
    if (route_.server.is_v6())
      add(std::make_unique<upnp::UpnpClient>(context_, route_, config, plan), route_.server);
    if (upnp_route && upnp_route->server.is_v4())
      add(std::make_unique<upnp::UpnpClient>(context_, *upnp_route, config, plan),
          upnp_route->server);
  }
}

void Router::add(std::unique_ptr<Client> client, const IpAddress& server) {
  Attempt attempt;
  attempt.method = client->method();
  attempt.server = server;
  attempts_.push_back(std::move(attempt));
  clients_.push_back(std::move(client));
}

void Router::begin(std::function<void()> on_progress) {
  on_progress_ = std::move(on_progress);
  if (std::exchange(is_started_, true)) return;
  for (std::size_t i = 0; i < clients_.size(); ++i) tasks_.spawn(search(i));
}

Task<> Router::search(std::size_t index) {
  auto& client = *clients_[index];
  const auto started = context_.env.now();
  std::string why;
  auto discovery = client.discover(why);
  const auto found = co_await with_timeout(context_.env, config_.budget, std::move(discovery));
  if (!found && found.error() == Errc::cancelled) co_return found.error();  // Not waited for.
  attempts_[index].took = context_.env.now() - started;
  if (found) {
    attempts_[index].state = Attempt::State::found;
    attempts_[index].words = found->words;
    attempts_[index].external = found->external;
    attempts_[index].name = found->name;
    if (!first_found_) first_found_ = context_.env.now();
    watch_epoch(client);
  } else if (found.error() == Errc::timed_out && why.empty()) {
    fail(index, found.error(), "no answer within " + seconds_text(config_.budget));
  } else {
    fail(index, found.error(), why.empty() ? found.error().message() : why);
  }
  progress_.notify();
  if (on_progress_) on_progress_();
  co_return ok;
}

void Router::fail(std::size_t index, Error error, std::string words) {
  auto& attempt = attempts_[index];
  attempt.state = Attempt::State::failed;
  attempt.error = error;
  attempt.words = std::move(words);
  const auto outside = clients_[index]->outside();
  if (outside.ip) attempt.external = outside.ip;
  attempt.lacks_outside = outside.is_missing;
}

std::optional<std::size_t> Router::choice() const {
  bool waits_for_better = false;
  const auto now = context_.env.now();
  for (std::size_t i = 0; i < attempts_.size(); ++i) {
    if (attempts_[i].state == Attempt::State::asking) waits_for_better = true;
    if (attempts_[i].state != Attempt::State::found) continue;
    const bool is_enough = !waits_for_better || attempts_[i].method == recalled_.method ||
                           now - *first_found_ >= config_.grace;
    if (is_enough) return i;
  }
  return std::nullopt;
}

bool Router::is_over() const {
  return std::ranges::none_of(
      attempts_, [](const Attempt& attempt) { return attempt.state != Attempt::State::failed; });
}

Task<> Router::find() {
  begin(std::move(on_progress_));
  for (;;) {
    if (const auto index = choice()) {
      chosen_ = index;
      co_return ok;
    }
    if (is_over()) co_return Errc::unavailable;
    // Where one has answered, it is taken when the grace is over; else each ends by its budget.
    const bool has_found = std::ranges::any_of(
        attempts_, [](const Attempt& attempt) { return attempt.state == Attempt::State::found; });
    const auto limit =
        has_found ? *first_found_ + config_.grace - context_.env.now() : config_.budget;
    auto waiting = progress_.wait();
    const auto woken =
        co_await with_timeout(context_.env, std::max(limit, Duration(1)), std::move(waiting));
    if (!woken && woken.error() != Errc::timed_out) co_return woken.error();
  }
}

Task<> Router::find_all() {
  begin(std::move(on_progress_));
  return tasks_.wait_until_empty();
}

Task<> Router::stop() {
  tasks_.cancel();
  return tasks_.join();
}

Task<Grant> Router::map(const MapRequest& request, std::string& detail) {
  for (;;) {
    if (!chosen_ || attempts_[*chosen_].state != Attempt::State::found) {
      const auto found = co_await find();
      if (!found && found.error() == Errc::cancelled) co_return found.error();
      if (!found) break;
    }
    const auto index = *chosen_;
    std::string why;
    auto mapping = clients_[index]->map(request, std::nullopt, why);
    const auto grant = co_await with_timeout(context_.env, config_.map_timeout, std::move(mapping));
    if (grant) {
      watch_epoch(*clients_[index]);
      co_return grant;
    }
    if (grant.error() == Errc::cancelled) co_return grant.error();
    if (grant.error() == Errc::timed_out && why.empty()) why = "it answered once, but not again";
    fail(index, grant.error(), why.empty() ? grant.error().message() : why);
  }
  Error last = Errc::unavailable;
  for (const auto& attempt : attempts_) {
    detail +=
        (detail.empty() ? "" : "; ") + std::string(name(attempt.method)) + ": " + attempt.words;
    if (attempt.error != Errc::timed_out) last = attempt.error;
  }
  co_return last;
}

Task<Grant> Router::renew(const MapRequest& request, const Grant& before, std::string& detail) {
  if (!method()) {
    const auto found = co_await find();
    if (!found) {
      detail = "no answer";
      co_return found.error();
    }
  }
  auto& client = *clients_[*chosen_];
  auto mapping = client.map(request, before, detail);
  const auto grant = co_await with_timeout(context_.env, config_.map_timeout, std::move(mapping));
  watch_epoch(client);
  if (!grant && detail.empty()) detail = grant.error().message();
  co_return grant;
}

Task<> Router::unmap(const MapRequest& request, const Grant& granted, std::string& detail) {
  if (!chosen_) PYRSIA_CO_TRY(co_await find());
  auto removal = clients_[*chosen_]->unmap(request, granted, detail);
  co_return co_await with_timeout(context_.env, config_.map_timeout, std::move(removal));
}

Task<Presence> Router::check() {
  if (!chosen_) co_return Errc::unavailable;
  auto& client = *clients_[*chosen_];
  std::string why;
  auto discovery = client.discover(why);
  auto presence = co_await with_timeout(context_.env, config_.budget, std::move(discovery));
  if (presence) watch_epoch(client);
  co_return presence;
}

void Router::watch_epoch(Client& client) {
  // One clock only: that of the protocol at work, or, before there is one, of the best so far.
  if (chosen_ && clients_[*chosen_].get() != &client) return;
  const auto sample = client.epoch();
  if (!sample || epoch_.add(*sample)) return;
  context_.metrics.router_restarts.add();
  context_.say(route_.server.to_string() + " has restarted");
  has_restarted_ = true;
}

bool Router::take_restart() {
  return std::exchange(has_restarted_, false);
}

std::optional<Method> Router::method() const {
  if (!chosen_ || attempts_[*chosen_].state != Attempt::State::found) return std::nullopt;
  return attempts_[*chosen_].method;
}

}  // namespace pyrsia::portmap
