/// What the reachability state machine was told, as lines of text: to be written down in the field
/// and told again to another one, which then comes to the same verdicts.
///
/// One input a line: nanoseconds since some moment, its kind, its fields, with single spaces
/// between them. In a field, bytes that are no printable ASCII, spaces, "%" and "|" are written as
/// "%20". The first line is kRecordHeader. There are no secrets in it, but peer ids and addresses
/// are.
#pragma once

#include "host/reachability.hpp"

#include <pyrsia/result.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pyrsia::host {

constexpr std::string_view kRecordHeader = "pyrsia-evidence/1";
/// Our limit: 64 candidates take under 10 KiB.
constexpr std::size_t kMaxRecordLineBytes = 64 * 1024;

struct RecordedInput {
  TimePoint at;
  ReachabilityInput input;
};

/// Without a newline.
std::string to_line(const RecordedInput& recorded);
/// Errors: `Errc::malformed`, `Errc::too_large`.
Result<RecordedInput> from_line(std::string_view line);

/// What came of it.
struct Replay {
  std::vector<std::pair<TimePoint, StatusChanged>> changes;
  std::vector<std::pair<TimePoint, AddressVerdictChanged>> address_changes;
  NatReport report;  ///< At the end.
  TimePoint begin{};
  std::size_t inputs = 0;
};

/// Tells a new state machine all of `text`: a header, then lines. `bad_line`, if given, gets the
/// number of the line that is wrong. Errors: `Errc::malformed` (also for a time that runs
/// backwards), `Errc::too_large`, `Errc::not_supported` (another header).
Result<Replay> replay(std::string_view text, std::size_t* bad_line);

}  // namespace pyrsia::host
