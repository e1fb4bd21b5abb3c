/// How a probe's Report looks on the screen of a person.
#pragma once

#include "nat/behaviour/report.hpp"

#include <string>

namespace pyrsia::app {

/// Ten facts, the verdict, the fix.
std::string probe_text(const nat::Report& report);
/// Three lines: the kind, the address, the verdict.
std::string probe_brief(const nat::Report& report);

}  // namespace pyrsia::app
