/// Keeps ports of ours open on the routers in front of us.
#pragma once

#include "multi/address_class.hpp"
#include "nat/portmap/pcp_refusals.hpp"
#include "nat/portmap/place.hpp"
#include "nat/portmap/router.hpp"
#include "runtime/interruptible.hpp"

#include <pyrsia/log.hpp>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace pyrsia::portmap {

/// Ports of ours that are mapped; the rest are counted and left closed.
inline constexpr std::size_t kMaxListeners = 16;

struct MapperConfig {
  RouterConfig router;
  Duration lifetime = std::chrono::hours(2);  ///< Asked for. RFC 6886, section 3.3.
  /// How often a router is asked whether it still is what it was; UPnP mappings are renewed then.
  Duration check_interval = std::chrono::minutes(1);
  /// After a search that found nothing, or a refusal; doubles up to the second.
  Duration first_retry = std::chrono::seconds(30);
  Duration last_retry = std::chrono::minutes(30);
  Duration removal_budget = std::chrono::milliseconds(700);  ///< For all mappings, at the end.
  /// After word of a restart everybody asks again, at a time of his own. RFC 6887, section 8.5
  /// says up to 5 s; homes are small.
  Duration restart_jitter = std::chrono::milliseconds(500);
  std::size_t max_listeners = kMaxListeners;
  std::size_t max_paths = 4;  ///< Addresses of ours that have a router.
  std::size_t max_hops = 2;   ///< Routers behind each other.
};

/// Where we listen. The IP may be unspecified.
struct Listener {
  Transport transport = Transport::tcp;
  Endpoint at;
  auto operator<=>(const Listener&) const = default;
};

/// A change of what is mapped, or of what is known of it.
struct MappingEvent {
  enum class Kind {
    gained,
    changed,  ///< Another address or port outside.
    lost,
    confirmed,  ///< A dial-back came through.
    broken,     ///< A dial-back did not.
  };
  Kind kind = Kind::gained;
  Listener listener;  ///< With the address of ours that it is mapped to.
  Endpoint external;  ///< Usable by others, as far as the routers say.
  Method method = Method::pcp;
  std::string words;  ///< How it is made, or why it is no more; may be empty.
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_mapping(const MappingEvent& event) = 0;
};

/// What is known of networks from earlier; both may be empty.
struct Memory {
  std::function<Recalled(const NetworkId&)> recall = {};
  std::function<void(const NetworkId&, const Recalled&)> remember = {};
};

/// One port and what has become of it.
struct MappingStatus {
  enum class State {
    searching,
    none,       ///< No router grants it.
    useless,    ///< Granted, but nobody outside can use the address.
    granted,    ///< Nobody has tried it from outside yet.
    confirmed,  ///< A dial-back came through.
    broken,     ///< A dial-back did not.
  };
  Listener listener;
  State state = State::searching;
  std::optional<Endpoint> external;
  std::optional<Method> method;
  std::vector<IpAddress> routers;  ///< That it goes through, ours first.
  Duration lifetime_left{0};
  std::string words;
};

std::string_view name(MappingStatus::State state);

struct Report {
  std::vector<MappingStatus> mappings;
  std::vector<Attempt> attempts;  ///< Of the last search, router by router.
  std::string words;
};

/// The service. Searches the routers of the default routes in all protocols at once, has every
/// listener mapped, renews at half life and a bit, makes anew what a restarted router or another
/// network has lost, takes all away at the end. Where the outside address is not public, the router
/// beyond is asked as well. Owned by the host; observer, classifier and metrics must outlive it.
class Mapper {
 public:
  Mapper(Env& env, MapperConfig config, const AddressClassifier& classifier, Observer& observer,
         Memory memory, Metrics& metrics, Logger log);
  ~Mapper();

  void start();
  /// Takes the mappings away, within the budget. Errors: none.
  Task<> stop();

  /// Replaces the last ones.
  void set_listeners(std::vector<Listener> listeners);
  /// Addresses or routes may be others than before, or we have slept: looks at once.
  void network_changed();
  /// A dial-back to an outside address of ours has ended. Anything else is passed over.
  void judge(Transport transport, const Endpoint& external, bool was_reached);
  /// Where peers see us, for the reasons: a router that says otherwise is not the last one.
  void set_observed(std::vector<IpAddress> observed) { observed_ = std::move(observed); }

  Report report() const;
  /// The outside endpoints that are worth a dial-back.
  std::vector<std::pair<Listener, Endpoint>> externals() const;

 private:
  /// One router's part of a mapping.
  struct Leg {
    MapRequest request;
    std::optional<Grant> grant;
    TimePoint renew_at{};
    TimePoint expires_at{};
  };
  struct Lease {
    std::vector<Leg> legs;
    std::optional<Endpoint> told;  ///< What the observer knows.
    std::optional<bool> verdict;
    std::string failure;
    TimePoint try_at{};
    Duration back_off{0};
  };
  /// An address of ours and the routers in front of it, ours first.
  struct Path {
    explicit Path(const asio::any_io_executor& executor) : hop_progress(executor) {}
    NetworkId network;
    std::vector<std::unique_ptr<Router>> routers;
    std::vector<std::unique_ptr<Router>>
        failed;  ///< Next hops that did not answer, for the report.
    std::map<Listener, Lease> leases;
    TimePoint check_at{};
    RestartPace pace;
    bool is_suspect = false;     ///< A renewal failed: the router may speak another protocol now.
    bool was_announced = false;  ///< Somebody says that the router has restarted.
    Event hop_progress;
  };

  Task<> run();
  Task<> round();
  Task<> find_paths();
  Task<> drop(Path& path);
  std::vector<NetworkId> networks() const;
  std::unique_ptr<Router> router_for(const NetworkId& network, const Recalled& recalled) const;
  std::unique_ptr<Router> next_router_for(const Route& route, const Recalled& recalled) const;
  Task<> leave_routers(Path& path, std::size_t hop, IpAddress client);
  Recalled recall(const NetworkId& network) const;
  Task<> search_anew(Path& path);
  Task<> sort_listeners(Path& path);
  Task<> serve(Path& path);
  Task<> check(Path& path);
  Task<> look_after(Path& path, std::size_t hop);
  /// Nothing is granted: the router may think otherwise by now, or speak another protocol.
  bool is_search_due(const Path& path) const;
  /// Plans the renewal of what the router at `hop` has mapped.
  void renew_all(Path& path, std::size_t hop, TimePoint at);
  /// So does what it had refused; as often as the path's pace allows.
  void restarted(Path& path, std::size_t hop);
  /// Of a mapping that ends after `left`.
  TimePoint renewal_time(Duration left);
  Task<> make(Path& path, const Listener& listener);
  Task<> renew(Path& path, const Listener& listener);
  /// Asks the routers beyond the last one, whose outside is `external`.
  Task<> find_next_hop(Path& path, IpAddress external);
  /// Gives back what the routers from `hop` on have mapped, the last one's first.
  Task<> take_away(Path& path, Lease& lease, std::size_t hop);
  Task<> remove(Path& path, Listener listener);
  Task<> remove_all();
  Task<> remove_leases(Path& path);
  Task<> listen_for_restarts();

  void judge(const Path& path, const Listener& listener, Lease& lease, bool was_reached);
  /// Takes off what the leases have lost while this machine slept.
  void age_leases();
  void granted(Leg& leg, const Grant& grant);
  void failed(Lease& lease, std::string why);
  void tell(Path& path, const Listener& listener, Lease& lease);
  void remember(const Path& path, Method method);
  static Method method_of(const Path& path, const Lease& lease);
  std::optional<Endpoint> external_of(const Lease& lease) const;
  TimePoint next_due() const;
  MappingStatus status_of(const Path& path, const Listener& listener, const Lease& lease) const;
  std::string words_of(const Path& path, const Lease& lease, MappingStatus::State state) const;

  Env& env_;
  MapperConfig config_;
  const AddressClassifier& classifier_;
  Observer& observer_;
  Memory memory_;
  Metrics& metrics_;
  Logger log_;
  pcp::Refusals refusals_;
  Context context_;
  std::vector<Listener> listeners_;
  std::vector<IpAddress> observed_;
  std::map<IpAddress, Path> paths_;  ///< By our address.
  Duration slept_;  ///< What age_leases() has taken off, since the machine was started.
  bool has_looked_ = false;
  bool is_network_new_ = true;
  bool is_stopping_ = false;
  Event woken_;
  Interruptible rounds_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::portmap
