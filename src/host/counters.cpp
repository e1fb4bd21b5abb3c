#include "host/host_state.hpp"

namespace pyrsia {

namespace {

/// Where a counter goes.
using Add = std::function<void(const char* name, const Counter& counter)>;

void add_autonat_v2(const Add& add, const autonat_v2::ServerMetrics& s,
                    const autonat_v2::ClientMetrics& c) {
  add("autonat_v2_server_requests", s.requests);
  add("autonat_v2_server_rejected", s.rejected);
  add("autonat_v2_server_refused", s.refused);
  add("autonat_v2_server_malformed", s.malformed);
  add("autonat_v2_server_dial_data_asked", s.dial_data_asked);
  add("autonat_v2_server_dial_data_failed", s.dial_data_failed);
  add("autonat_v2_server_reached", s.reached);
  add("autonat_v2_server_not_reached", s.not_reached);
  add("autonat_v2_server_dial_back_errors", s.dial_back_errors);
  add("autonat_v2_server_failed", s.failed);
  add("autonat_v2_server_dials_by_sibling", s.dials_by_sibling);
  add("autonat_v2_server_dials_by_us", s.dials_by_us);
  add("autonat_v2_server_dials_without_sibling", s.dials_without_sibling);
  add("autonat_v2_server_dials_in_a_hurry", s.dials_in_a_hurry);
  add("autonat_v2_client_probes", c.probes);
  add("autonat_v2_client_reachable", c.reachable);
  add("autonat_v2_client_unreachable", c.unreachable);
  add("autonat_v2_client_refused", c.refused);
  add("autonat_v2_client_unproven", c.unproven);
  add("autonat_v2_client_failed", c.failed);
  add("autonat_v2_client_dial_data_bytes", c.dial_data_bytes);
  add("autonat_v2_client_dial_backs", c.dial_backs);
  add("autonat_v2_client_unknown_nonces", c.unknown_nonces);
}

void add_siblings(const Add& add, const autonat_v2::sibling::Metrics& m) {
  add("siblings_asked", m.asked);
  add("siblings_helped", m.helped);
  add("siblings_rejected", m.rejected);
  add("siblings_known_clients", m.known_clients);
  add("siblings_requests", m.requests);
  add("siblings_failed", m.failed);
  add("siblings_checks", m.checks);
  add("siblings_doubted", m.doubted);
}

void add_perf(const Add& add, const perf::ServerMetrics& m) {
  add("perf_runs", m.runs);
  add("perf_failed", m.failed);
  add("perf_received_bytes", m.received_bytes);
  add("perf_sent_bytes", m.sent_bytes);
}

void add_shared_ports(const Add& add, const host::SharedPorts& ports) {
  const auto& m = ports.metrics();
  add("quic_stun_rounds", m.rounds);
  add("quic_stun_answers", m.answers);
  add("quic_stun_no_answers", m.no_answers);
  add("quic_stun_unresolved", m.unresolved);
  add("quic_stun_lost", m.lost);
  const auto& c = ports.client_metrics();
  add("quic_stun_client_sent", c.sent);
  add("quic_stun_client_received", c.received);
  add("quic_stun_client_malformed", c.malformed);
  add("quic_stun_client_unmatched", c.unmatched);
  add("quic_stun_client_wrong_source", c.wrong_source);
}

}  // namespace

std::map<std::string, std::uint64_t> Host::State::counters() const {
  std::map<std::string, std::uint64_t> out;
  const Add add = [&out](const char* name, const Counter& counter) {
    out.emplace(std::string("pyrsia_") + name + "_total", counter.value());
  };
  out["pyrsia_swarm_connections"] = swarm.connections().size();
  out["pyrsia_peer_store_peers"] = swarm.peer_store().size();
  out["pyrsia_peer_store_evicted_total"] = swarm.peer_store().evictions();
  out["pyrsia_observed_addresses"] = observed.address_count();
  out["pyrsia_observed_addresses_evicted_total"] = observed.evictions();
  out["pyrsia_events_dropped_total"] = events.dropped_count();
  const auto& s = swarm.metrics();
  add("swarm_dials", s.dials);
  add("swarm_dials_failed", s.dials_failed);
  add("swarm_dials_held_back", s.dials_held_back);
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
  add("tcp_refused_securities", t.refused_securities);
  add("tcp_web_tls_handshakes", t.web_tls_handshakes);
  add("tcp_web_tls_failed", t.web_tls_failed);
  add("yamux_streams_opened", t.yamux.streams_opened);
  add("yamux_streams_accepted", t.yamux.streams_accepted);
  add("yamux_streams_refused", t.yamux.streams_refused);
  add("yamux_streams_over_buffer", t.yamux.streams_over_buffer);
  add("yamux_pings_dropped", t.yamux.pings_dropped);
  add("yamux_protocol_errors", t.yamux.protocol_errors);
  add("yamux_keep_alive_timeouts", t.yamux.keep_alive_timeouts);
  add("yamux_write_timeouts", t.yamux.write_timeouts);
  const auto& q = quic->metrics();
  add("quic_dials_from_listen_port", q.dials_from_listen_port);
  add("quic_dials_from_ephemeral_port", q.dials_from_ephemeral_port);
  add("quic_handshakes", q.handshakes);
  add("quic_handshakes_failed", q.handshakes_failed);
  add("quic_retries", q.retries);
  add("quic_known_addresses", q.known_addresses);
  add("quic_discarded_datagrams", q.discarded_datagrams);
  add("quic_path_mtu_drops", q.path_mtu_drops);
  add("quic_refused", q.refused);
  add("quic_resets", q.resets);
  add("quic_version_negotiations", q.version_negotiations);
  add("quic_stateless_limited", q.stateless_limited);
  add("quic_unknown_datagrams", q.unknown_datagrams);
  add("quic_streams_opened", q.streams_opened);
  add("quic_streams_accepted", q.streams_accepted);
  add("quic_peer_errors", q.peer_errors);
  add("quic_own_errors", q.own_errors);
  add("quic_idle_timeouts", q.idle_timeouts);
  add("quic_paths_validated", q.paths_validated);
  add("quic_migrations", q.migrations);
  const auto u = quic->udp_metrics();
  add("udp_receive_calls", u.receive_calls);
  add("udp_send_calls", u.send_calls);
  add("udp_received", u.received);
  add("udp_sent", u.sent);
  add("udp_truncated", u.truncated);
  add("udp_segments_refused", u.segments_refused);
  add_shared_ports(add, *shared_ports);
  out.merge(shared_ports->server_counters());
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
  add_autonat_v2(add, autonat_v2_server.metrics(), autonat_v2_client.metrics());
  add_siblings(add, siblings.metrics());
  add_perf(add, perf_server.metrics());
  add("bootstrap_fetches", bootstrap_metrics.fetches);
  add("bootstrap_failures", bootstrap_metrics.failures);
  add("bootstrap_skipped_entries", bootstrap_metrics.skipped_entries);
  add("bootstrap_cache_writes", bootstrap_metrics.cache_writes);
  add("bootstrap_cache_failures", bootstrap_metrics.cache_failures);
  add("join_rounds", joiner.metrics().rounds);
  add("join_joined", joiner.metrics().joined);
  add("join_failed", joiner.metrics().failed);
  const auto& m = mapped_ports.metrics();
  add("portmap_requests_sent", m.requests_sent);
  add("portmap_requests_withheld", m.requests_withheld);
  add("portmap_answers", m.answers);
  add("portmap_answers_discarded", m.answers_discarded);
  add("portmap_refusals", m.refusals);
  add("portmap_granted", m.granted);
  add("portmap_renewed", m.renewed);
  add("portmap_renewals_failed", m.renewals_failed);
  add("portmap_lost", m.lost);
  add("portmap_removed", m.removed);
  add("portmap_removals_failed", m.removals_failed);
  add("portmap_router_restarts", m.router_restarts);
  add("portmap_network_changes", m.network_changes);
  add("portmap_rounds", m.rounds);
  add("portmap_no_gateway", m.no_gateway);
  add("portmap_nested", m.nested);
  add("portmap_lies", m.lies);
  add("portmap_ports_over_limit", m.ports_over_limit);
  const auto& n = memory.metrics();
  add("network_memory_reads", n.reads);
  add("network_memory_read_failures", n.read_failures);
  add("network_memory_writes", n.writes);
  add("network_memory_write_failures", n.write_failures);
  add("network_memory_forgotten", n.forgotten);
  return out;
}

}  // namespace pyrsia
