#include "host/host_state.hpp"

namespace pyrsia {

std::map<std::string, std::uint64_t> Host::State::counters() const {
  std::map<std::string, std::uint64_t> out;
  const auto add = [&out](const char* name, const Counter& counter) {
    out.emplace(std::string("pyrsia_") + name + "_total", counter.value());
  };
  const auto& s = swarm.metrics();
  add("swarm_dials", s.dials);
  add("swarm_dials_failed", s.dials_failed);
  add("swarm_accepted", s.accepted);
  add("swarm_accept_errors", s.accept_errors);
  add("swarm_upgrades_failed", s.upgrades_failed);
  add("swarm_connections_refused", s.connections_refused);
  add("swarm_streams_opened", s.streams_opened);
  add("swarm_streams_accepted", s.streams_accepted);
  add("swarm_streams_refused", s.streams_refused);
  const auto& t = tcp->metrics();
  add("tcp_dials_from_listen_port", t.dials_from_listen_port);
  add("tcp_dials_from_ephemeral_port", t.dials_from_ephemeral_port);
  add("tcp_port_conflicts", t.port_conflicts);
  add("yamux_streams_opened", t.yamux.streams_opened);
  add("yamux_streams_accepted", t.yamux.streams_accepted);
  add("yamux_streams_refused", t.yamux.streams_refused);
  add("yamux_protocol_errors", t.yamux.protocol_errors);
  add("yamux_keep_alive_timeouts", t.yamux.keep_alive_timeouts);
  add("yamux_write_timeouts", t.yamux.write_timeouts);
  const auto& p = pinger.metrics();
  add("ping_sent", p.sent);
  add("ping_failed", p.failed);
  add("ping_answered", p.answered);
  const auto& i = identifier.metrics();
  add("identify_identified", i.identified);
  add("identify_failed", i.failed);
  add("identify_discarded", i.discarded);
  add("identify_answered", i.answered);
  add("identify_pushes_sent", i.pushes_sent);
  add("identify_pushes_failed", i.pushes_failed);
  add("identify_pushes_received", i.pushes_received);
  add("identify_pushes_refused", i.pushes_refused);
  const auto& a = autonat_server.metrics();
  add("autonat_server_requests", a.requests);
  add("autonat_server_reached", a.reached);
  add("autonat_server_not_reached", a.not_reached);
  add("autonat_server_refused", a.refused);
  add("autonat_server_bad_requests", a.bad_requests);
  add("autonat_server_failed", a.failed);
  const auto& c = autonat_client.metrics();
  add("autonat_client_probes", c.probes);
  add("autonat_client_answered", c.answered);
  add("autonat_client_failed", c.failed);
  add("autonat_client_no_server", c.no_server);
  add("autonat_client_no_address", c.no_address);
  add("bootstrap_fetches", bootstrap_metrics.fetches);
  add("bootstrap_failures", bootstrap_metrics.failures);
  add("bootstrap_skipped_entries", bootstrap_metrics.skipped_entries);
  add("bootstrap_cache_writes", bootstrap_metrics.cache_writes);
  add("bootstrap_cache_failures", bootstrap_metrics.cache_failures);
  add("join_rounds", joiner.metrics().rounds);
  add("join_joined", joiner.metrics().joined);
  add("join_failed", joiner.metrics().failed);
  mapped_ports.add_counters(out);
  return out;
}

}  // namespace pyrsia
