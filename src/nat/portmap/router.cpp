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

/// It is there, and may grant another mapping.
bool is_refusal(const Error& error) {
  return error == Errc::refused || error == Errc::unavailable || error == Errc::not_supported ||
         error == Errc::protocol_violation;
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
  epochs_.emplace_back();
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
    watch_epoch(index);
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
  attempts_[index].state = Attempt::State::failed;
  note(index, error, std::move(words));
}

void Router::note(std::size_t index, Error error, std::string words) {
  auto& attempt = attempts_[index];
  attempt.error = error;
  attempt.words = std::move(words);
  const auto outside = clients_[index]->outside();
  if (outside.ip) attempt.external = outside.ip;
  attempt.lacks_outside = outside.is_missing;
  attempt.has_nat_between = outside.has_nat_between;
}

std::optional<std::size_t> Router::choice(const Refused& refused) const {
  bool waits_for_better = false;
  const auto now = context_.env.now();
  for (std::size_t i = 0; i < attempts_.size(); ++i) {
    if (attempts_[i].state == Attempt::State::asking) waits_for_better = true;
    if (attempts_[i].state != Attempt::State::found) continue;
    if (i < refused.size() && refused[i]) continue;
    const bool is_enough = !waits_for_better || attempts_[i].method == recalled_.method ||
                           now - *first_found_ >= config_.grace;
    if (is_enough) return i;
  }
  return std::nullopt;
}

bool Router::is_over(const Refused& refused) const {
  for (std::size_t i = 0; i < attempts_.size(); ++i) {
    const bool has_refused = i < refused.size() && refused[i];
    if (attempts_[i].state != Attempt::State::failed && !has_refused) return false;
  }
  return true;
}

Task<> Router::find() {
  const Refused none;
  PYRSIA_CO_TRY(chosen_, co_await find_but(none));
  co_return ok;
}

Task<std::size_t> Router::find_but(const Refused& refused) {
  begin(std::move(on_progress_));
  for (;;) {
    if (const auto index = choice(refused)) co_return *index;
    if (is_over(refused)) co_return Errc::unavailable;
    // Where one has answered, it is taken when the grace is over; else each ends by its budget.
    const auto left =
        first_found_ ? *first_found_ + config_.grace - context_.env.now() : Duration(0);
    PYRSIA_CO_TRY(co_await wait_for_progress(left > Duration(0) ? left : config_.budget));
  }
}

Task<> Router::find(Method method) {
  begin(std::move(on_progress_));
  using State = Attempt::State;
  while (!first_of(method, State::found) && first_of(method, State::asking))
    PYRSIA_CO_TRY(co_await wait_for_progress(config_.budget));
  if (this->method()) co_return ok;
  chosen_ = first_of(method, State::found);
  if (!chosen_) PYRSIA_CO_TRY(co_await find());
  co_return ok;
}

Task<> Router::wait_for_progress(Duration limit) {
  auto waiting = progress_.wait();
  const auto woken = co_await with_timeout(context_.env, limit, std::move(waiting));
  if (!woken && woken.error() != Errc::timed_out) co_return woken.error();
  co_return ok;
}

std::optional<std::size_t> Router::first_of(Method method, Attempt::State state) const {
  for (std::size_t i = 0; i < attempts_.size(); ++i)
    if (attempts_[i].method == method && attempts_[i].state == state) return i;
  return std::nullopt;
}

std::optional<std::size_t> Router::index_for(Method method) const {
  const auto found = first_of(method, Attempt::State::found);
  return found ? found : chosen_;
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
  Refused refused(clients_.size());
  for (;;) {
    if (!method()) {
      const auto found = co_await find();
      if (!found && found.error() == Errc::cancelled) co_return found.error();
      if (!found) break;
    }
    auto index = *chosen_;
    if (refused[index]) {
      const auto other = co_await find_but(refused);
      if (!other && other.error() == Errc::cancelled) co_return other.error();
      if (!other) break;
      index = *other;
    }
    std::string why;
    auto mapping = clients_[index]->map(request, std::nullopt, why);
    auto grant = co_await with_timeout(context_.env, config_.map_timeout, std::move(mapping));
    if (grant) {
      watch_epoch(index);
      grant->method = attempts_[index].method;
      co_return grant;
    }
    if (grant.error() == Errc::cancelled) co_return grant.error();
    if (grant.error() == Errc::timed_out && why.empty()) why = "it answered once, but not again";
    if (why.empty()) why = grant.error().message();
    // What one mapping is refused is no reason to give the protocol up for the others.
    refused[index] = true;
    if (is_refusal(grant.error())) {
      note(index, grant.error(), std::move(why));
    } else {
      fail(index, grant.error(), std::move(why));
    }
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
  const auto found = co_await find(before.method);
  if (!found) {
    detail = "no answer";
    co_return found.error();
  }
  const auto index = *index_for(before.method);
  auto mapping = clients_[index]->map(request, before, detail);
  auto grant = co_await with_timeout(context_.env, config_.map_timeout, std::move(mapping));
  watch_epoch(index);
  if (grant) grant->method = attempts_[index].method;
  if (!grant && detail.empty()) detail = grant.error().message();
  co_return grant;
}

Task<> Router::unmap(const MapRequest& request, const Grant& granted, std::string& detail) {
  if (!index_for(granted.method)) PYRSIA_CO_TRY(co_await find());
  const auto index = *index_for(granted.method);
  auto removal = clients_[index]->unmap(request, granted, detail);
  co_return co_await with_timeout(context_.env, config_.map_timeout, std::move(removal));
}

Task<Presence> Router::check(Method method) {
  const auto index = index_for(method);
  if (!index) co_return Errc::unavailable;
  std::string why;
  auto discovery = clients_[*index]->discover(why);
  auto presence = co_await with_timeout(context_.env, config_.budget, std::move(discovery));
  if (presence) watch_epoch(*index);
  co_return presence;
}

void Router::watch_epoch(std::size_t index) {
  const auto sample = clients_[index]->epoch();
  if (!sample || epochs_[index].add(*sample)) return;
  context_.metrics.router_restarts.add();
  context_.say(route_.server.to_string() + " has restarted");
  has_restarted_ = true;
  // The other protocols' clocks tell of the same restart.
  for (std::size_t i = 0; i < epochs_.size(); ++i)
    if (i != index) epochs_[i].forget();
}

bool Router::take_restart() {
  return std::exchange(has_restarted_, false);
}

std::optional<Method> Router::method() const {
  if (!chosen_ || attempts_[*chosen_].state != Attempt::State::found) return std::nullopt;
  return attempts_[*chosen_].method;
}

}  // namespace pyrsia::portmap
