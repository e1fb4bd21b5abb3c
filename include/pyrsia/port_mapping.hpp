#pragma once

#include <pyrsia/time.hpp>

#include <string>
#include <vector>

namespace pyrsia {

/// Whether routers are asked to open our ports.
enum class PortMappingMode { off, automatic };

struct PortMappingConfig {
  PortMappingMode mode =
      PortMappingMode::automatic;  ///< Off in scope loopback, whatever this says.
  /// "pcp", "nat-pmp", "upnp"; the best that answers is used. Empty: all.
  std::vector<std::string> protocols;
  Duration budget = std::chrono::seconds(2);  ///< For a router to answer.
  Duration lifetime = std::chrono::hours(2);  ///< Of a mapping; renewed at half of it.
};

/// One port of ours and what routers do for it. For display.
struct PortMappingStatus {
  std::string transport;  ///< "tcp", "udp"
  std::string internal;   ///< "192.168.1.2:44000"
  std::string external;   ///< "1.2.3.4:44000"; empty: none that others could use.
  /// "searching", "none", "useless" (granted, but not at a public address), "granted" (not tried
  /// yet), "confirmed" (a dial-back came through), "broken" (it did not).
  std::string state;
  std::string protocol;              ///< "pcp", "nat-pmp", "upnp"; empty: none.
  std::vector<std::string> routers;  ///< That it goes through, ours first.
  Duration lifetime_left{0};         ///< 0: no end, or none.
  std::string reason;                ///< In plain words; names the hop that fails.
};

/// What one router answered in one protocol.
struct PortMappingAttempt {
  std::string router;
  std::string protocol;
  std::string state;  ///< "asking", "found" (it may refuse this or that), "failed"
  std::string reason;
  Duration took{0};
  std::string external;        ///< The router's outside address, if it told it.
  std::string name;            ///< What the router calls itself, if it told it.
  bool lacks_outside = false;  ///< It says that it has no outside address, or none that is public.
  bool has_nat_between = false;  ///< It sees us at another address: a NAT is between it and us.
};

struct PortMappingReport {
  bool is_on = false;
  std::string reason;  ///< In one line.
  std::vector<PortMappingStatus> mappings;
  std::vector<PortMappingAttempt> attempts;
};

}  // namespace pyrsia
