/// What the parts of QUIC share: limits, counters, secrets. Spec: RFC 9000; libp2p/specs, quic.
#pragma once

#include "runtime/env.hpp"

#include <pyrsia/key.hpp>
#include <pyrsia/metrics.hpp>

#include <array>
#include <cstdint>

namespace pyrsia::transport::quic {

struct Config {
  Duration idle_timeout = std::chrono::seconds(30);
  /// As go: NATs keep a mapping for 30 s. Half the idle timeout of a peer that has a shorter one.
  Duration keep_alive_interval = std::chrono::seconds(15);
  Duration handshake_timeout = std::chrono::seconds(10);
  std::uint64_t max_inbound_streams = 256;                     ///< At once; RFC 9000, 4.6.
  std::size_t max_outbound_streams = 500;                      ///< At once; peers allow 256 or so.
  std::uint64_t stream_window_bytes = std::uint64_t(1) << 20;  ///< At first.
  std::uint64_t max_stream_window_bytes = std::uint64_t(10) << 20;  ///< A busy one grows to this.
  std::uint64_t window_bytes = std::uint64_t(3) << 19;              ///< Of all streams, at first.
  std::uint64_t max_window_bytes = std::uint64_t(15) << 20;
  /// Bytes of one connection that the peer has not acknowledged; writes wait above it.
  std::size_t max_send_buffer_bytes = std::size_t(16) << 20;
  /// Of one stream, that have not left yet.
  std::size_t max_unsent_bytes = std::size_t(256) << 10;
  /// Handshakes under way from above which strangers must prove their address (Retry).
  std::size_t retry_above_half_open = 128;
  std::size_t retry_above_half_open_of_one_ip = 64;
  std::size_t max_half_open = 1024;  ///< More are refused.
  std::size_t max_ready = 256;  ///< Connections that nobody has accepted yet; more are refused.
  /// Answers to strangers that leave no state here: Retry, resets, versions.
  std::size_t max_stateless_per_second = 20'000;
  std::size_t max_udp_payload_bytes = 1452;  ///< Path MTU discovery goes up to this.
  std::size_t socket_buffer_bytes = std::size_t(4) << 20;
};

struct Metrics {
  Counter dials_from_listen_port;
  Counter dials_from_ephemeral_port;
  Counter handshakes;            ///< Completed, of both sides.
  Counter handshakes_failed;     ///< The same, of those that began.
  Counter retries;               ///< Sent.
  Counter known_addresses;       ///< Proved by a token of an earlier connection, no Retry needed.
  Counter refused;               ///< Too many half-open or unaccepted.
  Counter resets;                ///< Stateless, sent.
  Counter version_negotiations;  ///< Sent.
  Counter stateless_limited;     ///< Answers that max_stateless_per_second forbade.
  Counter unknown_datagrams;     ///< No QUIC, and nobody else wanted them.
  Counter discarded_datagrams;   ///< Of connections, with nothing that could be opened.
  Counter streams_opened;
  Counter streams_accepted;
  Counter peer_errors;  ///< Connections that ended because of what the peer sent.
  Counter own_errors;   ///< Connections that ended for a fault of ours.
  Counter idle_timeouts;
  Counter paths_validated;  ///< Peers that moved.
  Counter migrations;       ///< Connections that we took to another address of ours.
  Counter path_mtu_drops;   ///< Large packets no longer arrived; small ones are sent instead.
};

/// Keys that the host key yields, so that they outlive the process: a peer learns from a reset that
/// we have started anew.
struct Secrets {
  explicit Secrets(const KeyPair& host_key);

  /// Of the socket bound to `local`, and of no other of ours: a connection id of one is unknown to
  /// the others, which would give away its reset token. Spec: RFC 9000, 21.11.
  std::array<std::uint8_t, 32> reset_key(const pyrsia::Endpoint& local) const;

  std::array<std::uint8_t, 32> reset;
  std::array<std::uint8_t, 32> token;
};

}  // namespace pyrsia::transport::quic
