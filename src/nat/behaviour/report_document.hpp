/// A probe's Report as JSON, schema pyrsia.probe/1: what `pyrsia probe --json` and `GET /probe`
/// say, and what `probe pair` reads of files and of other machines. Pure: no I/O, no clock.
#pragma once

#include "nat/behaviour/report.hpp"

#include <pyrsia/result.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace pyrsia::nat {

/// Most bytes of a document that is read; one of ours takes under 3 kB.
inline constexpr std::size_t kMaxDocumentBytes = std::size_t(64) << 10;
inline constexpr std::size_t kMaxDocumentText = 512;    ///< Bytes of a text in it; the rest is cut.
inline constexpr std::size_t kMaxDocumentServers = 16;  ///< The first ones count.

/// Unknown facts are null, never false. Always succeeds.
std::string write_report(const Report& report);
/// The reverse, but for what is derived (verdict, summary, fix). A fact that is missing, of another
/// type, or out of range is unknown; texts come out as printable ASCII. Errors:
/// `Errc::too_large`, `Errc::malformed` (no JSON, or another schema).
Result<Report> read_report(std::string_view text);

}  // namespace pyrsia::nat
