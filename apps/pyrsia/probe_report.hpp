/// How a probe's Report looks: the schema pyrsia.probe/1, and the screen for a person.
#pragma once

#include "nat/behaviour/report.hpp"

#include <pyrsia/result.hpp>

#include <boost/json/fwd.hpp>

#include <string>

namespace pyrsia::app {

/// Unknown facts are null, never false.
boost::json::object probe_json(const nat::Report& report);
/// The reverse, as far as predict() and the screen need it; what is missing or of another type is
/// unknown. Errors: `Errc::malformed` (another schema).
Result<nat::Report> probe_report(const boost::json::value& document);
/// Ten facts, the verdict, the fix.
std::string probe_text(const nat::Report& report);
/// Three lines: the kind, the address, the verdict.
std::string probe_brief(const nat::Report& report);

}  // namespace pyrsia::app
