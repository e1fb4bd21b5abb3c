#pragma once

#include "nat/behaviour/survey.hpp"
#include "options.hpp"
#include "runtime/env.hpp"
#include "stun_tls.hpp"

#include <string>
#include <vector>

namespace pyrsia::app {

/// Which STUN servers are asked: those that were given, else the hosts of the boot servers' URLs,
/// else those of the peers that were given. As "HOST" or "HOST:PORT".
std::vector<std::string> stun_server_names(const Options& options);

/// The same as addresses, "/dns/HOST/udp/PORT"; what cannot be one is left out.
std::vector<Multiaddr> stun_server_addresses(const Options& options);

/// Of `names` those with "stuns:", resolved, for a survey: their names are what their certificates
/// must be for. Errors: `Errc::cancelled`.
Task<std::vector<nat::TlsServer>> tls_servers(Env& env, std::vector<std::string> names,
                                              StunTls& tls);

/// Resolves the names and fills in a survey. A name that cannot be resolved is left
/// out. Errors: `Errc::cancelled`.
Task<nat::SurveyConfig> survey_config(Env& env, std::vector<std::string> servers,
                                      std::vector<std::string> status_urls);

}  // namespace pyrsia::app
