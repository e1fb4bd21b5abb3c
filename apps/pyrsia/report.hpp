/// What the program shows of a node, as JSON and as text for a person.
#pragma once

#include <pyrsia/host_event.hpp>
#include <pyrsia/nat.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/time.hpp>

#include <boost/json/object.hpp>

#include <optional>
#include <string>

namespace pyrsia::app {

/// Schema "pyrsia.nat/1". Without `self` there is no "peer_id": it is not known whose it is.
boost::json::object nat_json(const NatReport& report, const std::optional<PeerId>& self);

/// Schema "pyrsia.event/1": "schema", "time", "event" (its name, see event_name()), then its facts.
boost::json::object event_json(const HostEvent& event, WallTime now);
/// "status_changed", "inbound_probe", …
std::string event_name(const HostEvent& event);

/// What is going on, in plain words; empty for events that do not matter to a person.
std::string event_text(const HostEvent& event);
/// The verdict in one line.
std::string verdict_text(const NatReport& report);
/// The whole of /nat, as `pyrsia status` shows it. Takes what the daemon answered, so every field
/// may be absent.
std::string status_text(const boost::json::object& nat, std::size_t peer_count);

/// "2026-01-31T12:00:00Z"
std::string time_text(WallTime time);
/// "12 s", "3 min", "5 h"
std::string age_text(Duration age);

}  // namespace pyrsia::app
