#include "protocols/nat_facts/server.hpp"

#include "protocols/nat_facts/exchange.hpp"
#include "runtime/timeout.hpp"

namespace pyrsia::nat_facts {
namespace {

/// Counts a stream while it is served.
class Place {
 public:
  explicit Place(std::size_t& count) : count_(++count) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { --count_; }

 private:
  std::size_t& count_;
};

}  // namespace

Server::Server(Env& env, const ServerConfig& config, Facts facts)
    : env_(env), config_(config), facts_(std::move(facts)), throttle_({config.throttle}) {}

Task<> Server::serve(PeerId peer, IpAddress ip, std::unique_ptr<Stream> stream) {
  const bool is_allowed =
      stream_count_ < config_.max_streams &&
      throttle_.check(peer, ip, env_.now()) == swarm::Throttle::Verdict::allowed;
  if (!is_allowed) {
    metrics_.limited.add();
    stream->reset(ResetCode::rate_limited);
    co_return Errc::limit_reached;
  }
  throttle_.add(peer, ip, env_.now());
  const Place place(stream_count_);
  auto answering = answer_with_facts(*stream);
  const auto answered = co_await with_timeout(env_, config_.timeout, std::move(answering));
  (answered ? metrics_.answered : metrics_.failed).add();
  if (!answered) stream->reset();
  co_return answered;
}

Task<> Server::answer_with_facts(Stream& stream) {
  PYRSIA_CO_TRY(const auto report, co_await facts_());
  co_return co_await answer(stream, report);
}

}  // namespace pyrsia::nat_facts
