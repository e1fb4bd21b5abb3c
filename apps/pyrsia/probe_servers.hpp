#pragma once

#include "nat/behaviour/survey.hpp"
#include "options.hpp"
#include "runtime/env.hpp"
#include "stun_tls.hpp"

#include <string>
#include <vector>

namespace pyrsia::app {

/// Which STUN servers are asked: those that were given, else the hosts of the boot servers' URLs,
/// else those of the peers that were given. As stun::parse_server_name() reads them.
std::vector<std::string> stun_server_names(const Options& options);

/// The same as addresses, "/dns/HOST/udp/PORT"; what cannot be one, and who is asked over TLS, is
/// left out.
std::vector<Multiaddr> stun_server_addresses(const Options& options);

/// Resolves the names and fills in a survey. Those with "stuns:" are asked over TLS, by `tls`, and
/// their names are what their certificates must be for; without a `tls` they are not asked. What
/// cannot be resolved is named in SurveyConfig::unresolved. Errors: `Errc::cancelled`.
Task<nat::SurveyConfig> survey_config(Env& env, std::vector<std::string> servers,
                                      std::vector<std::string> status_urls, StunTls* tls);

}  // namespace pyrsia::app
