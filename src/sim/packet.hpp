#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/ip.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace pyrsia::sim {

class Node;

enum class Protocol : std::uint8_t { tcp, udp };

/// What travels in the simulated network: a TCP segment or a UDP datagram.
/// Connection ids stand for TCP's random sequence numbers: they tell a packet of this connection
/// from one of an earlier connection of the same endpoints.
struct Packet {
  Protocol protocol = Protocol::udp;
  Endpoint from;
  Endpoint to;
  Bytes payload;
  std::uint8_t ecn = 0;
  bool dont_fragment = false;
  std::uint8_t hop_limit = 0;  ///< 0: no router counts.
  /// Not a datagram but an ICMP error: one from `to` to `from` has expired at this router.
  std::optional<IpAddress> expired_at = std::nullopt;
  // TCP only.
  bool syn = false;
  bool ack = false;
  bool fin = false;
  bool rst = false;
  std::uint64_t from_connection = 0;
  std::uint64_t to_connection = 0;  ///< 0: not known to the sender yet.
  std::uint64_t sequence = 0;       ///< Of the first payload byte; the stream begins at 0.
  std::uint64_t acknowledged = 0;   ///< All before it was received.
  std::uint64_t window_end = 0;     ///< The peer may send up to here.

  const Node* sender = nullptr;  ///< The host it comes from, for partitions.

  /// With IP and TCP or UDP headers, as bandwidth counts it.
  std::size_t wire_bytes() const;
  /// "tcp 1.2.3.4:5 > 6.7.8.9:10 SYN 0+12"
  std::string to_string() const;
};

/// The RST that answers `packet`.
Packet refusal(const Packet& packet);

}  // namespace pyrsia::sim
