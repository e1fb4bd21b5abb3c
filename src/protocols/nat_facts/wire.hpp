/// The message of /pyrsia/nat/1 as bytes. Pure: no I/O, no clock.
/// Spec: docs/adr/0037-nat-facts-between-peers.md.
#pragma once

#include "nat/behaviour/report.hpp"

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <cstddef>

namespace pyrsia::nat_facts {

/// Largest message, in bytes; all fields take under 100.
inline constexpr std::size_t kMaxMessageBytes = 512;

/// What of `report` says which path two peers will get: nothing of servers, interfaces or the
/// inner network. Always succeeds.
Bytes encode(const nat::Report& report);
/// A report with these facts only. Errors: `Errc::too_large`, `Errc::malformed` (also for a number
/// that we do not know).
Result<nat::Report> decode(BytesView bytes);

}  // namespace pyrsia::nat_facts
