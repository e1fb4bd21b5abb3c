#include "nat/behaviour/lifetime.hpp"

#include "runtime/timeout.hpp"

namespace pyrsia::nat {

LifetimeProbe::LifetimeProbe(Env& env, Endpoint server, IpAddress local, LifetimeConfig config)
    : env_(env),
      server_(server),
      local_(local),
      config_(std::move(config)),
      outcomes_(config_.waits.size(), Outcome::pending),
      changed_(env.executor()),
      tasks_(env) {}

Task<> LifetimeProbe::stop() {
  tasks_.cancel();
  (void)co_await tasks_.join();
  for (const auto& client : silent_) (void)co_await client->stop();
  if (asking_) (void)co_await asking_->stop();
  silent_.clear();
  asking_.reset();
  co_return ok;
}

Task<LifetimeRange> LifetimeProbe::run() {
  PYRSIA_CO_TRY(asking_, stun::Client::bind(env_, Endpoint{local_, 0}));
  for (std::size_t i = 0; i < config_.waits.size(); ++i) {
    PYRSIA_CO_TRY(auto client, stun::Client::bind(env_, Endpoint{local_, 0}));
    silent_.push_back(std::move(client));
  }
  stun::Query query;
  query.server = server_;
  query.plan = config_.plan;
  query.response_port = asking_->local().port;
  const auto known = co_await asking_->ask(query);
  if (known && known->error) co_return Errc::not_supported;
  for (std::size_t i = 0; i < silent_.size(); ++i) tasks_.spawn(watch(i));
  while (!is_decided()) {
    PYRSIA_CO_TRY(co_await changed_.wait());
  }
  tasks_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.wait_until_empty());
  std::vector<std::pair<Duration, bool>> outcomes;
  for (std::size_t i = 0; i < outcomes_.size(); ++i) {
    if (outcomes_[i] != Outcome::alive && outcomes_[i] != Outcome::gone) continue;
    outcomes.emplace_back(config_.waits[i], outcomes_[i] == Outcome::alive);
  }
  if (outcomes.empty()) co_return Errc::timed_out;
  co_return lifetime_of(outcomes);
}

/// Nothing that is still waited for can change what is said: a mapping that is gone stays so.
bool LifetimeProbe::is_decided() const {
  for (const auto outcome : outcomes_) {
    if (outcome == Outcome::pending) return false;
    if (outcome == Outcome::gone) return true;
  }
  return true;
}

Task<> LifetimeProbe::watch(std::size_t index) {
  const auto outcome = co_await outcome_of(index);
  if (!outcome && outcome.error() == Errc::cancelled) co_return outcome.error();
  outcomes_[index] = outcome ? *outcome : Outcome::unknown;
  changed_.notify();
  co_return ok;
}

Task<LifetimeProbe::Outcome> LifetimeProbe::outcome_of(std::size_t index) {
  stun::Query query;
  query.server = server_;
  query.plan = config_.plan;
  const auto made = co_await silent_[index]->ask(query);
  if (!made) co_return made.error();
  if (made->error) co_return Errc::refused;
  PYRSIA_CO_TRY(co_await env_.sleep_for(config_.waits[index]));
  co_return co_await is_alive(*silent_[index], made->mapped.port);
}

/// Asks from another socket for an answer to the silent one. That the server is still there is
/// known only if it answers somebody: so a silence is checked by asking for ourselves.
Task<LifetimeProbe::Outcome> LifetimeProbe::is_alive(stun::Client& silent,
                                                     std::uint16_t mapped_port) {
  for (int i = 0; i < config_.plan.count; ++i) {
    const auto transaction = stun::random_transaction(env_);
    auto hearing = silent.hears(transaction);
    (void)asking_->request(server_, transaction, mapped_port);
    const auto heard = co_await with_timeout(env_, config_.plan.rto * 2, std::move(hearing));
    if (heard) co_return Outcome::alive;
    if (heard.error() == Errc::cancelled) co_return heard.error();
  }
  stun::Query query;
  query.server = server_;
  query.plan = config_.plan;
  const auto there = co_await asking_->ask(query);
  if (!there && there.error() == Errc::cancelled) co_return there.error();
  co_return there ? Outcome::gone : Outcome::unknown;
}

LifetimeRange lifetime_of(const std::vector<std::pair<Duration, bool>>& outcomes) {
  LifetimeRange range;
  for (const auto& [wait, is_alive] : outcomes) {
    if (!is_alive) {
      range.gone = wait;
      break;
    }
    range.alive = wait;
  }
  return range;
}

}  // namespace pyrsia::nat
