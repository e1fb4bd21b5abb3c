#include "swarm/dialer.hpp"

#include "multi/websocket_address.hpp"
#include "runtime/event.hpp"
#include "runtime/timeout.hpp"
#include "swarm/dial_plan.hpp"

#include <algorithm>
#include <map>

namespace pyrsia::swarm {
namespace {

DialRules rules_of(const DialRequest& request) {
  DialRules rules;
  rules.parallel = request.max_parallel;
  return rules;
}

constexpr Duration kLongestJitter = std::chrono::milliseconds(200);

}  // namespace

/// One effort to reach one peer, for all who wait for it.
struct Dialer::Job {
  Job(Env& env, DialRequest r)
      : request(std::move(r)),
        plan(rules_of(request)),
        deadline(env.now()),
        changed(env.executor()),
        tasks(env) {}

  /// True if who asks for `other` can be served by this job.
  bool is_joinable_by(const DialRequest& other) const {
    if (result || request.peer != other.peer || request.is_new_connection ||
        other.is_new_connection || request.use_new_port != other.use_new_port ||
        request.is_only_these != other.is_only_these)
      return false;
    return !request.is_only_these || request.addresses == other.addresses;
  }

  bool is_waiting_for(const Multiaddr& address) const {
    return !result && plan.is_running(address) &&
           std::ranges::find(reached, address) == reached.end();
  }

  const DialRequest request;
  DialPlan plan;
  std::vector<Multiaddr> reached;  ///< Somebody has answered there.
  ResolveBudget budget;
  std::size_t resolving = 0;
  Error resolve_error = Errc::unavailable;
  TimePoint deadline;
  /// The DNS names behind addresses of the plan; at most as many as the plan takes.
  std::map<Multiaddr, std::string> names;
  /// What addresses of the plan are known as, where IPv4 is reached through IPv6; as many.
  std::map<Multiaddr, Multiaddr> originals;
  std::string detail;  ///< Of the dial that the plan's error is of.
  std::vector<Waiter*> waiters;
  std::optional<Result<ConnectionInfo>> result;
  Event changed;
  TaskGroup tasks;  // Dials and look-ups.
};

/// One who waits for a job. The job goes on while there is one.
class Dialer::Waiter {
 public:
  Waiter(Job& job, Env& env, std::string* detail)
      : job_(&job), detail_(detail), done_(env.executor()) {
    job.waiters.push_back(this);
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() {
    if (!job_) return;
    std::erase(job_->waiters, this);
    job_->changed.notify();
  }

  Task<ConnectionInfo> wait() {
    while (!result_) PYRSIA_CO_TRY(co_await done_.wait());
    co_return *result_;
  }
  void finish(const Result<ConnectionInfo>& result) {
    if (!result && detail_) *detail_ = job_->detail;
    job_ = nullptr;
    result_ = result;
    done_.notify();
  }

 private:
  Job* job_;
  std::string* detail_;
  std::optional<Result<ConnectionInfo>> result_;
  Event done_;
};

/// Counts a dial against max_dials; those who wait for room hear of it when it ends.
class Dialer::DialSlot {
 public:
  explicit DialSlot(Dialer& dialer) : dialer_(dialer) { ++dialer_.running_; }
  DialSlot(const DialSlot&) = delete;
  DialSlot& operator=(const DialSlot&) = delete;
  ~DialSlot() {
    if (dialer_.running_-- < dialer_.shared_.config.max_dials) return;
    for (const auto& job : dialer_.jobs_) job->changed.notify();
  }

 private:
  Dialer& dialer_;
};

/// Tells the detectors how a dial ended, also one that is cancelled.
class Dialer::Outcome {
 public:
  Outcome(Env& env, std::vector<BlackHoleDetector*> detectors)
      : env_(env), detectors_(std::move(detectors)), start_(env.now()) {}
  Outcome(const Outcome&) = delete;
  Outcome& operator=(const Outcome&) = delete;
  ~Outcome() {
    const auto evidence = evidence_of(error, env_.now() - start_);
    for (auto* detector : detectors_)
      if (evidence) detector->record(*evidence);
  }

  Error error = Errc::cancelled;

 private:
  Env& env_;
  std::vector<BlackHoleDetector*> detectors_;
  TimePoint start_;
};

Dialer::Dialer(Shared& shared, Connections& connections, const Listeners& listeners,
               Notifier& notifier)
    : shared_(shared),
      connections_(connections),
      listeners_(listeners),
      notifier_(notifier),
      udp_(shared.config.black_holes),
      ipv6_(shared.config.black_holes),
      drivers_(shared.env) {}

Dialer::~Dialer() = default;

Task<ConnectionInfo> Dialer::connect(DialRequest request) {
  if (is_stopping_) co_return Errc::closed;
  if (request.peer == shared_.local_peer) co_return Errc::invalid_argument;
  if (!connections_.has_room(request.peer)) {
    shared_.metrics.connections_refused.add();
    co_return Errc::limit_reached;
  }
  auto* const detail = std::exchange(request.detail, nullptr);  // Of this caller only.
  auto* job = find_joinable(request);
  const bool is_new = job == nullptr;
  if (is_new) {
    job = &make_job(std::move(request));
  } else {
    add_addresses(*job, request.addresses, false);
    job->changed.notify();
  }
  // The job ends once nobody waits for it, so it starts when somebody does.
  Waiter waiter(*job, shared_.env, detail);
  if (is_new) drivers_.spawn(drive(*job));
  co_return co_await waiter.wait();
}

Task<> Dialer::stop() {
  is_stopping_ = true;
  for (const auto& job : jobs_) {
    if (!job->result) job->result = Errc::closed;
    job->changed.notify();
  }
  co_return co_await drivers_.join();
}

Dialer::Job* Dialer::find_joinable(const DialRequest& request) const {
  const auto found =
      std::ranges::find_if(jobs_, [&](const auto& job) { return job->is_joinable_by(request); });
  return found == jobs_.end() ? nullptr : found->get();
}

Dialer::Job& Dialer::make_job(DialRequest request) {
  auto& job = *jobs_.emplace_back(std::make_unique<Job>(shared_.env, std::move(request)));
  job.deadline = shared_.env.now() + shared_.config.connect_timeout;
  add_addresses(job, job.request.addresses, false);
  if (!job.request.is_only_these)
    add_addresses(job, shared_.peer_store.addresses(job.request.peer, shared_.env.now()), true);
  return job;
}

void Dialer::add_addresses(Job& job, const std::vector<Multiaddr>& addresses, bool is_stored) {
  for (const auto& address : addresses) {
    const auto named = address.peer_id();
    if (named && *named != job.request.peer) continue;
    if (address.dns_name()) {
      // With its /p2p, which chooses among the records of a /dnsaddr.
      ++job.resolving;
      job.tasks.spawn(resolve_name(job, address));
    } else {
      const ResolvedAddress resolved{address.without_peer(), ""};
      add_address(job, resolved, is_stored);
    }
  }
}

void Dialer::add_address(Job& job, const ResolvedAddress& resolved, bool is_stored) {
  const auto now = shared_.env.now();
  auto address = multi::with_tls_spelled_out(resolved.address);
  const auto ip = address.ip();
  if (!ip || address.is_relayed() || !transport_for(address)) return;
  const auto address_class = shared_.classifier.classify(address);
  if (address_class == AddressClass::unusable) return;
  // Without its zone, which no other machine knows, it leads nowhere.
  if (address_class == AddressClass::link_local && ip->is_v6()) return;
  const auto own = listeners_.addresses();
  if (std::ranges::find(own, address) != own.end()) return;
  const auto original = address;
  if (shared_.synthesis && ip->is_v4() && address_class == AddressClass::global)
    if (const auto v6 = shared_.synthesis(*ip)) address = address.with_ip(*v6);
  if (is_stored && backoff_.is_resting(job.request.peer, address, now)) return;
  bool is_last_resort = false;
  for (auto* detector : detectors_for(job, address))
    is_last_resort = detector->holds_back() || is_last_resort;
  if (is_last_resort) shared_.metrics.dials_held_back.add();
  const bool is_new = job.plan.add(address, address_class, now, is_last_resort);
  if (is_new && !resolved.name.empty()) job.names.emplace(address, resolved.name);
  if (is_new && original != address) job.originals.emplace(address, original);
}

std::vector<BlackHoleDetector*> Dialer::detectors_for(const Job& job, const Multiaddr& address) {
  std::vector<BlackHoleDetector*> detectors;
  const bool is_global = shared_.classifier.classify(address) == AddressClass::global;
  if (job.request.is_only_these || !is_global) return detectors;
  if (address.has(Protocol::udp)) detectors.push_back(&udp_);
  if (address.ip()->is_v6()) detectors.push_back(&ipv6_);
  return detectors;
}

transport::Transport* Dialer::transport_for(const Multiaddr& address) const {
  for (const auto& each : shared_.transports)
    if (each->can_dial(address)) return each.get();
  return nullptr;
}

Task<> Dialer::drive(Job& job) {
  while (!job.result && !job.waiters.empty()) {
    start_due(job);
    if (job.result) break;
    const auto now = shared_.env.now();
    if (job.plan.is_exhausted() && job.resolving == 0) {
      const auto error = job.plan.error();
      job.result = error == Errc::unavailable ? job.resolve_error : error;
    } else if (now >= job.deadline) {
      job.result = Errc::timed_out;
    } else if (const auto waited = co_await wait_for_change(job); !waited) {
      job.result = waited.error();
    }
  }
  finish(job);
  job.tasks.cancel();
  PYRSIA_CO_TRY(co_await job.tasks.join());
  std::erase_if(jobs_, [&job](const auto& each) { return each.get() == &job; });
  co_return ok;
}

Task<> Dialer::wait_for_change(Job& job) {
  auto until = job.deadline;
  const auto next = job.plan.next_start();
  if (next && running_ < shared_.config.max_dials) until = std::min(until, *next);
  const auto limit = until - shared_.env.now();
  const auto change = co_await with_timeout(shared_.env, limit, job.changed.wait());
  if (!change && change.error() != Errc::timed_out) co_return change.error();
  co_return ok;
}

void Dialer::start_due(Job& job) {
  while (!job.result && running_ < shared_.config.max_dials) {
    auto address = job.plan.start_next(shared_.env.now());
    if (!address) return;
    if (job.request.repeat_after > Duration(0)) job.tasks.spawn(repeat(job, *address));
    if (job.request.reach_timeout > Duration(0)) job.tasks.spawn(give_up(job, *address));
    job.tasks.spawn(dial(job, *std::move(address)));
  }
}

Task<> Dialer::resolve_name(Job& job, Multiaddr address) {
  auto resolving = resolve(shared_.env, std::move(address), job.request.peer, job.budget);
  const auto found =
      co_await with_timeout(shared_.env, shared_.config.dial_timeout, std::move(resolving));
  --job.resolving;
  if (!found) {
    job.resolve_error = found.error();
  } else {
    for (const auto& each : *found) add_address(job, each, false);
  }
  job.changed.notify();
  co_return ok;
}

Task<> Dialer::dial(Job& job, Multiaddr address) {
  const DialSlot slot(*this);
  shared_.metrics.dials.add();
  notifier_.dialing(address);
  transport::DialOptions options;
  options.use_new_port = job.request.use_new_port;
  options.on_connected = [this, &job, address] {
    job.reached.push_back(address);
    job.plan.connected(address, shared_.env.now());
    job.changed.notify();
  };
  if (const auto named = job.names.find(address); named != job.names.end())
    options.host_name = named->second;
  std::string detail;
  options.detail = &detail;
  Outcome outcome(shared_.env, detectors_for(job, address));
  auto connection = co_await dial_once(job, address, options);
  // What somebody can say more of is a certificate, say, and stays as it is.
  const bool may_try_again = !options.use_new_port && detail.empty();
  if (!connection && may_try_again && may_have_crossed(address, connection.error())) {
    const auto pause = Duration(shared_.env.random_below(std::uint64_t(kLongestJitter.count())));
    PYRSIA_CO_TRY(co_await shared_.env.sleep_for(pause));
    shared_.metrics.dials.add();
    options.use_new_port = true;
    connection = co_await dial_once(job, address, options);
  }
  outcome.error = connection ? Error() : connection.error();
  const auto original = job.originals.find(address);
  if (connection && original != job.originals.end()) connection->remote = original->second;
  if (!connection) {
    dial_ended(job, address, connection.error(), detail);
  } else {
    dial_ended(job, address, connections_.adopt(*std::move(connection), Direction::outbound), "");
  }
  co_return ok;
}

/// Where both sides dial from the ports that they listen on, the SYNs may meet in one connection of
/// two initiators: each takes the other's words for nonsense.
bool Dialer::may_have_crossed(const Multiaddr& address, const Error& error) const {
  const bool is_nonsense =
      error == Errc::malformed || error == Errc::protocol_violation || error == Errc::bad_signature;
  return is_nonsense && address.has(Protocol::tcp) &&
         std::ranges::any_of(listeners_.addresses(), [&](const Multiaddr& own) {
           return own.has(Protocol::tcp) && own.ip() && own.ip()->is_v6() == address.ip()->is_v6();
         });
}

Task<transport::Connection> Dialer::dial_once(Job& job, const Multiaddr& address,
                                              const transport::DialOptions& options) {
  auto dialing = transport_for(address)->dial(address, job.request.peer, options);
  co_return co_await with_timeout(shared_.env, shared_.config.dial_timeout, std::move(dialing));
}

Task<> Dialer::repeat(Job& job, Multiaddr address) {
  for (int i = 0; i < job.request.max_repeats; ++i) {
    PYRSIA_CO_TRY(co_await shared_.env.sleep_for(job.request.repeat_after));
    if (!job.is_waiting_for(address) || running_ >= shared_.config.max_dials) co_return ok;
    job.tasks.spawn(dial(job, address));
  }
  co_return ok;
}

Task<> Dialer::give_up(Job& job, Multiaddr address) {
  PYRSIA_CO_TRY(co_await shared_.env.sleep_for(job.request.reach_timeout));
  if (job.is_waiting_for(address)) dial_ended(job, address, Errc::timed_out, "");
  co_return ok;
}

void Dialer::dial_ended(Job& job, const Multiaddr& address, Result<ConnectionInfo> result,
                        const std::string& detail) {
  const auto& peer = job.request.peer;
  if (result) {
    backoff_.succeeded(peer, address);
    // One that comes in after the winner, in the same turn, is kept as well.
    if (!job.result) job.result = std::move(result);
  } else if (result.error() != Errc::cancelled && job.plan.is_running(address)) {
    const auto now = shared_.env.now();
    const auto error = result.error();
    shared_.metrics.dials_failed.add();
    shared_.log.debug("dial failed",
                      {{"address", address.to_string()}, {"error", error}, {"detail", detail}});
    if (closeness(error) >= closeness(job.plan.error())) job.detail = detail;
    const auto original = job.originals.find(address);
    if (error == Errc::wrong_peer)
      shared_.peer_store.remove_address(
          peer, original == job.originals.end() ? address : original->second);
    if (!job.request.is_only_these) backoff_.failed(peer, address, now);
    job.plan.failed(address, error, now);
  }
  job.changed.notify();
}

void Dialer::finish(Job& job) {
  // Without a result all who waited have gone.
  if (!job.result) job.result = Errc::cancelled;
  for (auto* waiter : job.waiters) waiter->finish(*job.result);
  job.waiters.clear();
}

}  // namespace pyrsia::swarm
