#pragma once

#include "nat/portmap/context.hpp"
#include "nat/portmap/exchange.hpp"
#include "nat/portmap/mapping.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pyrsia::portmap {

/// What a router tells of itself.
struct Presence {
  std::optional<IpAddress> external;  ///< Where the protocol tells it without a mapping.
  std::string words;                  ///< "PCP version 2, up for 77 s"
  std::string name = {};              ///< What it calls itself, printable; mostly nothing.
};

/// What a router has said of its outside, even where it then refused.
struct Outside {
  std::optional<IpAddress> ip;
  bool is_missing = false;       ///< It says that it has none, or none that is good for mappings.
  bool has_nat_between = false;  ///< It sees us at another address than ours.
};

/// What a router says on its own clock, and when we heard it.
struct EpochSample {
  std::uint32_t seconds = 0;
  TimePoint at;  ///< Env::now(), and what we have slept: the router has not.
};

/// One mapping as a router lists it.
struct ListedMapping {
  Transport transport = Transport::tcp;
  Endpoint internal;
  std::uint16_t external_port = 0;
  Duration lifetime{0};  ///< 0: until the router restarts.
  std::string description;

  auto operator<=>(const ListedMapping&) const = default;
};

/// One protocol spoken with one router. Flows without policy: they wait for an answer for ever, so
/// that each call wants a with_timeout(). `detail` gets the failure in words. The errors of all:
/// `Errc::refused`, `Errc::unavailable` (later perhaps), `Errc::not_supported`,
/// `Errc::protocol_violation` (what the answer says cannot be), `Errc::network_failed` and others
/// of the network. The context must outlive it; one call at a time.
class Client {
 public:
  virtual ~Client() = default;

  virtual Method method() const = 0;
  /// Is it there? Errors: as above.
  virtual Task<Presence> discover(std::string& detail) = 0;
  /// Makes or renews a mapping; `before` is what was granted last, if it is a renewal.
  virtual Task<Grant> map(const MapRequest& request, std::optional<Grant> before,
                          std::string& detail) = 0;
  /// Takes a mapping away that map() made.
  virtual Task<> unmap(const MapRequest& request, const Grant& granted, std::string& detail) = 0;
  /// All mappings of the router. Errors: `Errc::not_supported`, and as above.
  virtual Task<std::vector<ListedMapping>> list(std::string& detail) = 0;
  /// As of all answers so far.
  virtual Outside outside() const = 0;
  /// The router's clock as of the last answer; none if the protocol has none.
  virtual std::optional<EpochSample> epoch() const = 0;
};

/// Where a client sits and whom it asks.
struct Route {
  IpAddress local;   ///< The packets leave from this address of ours.
  IpAddress client;  ///< By which the router sees us: `local`, or the outside of a router between.
  IpAddress server;
};

}  // namespace pyrsia::portmap
