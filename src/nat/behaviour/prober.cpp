#include "nat/behaviour/prober.hpp"

#include "runtime/timeout.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::nat {
namespace {

/// Inner ports of the sockets that show the order, from an even first one: not in their own order,
/// so that neighbours and successors can be told apart.
constexpr std::array<std::uint16_t, Discovery::kPortSockets> kOffsets{0, 2, 1,  3,  5,  4,  7,  6,
                                                                      9, 8, 10, 11, 13, 12, 15, 14};
constexpr int kBindTries = 8;
constexpr int kHairpinTries = 3;
constexpr std::size_t kFirstPort = 20000;
constexpr std::size_t kPortRange = 20000;

std::vector<IpAddress> own_addresses(Env& env) {
  std::vector<IpAddress> own;
  for (const auto& address : env.interface_addresses()) own.push_back(address.ip);
  return own;
}

}  // namespace

/// The answers to the tests that are under way.
struct Prober::Round {
  Round(Env& env, std::size_t count) : answers(count), left(count), changed(env.executor()) {}

  std::vector<TestAnswer> answers;
  std::size_t left;
  bool has_answer = false;
  Event changed;
};

Prober::Prober(Env& env, std::vector<Endpoint> servers, IpAddress local, const ProberConfig& config)
    : env_(env),
      local_(local),
      config_(config),
      discovery_(std::move(servers), own_addresses(env), config.nat64),
      tasks_(env) {}

Prober::~Prober() = default;

Task<> Prober::stop() {
  tasks_.cancel();
  (void)co_await tasks_.join();
  for (const auto& [role, client] : clients_) (void)co_await client->stop();
  clients_.clear();
  co_return ok;
}

Task<UdpBehaviour> Prober::run() {
  for (;;) {
    const auto tests = discovery_.next_round();
    if (tests.empty()) break;
    PYRSIA_CO_TRY(co_await run_round(tests));
  }
  co_return discovery_.behaviour();
}

Result<stun::Client*> Prober::client_of(Role role, std::size_t number) {
  auto& client = clients_[{role, number}];
  if (!client) {
    PYRSIA_TRY(client, stun::Client::bind(env_, Endpoint{local_, 0}, config_.metrics));
  }
  return client.get();
}

Result<> Prober::open_ports() {
  if (clients_.contains({Role::port, 0})) return ok;
  for (int attempt = 0; attempt < kBindTries; ++attempt) {
    const auto first = static_cast<std::uint16_t>((kFirstPort + env_.random_below(kPortRange)) &
                                                  ~std::uint64_t(1));
    std::vector<std::unique_ptr<UdpSocket>> sockets;
    for (const auto offset : kOffsets) {
      auto socket = env_.udp_bind({local_, static_cast<std::uint16_t>(first + offset)});
      if (!socket) break;
      sockets.push_back(*std::move(socket));
    }
    if (sockets.size() < kOffsets.size()) continue;
    for (std::size_t i = 0; i < sockets.size(); ++i)
      clients_[{Role::port, i}] =
          std::make_unique<stun::Client>(env_, std::move(sockets[i]), config_.metrics);
    return ok;
  }
  return ok;  // Any ports then, of client_of(): less is seen, nothing wrong.
}

Result<> Prober::open(const Test& test) {
  if (test.role == Role::port) PYRSIA_TRY(open_ports());
  PYRSIA_TRY(client_of(test.role, test.number));
  return ok;
}

stun::RetransmitPlan Prober::plan() const {
  const auto round_trip = discovery_.behaviour().round_trip;
  if (!round_trip) return config_.first_plan;
  const auto wish = std::chrono::duration_cast<Duration>(*round_trip * config_.round_trips);
  stun::RetransmitPlan plan;
  plan.rto = std::clamp(wish, config_.min_rto, config_.max_rto);
  plan.count = config_.transmissions;
  plan.last_factor = 2;
  plan.max_rto = config_.max_rto;
  return plan;
}

Task<> Prober::run_round(const std::vector<Test>& tests) {
  round_ = std::make_unique<Round>(env_, tests.size());
  for (const auto& test : tests) PYRSIA_CO_TRY(open(test));
  for (std::size_t i = 0; i < tests.size(); ++i) tasks_.spawn(run_test(tests[i], *round_, i));
  std::optional<TimePoint> deadline;
  while (round_->left > 0) {
    if (discovery_.is_first_round() && round_->has_answer && !deadline)
      deadline = env_.now() + config_.grace;
    if (deadline && env_.now() >= *deadline) break;
    if (deadline) {
      const auto left = *deadline - env_.now();
      const auto waited = co_await with_timeout(env_, left, round_->changed.wait());
      if (!waited && waited.error() == Errc::cancelled) co_return waited.error();
    } else {
      PYRSIA_CO_TRY(co_await round_->changed.wait());
    }
  }
  tasks_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.wait_until_empty());
  for (std::size_t i = 0; i < tests.size(); ++i) discovery_.take(tests[i], round_->answers[i]);
  co_return ok;
}

Task<> Prober::run_test(Test test, Round& round, std::size_t index) {
  auto& answer = round.answers[index];
  const auto client = client_of(test.role, test.number);
  if (client && test.kind == Test::Kind::hairpin) {
    PYRSIA_CO_TRY(answer.has_answer, co_await hairpin(test));
  } else if (client) {
    stun::Query query;
    query.server = test.server;
    query.change = test.change;
    query.padding = test.padding;
    query.plan = plan();
    answer.local_port = (*client)->local().port;
    auto response = co_await (*client)->ask(query);
    if (!response && response.error() == Errc::cancelled) co_return response.error();
    answer.has_answer = response.has_value();
    if (response) answer.response = *std::move(response);
  }
  round.has_answer = round.has_answer || answer.has_answer;
  --round.left;
  round.changed.notify();
  co_return ok;
}

/// From one of our sockets to the outer address of another. That one sends first, so that its
/// filter lets the other in.
Task<bool> Prober::hairpin(Test test) {
  PYRSIA_CO_TRY(auto* sender, client_of(test.role, test.number));
  PYRSIA_CO_TRY(auto* receiver, client_of(Role::mapping, 0));
  auto mapped = discovery_.behaviour().mapped;
  if (!mapped) co_return false;
  auto other = test.server;
  if (config_.nat64) {
    mapped = through(*config_.nat64, *mapped);
    other = through(*config_.nat64, other);
  }
  for (int i = 0; i < kHairpinTries; ++i) {
    const auto transaction = stun::random_transaction(env_);
    auto hearing = receiver->hears(transaction);
    (void)receiver->indicate(other);
    (void)sender->request(*mapped, transaction);
    const auto heard = co_await with_timeout(env_, plan().rto, std::move(hearing));
    if (heard) co_return true;
    if (heard.error() == Errc::cancelled) co_return heard.error();
  }
  co_return false;
}

}  // namespace pyrsia::nat
