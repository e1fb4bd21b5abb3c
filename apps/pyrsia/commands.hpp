#pragma once

#include "options.hpp"

namespace pyrsia::app {

/// `node` and `boot`.
ExitCode run_node(Options options);
/// `id`
ExitCode run_id(const Options& options);
/// `status`
ExitCode run_status(const Options& options);

/// `map`
ExitCode run_map(const Options& options);

/// The one line on stderr that says why the program ends.
void complain(const Complaint& complaint);

}  // namespace pyrsia::app
