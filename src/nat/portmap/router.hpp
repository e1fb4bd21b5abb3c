#pragma once

#include "nat/portmap/epoch.hpp"
#include "nat/portmap/pcp_wire.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::portmap {

/// What asking one router in one protocol has come to.
struct Attempt {
  /// One that is found may refuse this or that all the same: then `error` and `words` tell of it.
  enum class State { asking, found, failed };
  Method method = Method::pcp;
  IpAddress server;
  State state = State::asking;
  Error error;
  std::string words;                  ///< What it is, why it failed, or what it refused last.
  std::optional<IpAddress> external;  ///< Its outside, where the protocol told it.
  bool lacks_outside = false;         ///< It says that it has none, or none that is public.
  bool has_nat_between = false;       ///< It sees us at another address than ours.
  std::string name;                   ///< What it calls itself, at most 64 printable bytes.
  Duration took{0};
};

struct RouterConfig {
  std::vector<Method> methods{kMethods.begin(), kMethods.end()};
  Duration budget = std::chrono::seconds(2);  ///< For the search; then silence is the answer.
  /// How long a better protocol is waited for once a worse one has answered.
  Duration grace = std::chrono::milliseconds(250);
  Duration map_timeout = std::chrono::milliseconds(1500);  ///< One mapping in one protocol.
};

/// What is known beforehand of a router.
struct Recalled {
  std::optional<Method> method;  ///< That worked last time: its answer is enough.
  std::optional<pcp::Nonce> nonce;

  auto operator<=>(const Recalled&) const = default;
};

/// One router, asked in all protocols at once; the best that answers does the work, the next one if
/// that fails, and for a mapping that it refuses. Owned by the mapper, or by whoever asks; the
/// context must outlive it.
class Router {
 public:
  /// `upnp_route`: where UPnP is asked over IPv4, for IPv6 as well; none: not there. Over IPv6 it
  /// is asked along `route`.
  Router(const Context& context, RouterConfig config, const Route& route,
         const std::optional<Route>& upnp_route, const Recalled& recalled);

  /// Begins to search; `on_progress` is called whenever a protocol has answered or given up.
  void begin(std::function<void()> on_progress);
  /// It is clear which protocol to use.
  bool has_answered() const { return choice({}).has_value(); }
  /// No protocol is left.
  bool is_over() const { return is_over({}); }
  /// Searches; ends as soon as it is clear which protocol to use. The rest goes on in the
  /// background, for the report. Errors: `Errc::unavailable`: none answers.
  Task<> find();
  /// The same, but waits for the protocol that has made what is to be renewed; for any, if that one
  /// has failed.
  Task<> find(Method method);
  /// Ends when each protocol has answered or its time is over. Errors: none.
  Task<> find_all();
  /// Ends what runs. Errors: none.
  Task<> stop();

  /// Makes a mapping by the best protocol that can. Errors: of the last one tried, or
  /// `Errc::unavailable`; `detail` says why.
  Task<Grant> map(const MapRequest& request, std::string& detail);
  /// By the protocol that has made it; if that does not answer any more, by the one that is in use,
  /// which is searched for if there is none. Errors: as Client::map(), `Errc::timed_out`.
  Task<Grant> renew(const MapRequest& request, const Grant& before, std::string& detail);
  Task<> unmap(const MapRequest& request, const Grant& granted, std::string& detail);
  /// Asks the router how it is. Errors: as Client::discover(), `Errc::timed_out`.
  Task<Presence> check(Method method);
  /// True once after each restart of the router that was noticed.
  bool take_restart();

  const Route& route() const { return route_; }
  const pcp::Nonce& nonce() const { return nonce_; }
  /// Which protocol does the work, where it is not refused; none: none does.
  std::optional<Method> method() const;
  const std::vector<Attempt>& attempts() const { return attempts_; }
  /// The one behind `attempts()[index]`.
  Client& client(std::size_t index) { return *clients_[index]; }

 private:
  void add_clients(Method method, const std::optional<Route>& upnp_route);
  void add(std::unique_ptr<Client> client, const IpAddress& server);
  /// One for each client: it has refused the mapping that is asked for.
  using Refused = std::vector<bool>;

  Task<> search(std::size_t index);
  /// The protocol to use as of now; none if one should wait, or none is left.
  std::optional<std::size_t> choice(const Refused& refused) const;
  bool is_over(const Refused& refused) const;
  Task<std::size_t> find_but(const Refused& refused);
  /// Ends when a search has, or after `limit`. Errors: `Errc::cancelled`.
  Task<> wait_for_progress(Duration limit);
  /// The first that speaks it, in this state.
  std::optional<std::size_t> first_of(Method method, Attempt::State state) const;
  /// Which client speaks for a mapping that this protocol has made.
  std::optional<std::size_t> index_for(Method method) const;
  void fail(std::size_t index, Error error, std::string words);
  void note(std::size_t index, Error error, std::string words);
  void watch_epoch(std::size_t index);

  const Context& context_;
  RouterConfig config_;
  Route route_;
  Recalled recalled_;
  pcp::Nonce nonce_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Attempt> attempts_;  ///< One for each client.
  std::optional<std::size_t> chosen_;
  std::optional<TimePoint> first_found_;
  std::vector<EpochWatch> epochs_;  ///< One for each client: each protocol has a clock of its own.
  bool has_restarted_ = false;
  bool is_started_ = false;
  std::function<void()> on_progress_;
  Event progress_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::portmap
