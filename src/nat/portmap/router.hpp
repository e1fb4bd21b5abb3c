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
  enum class State { asking, found, failed };
  Method method = Method::pcp;
  IpAddress server;
  State state = State::asking;
  Error error;
  std::string words;                  ///< What it is, or why it failed.
  std::optional<IpAddress> external;  ///< Its outside, where the protocol told it.
  bool lacks_outside = false;         ///< It says that it has none, or none that is public.
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
/// that fails. Owned by the mapper, or by whoever asks; the context must outlive it.
class Router {
 public:
  /// `upnp_route`: where UPnP is asked over IPv4, for IPv6 as well; none: not there. Over IPv6 it
  /// is asked along `route`.
  Router(const Context& context, RouterConfig config, const Route& route,
         const std::optional<Route>& upnp_route, const Recalled& recalled);

  /// Begins to search; `on_progress` is called whenever a protocol has answered or given up.
  void begin(std::function<void()> on_progress);
  /// It is clear which protocol to use.
  bool has_answered() const { return choice().has_value(); }
  /// No protocol is left.
  bool is_over() const;
  /// Searches; ends as soon as it is clear which protocol to use. The rest goes on in the
  /// background, for the report. Errors: `Errc::unavailable`: none answers.
  Task<> find();
  /// Ends when each protocol has answered or its time is over. Errors: none.
  Task<> find_all();
  /// Ends what runs. Errors: none.
  Task<> stop();

  /// Makes a mapping by the best protocol that can. Errors: of the last one tried, or
  /// `Errc::unavailable`; `detail` says why.
  Task<Grant> map(const MapRequest& request, std::string& detail);
  /// By the protocol that is in use, which is searched for if there is none. Errors: as
  /// Client::map(), `Errc::timed_out`.
  Task<Grant> renew(const MapRequest& request, const Grant& before, std::string& detail);
  Task<> unmap(const MapRequest& request, const Grant& granted, std::string& detail);
  /// Asks the router how it is. Errors: as Client::discover(), `Errc::timed_out`.
  Task<Presence> check();
  /// True once after each restart of the router that was noticed.
  bool take_restart();

  const Route& route() const { return route_; }
  const pcp::Nonce& nonce() const { return nonce_; }
  /// Which protocol does the work; none: none does.
  std::optional<Method> method() const;
  const std::vector<Attempt>& attempts() const { return attempts_; }
  /// The one behind `attempts()[index]`.
  Client& client(std::size_t index) { return *clients_[index]; }

 private:
  void add_clients(Method method, const std::optional<Route>& upnp_route);
  void add(std::unique_ptr<Client> client, const IpAddress& server);
  Task<> search(std::size_t index);
  /// The protocol to use as of now; none if one should wait, or none is left.
  std::optional<std::size_t> choice() const;
  void fail(std::size_t index, Error error, std::string words);
  void watch_epoch(Client& client);

  const Context& context_;
  RouterConfig config_;
  Route route_;
  Recalled recalled_;
  pcp::Nonce nonce_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Attempt> attempts_;  ///< One for each client.
  std::optional<std::size_t> chosen_;
  std::optional<TimePoint> first_found_;
  EpochWatch epoch_;
  bool has_restarted_ = false;
  bool is_started_ = false;
  std::function<void()> on_progress_;
  Event progress_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::portmap
