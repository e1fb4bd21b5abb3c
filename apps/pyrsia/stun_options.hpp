#pragma once

#include "options.hpp"

#include <optional>

namespace pyrsia::app {

/// These two check the settings of their commands, as read_options() does.
std::optional<Complaint> read_stun_options(const Settings& settings, StunOptions& stun);
std::optional<Complaint> read_probe_options(const Settings& settings, ProbeOptions& probe);
/// Tells the host of STUN: whom to ask, and whether to answer at the port of QUIC as well. Once all
/// else has been read.
void share_stun(const Settings& settings, Options& options);

}  // namespace pyrsia::app
