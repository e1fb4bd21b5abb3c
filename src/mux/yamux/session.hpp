/// Streams over one secure channel. Spec: libp2p/specs, yamux; hashicorp/yamux spec.md.
#pragma once

#include "base/role.hpp"
#include "mux/muxer.hpp"
#include "mux/yamux/window.hpp"
#include "runtime/env.hpp"
#include "secure/channel.hpp"

#include <pyrsia/metrics.hpp>

#include <memory>
#include <string_view>

namespace pyrsia::mux::yamux {

inline constexpr std::string_view kProtocol = "/yamux/1.0.0";

struct Config {
  std::size_t max_inbound_streams = 512;         ///< More are reset.
  std::size_t max_outbound_streams = 500;        ///< rust-libp2p drops a connection with over 512.
  std::size_t max_unacknowledged_streams = 250;  ///< Peers stop answering above 256.
  std::uint32_t max_window_bytes = 16 * 1024 * 1024;  ///< A busy stream's window grows to this.
  /// Unread bytes of all its streams; one that goes over is reset. Windows grow to half of it.
  std::size_t max_buffered_bytes = 64 * 1024 * 1024;
  std::size_t max_frame_bytes = 64 * 1024 - 12;             ///< Body of a data frame we send.
  Duration keep_alive_interval = std::chrono::seconds(30);  ///< Ping when nothing was heard.
  Duration keep_alive_timeout = std::chrono::seconds(20);   ///< A ping without answer.
  /// One write to a transport that takes nothing. Our limit: go-yamux allows 10 s for less bytes.
  Duration write_timeout = std::chrono::seconds(60);
};

struct Metrics {
  Counter streams_opened;
  Counter streams_accepted;
  Counter streams_refused;
  Counter streams_over_buffer;  ///< Reset at max_buffered_bytes.
  Counter pings_dropped;        ///< More than we answer at once.
  Counter protocol_errors;
  Counter keep_alive_timeouts;
  Counter write_timeouts;
};

/// `env` and `metrics` must outlive the session; the config is copied.
std::unique_ptr<Muxer> make_session(Env& env, std::unique_ptr<secure::Channel> channel, Role role,
                                    const Config& config, Metrics& metrics);

}  // namespace pyrsia::mux::yamux
