#pragma once

#include "options.hpp"

#include <string>

namespace pyrsia::app {

/// `node` and `boot`.
ExitCode run_node(Options options);
/// `id`
ExitCode run_id(const Options& options);
/// `status`
ExitCode run_status(const Options& options);
/// `addr`
ExitCode run_addr(const Options& options);

/// `map`
ExitCode run_map(const Options& options);
/// `ping`
ExitCode run_ping(const Options& options);
/// `perf`
ExitCode run_perf(const Options& options);

/// `probe`
ExitCode run_probe(const Options& options);
/// `probe pair`
ExitCode run_pair(const Options& options);
/// `stun-server`
ExitCode run_stun_server(const Options& options);

/// The STUN server of `boot` and of `stun-server`. `key` signs what members lend each other.
stun::ServerConfig stun_config(const StunOptions& options, std::optional<KeyPair> key);
/// Why it does not listen; `detail` is that of stun::Server::start().
std::string stun_failure(const Error& error, const std::string& detail);

/// The one line on stderr that says why the program ends.
void complain(const Complaint& complaint);
/// Data, on stdout. An answer that does not come out (a full disk) is told and is no success.
ExitCode print(const std::string& text);

}  // namespace pyrsia::app
