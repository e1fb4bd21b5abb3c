#include "autonat2.hpp"

#include "protocols/autonat_v2/exchange.hpp"
#include "runtime/timeout.hpp"

#include <cstdio>
#include <memory>
#include <vector>

namespace pyrsia::bench {
namespace {

constexpr Duration kNonceWait = std::chrono::seconds(5);
constexpr std::size_t kMaxDialBacks = 64;

/// One peer that asks as often as it likes: the node's own client asks by its own plan.
class Asker {
 public:
  Asker(Env& env, const std::string& security) : node_(env, security), arrived_(env.executor()) {}

  Task<> start(Multiaddr listen, Multiaddr server) {
    node_.start(false);
    const swarm::ProtocolLimits limits{kMaxDialBacks, kMaxDialBacks};
    const auto take = [this](swarm::IncomingStream incoming) {
      return take_nonce(std::move(incoming));
    };
    node_.swarm().handle(std::string(autonat_v2::kDialBackProtocol), limits, take);
    PYRSIA_CO_TRY(const auto bound, node_.swarm().listen(listen));
    own_ = bound;
    PYRSIA_CO_TRY(co_await node_.connect(server));
    co_return ok;
  }
  Task<> stop() { co_return co_await node_.stop(); }

  /// Errors: `Errc::refused` (its word, or no nonce), those of the stream.
  Task<> ask_until(TimePoint end, PeerId server, std::uint64_t& reached) {
    while (node_.env().now() < end) {
      PYRSIA_CO_TRY(co_await ask(server));
      ++reached;
    }
    co_return ok;
  }

 private:
  Task<> ask(const PeerId& server) {
    const std::string protocol(autonat_v2::kDialRequestProtocol);
    PYRSIA_CO_TRY(const auto stream, co_await node_.swarm().open_stream(server, protocol));
    autonat_v2::DialRequest request;
    request.addresses.assign(1, own_);
    request.nonce = expected_ = node_.env().random_below(~std::uint64_t(0));
    has_arrived_ = false;
    std::uint64_t paid = 0;
    auto asking = autonat_v2::request(*stream, std::move(request), 0, paid);
    PYRSIA_CO_TRY(const auto answer, co_await std::move(asking));
    const bool is_reached = answer.status == autonat_v2::ResponseStatus::ok &&
                            answer.dial_status == autonat_v2::DialStatus::ok;
    if (!is_reached) {
      std::fprintf(stderr, "not reached: %d %d\n", int(answer.status), int(answer.dial_status));
      co_return Errc::refused;
    }
    co_return co_await with_timeout(node_.env(), kNonceWait, until_arrived());
  }

  Task<> until_arrived() {
    while (!has_arrived_) PYRSIA_CO_TRY(co_await arrived_.wait());
    co_return ok;
  }

  Task<> take_nonce(swarm::IncomingStream incoming) {
    PYRSIA_CO_TRY(const auto nonce, co_await autonat_v2::receive_nonce(*incoming.stream));
    if (nonce != expected_) co_return Errc::refused;
    has_arrived_ = true;
    arrived_.notify();
    co_return co_await autonat_v2::confirm_nonce(*incoming.stream);
  }

  Node node_;
  Multiaddr own_;
  std::uint64_t expected_ = 0;
  bool has_arrived_ = false;
  Event arrived_;
};

}  // namespace

Task<> autonat2(Env& env, Load load) {
  std::vector<std::unique_ptr<Asker>> askers;
  for (int i = 0; i < load.at_once; ++i) {
    askers.push_back(std::make_unique<Asker>(env, load.security));
    PYRSIA_CO_TRY(co_await askers.back()->start(load.listen, load.to));
  }
  const auto begin = env.now();
  std::vector<std::uint64_t> reached(askers.size(), 0);
  TaskGroup asking(env);
  for (std::size_t i = 0; i < askers.size(); ++i)
    asking.spawn(askers[i]->ask_until(begin + load.duration, *load.to.peer_id(), reached[i]));
  PYRSIA_CO_TRY(co_await asking.join());
  std::uint64_t total = 0;
  for (const auto count : reached) total += count;
  const auto elapsed = std::chrono::duration<double>(env.now() - begin).count();
  std::printf("result per_second=%.1f\n", double(total) / elapsed);
  for (const auto& asker : askers) PYRSIA_CO_TRY(co_await asker->stop());
  co_return ok;
}

}  // namespace pyrsia::bench
