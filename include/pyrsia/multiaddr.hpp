#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/ip.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/result.hpp>

#include <compare>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia {

/// Protocol codes of the multiaddr table. Source: multiformats/multicodec.
enum class Protocol : std::uint32_t {
  ip4 = 4,
  tcp = 6,
  ip6 = 41,
  ip6zone = 42,
  ipcidr = 43,
  dns = 53,
  dns4 = 54,
  dns6 = 55,
  dnsaddr = 56,
  udp = 273,
  p2p_webrtc_direct = 276,
  webrtc_direct = 280,
  webrtc = 281,
  p2p_circuit = 290,
  unix_path = 400,
  p2p = 421,
  onion3 = 445,
  tls = 448,
  sni = 449,
  noise = 454,
  quic = 460,
  quic_v1 = 461,
  webtransport = 465,
  certhash = 466,
  ws = 477,
  wss = 478,
  memory = 777,
  http = 480,
  http_path = 481,
};

/// An address as a sequence of components, "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…".
/// Holds the binary form, always valid; the empty address is the default.
/// Spec: multiformats/multiaddr.
class Multiaddr {
 public:
  /// Most bytes of an address that comes from outside. Our limit: the longest sensible one
  /// (relay, certhashes) is under 300.
  static constexpr std::size_t kMaxBytes = 1024;

  struct Component {
    Protocol protocol;
    BytesView value;  ///< Binary, without length prefix. Points into the Multiaddr.
  };

  Multiaddr() = default;
  /// Reads what to_string() writes, and other spellings of it: `/ipfs/`, CIDs, capitals in IPv6,
  /// one slash at the end. Errors: `Errc::malformed` (also for an unknown protocol or an empty
  /// address), `Errc::too_large`.
  static Result<Multiaddr> parse(std::string_view text);
  /// Every varint in its shortest form. Errors: as parse().
  static Result<Multiaddr> from_bytes(BytesView bytes);
  /// "/ip4/…/tcp/…" or "/ip6/…/tcp/…".
  static Multiaddr tcp(const Endpoint& endpoint);
  static Multiaddr udp(const Endpoint& endpoint);
  /// "/ip4/…/udp/…/quic-v1" or "/ip6/…/udp/…/quic-v1".
  static Multiaddr quic_v1(const Endpoint& endpoint);

  bool empty() const { return bytes_.empty(); }
  BytesView bytes() const { return as_bytes(bytes_); }
  std::string to_string() const;
  std::vector<Component> components() const;
  bool has(Protocol protocol) const;

  /// The last `/p2p` component's peer, if the address ends in one.
  std::optional<PeerId> peer_id() const;
  /// The same address with `/p2p/<peer>` at its end, in place of any peer that it ends in.
  Multiaddr with_peer(const PeerId& peer) const;
  /// Without any `/p2p/…` at its end (also a doubled one, which old peers send).
  Multiaddr without_peer() const;
  /// `*this` followed by `tail`.
  Multiaddr operator+(const Multiaddr& tail) const;

  /// The IP address in front, if it begins with one (an ip6zone before it is skipped).
  std::optional<IpAddress> ip() const;
  /// The endpoint, if it begins with ip/tcp or ip/udp (an ip6zone before them is skipped).
  std::optional<Endpoint> endpoint() const;
  /// The port of the first tcp or udp component.
  std::optional<std::uint16_t> port() const;
  /// The name in front, if it begins with one (`dns`, `dns4`, `dns6`, `dnsaddr`).
  std::optional<std::string> dns_name() const;
  /// True for exactly ip/tcp, without a zone (any `/p2p` at the end left out of account).
  bool is_plain_tcp() const;
  /// True for exactly ip/udp/quic-v1, with the same provisos.
  bool is_quic_v1() const;
  /// True for ip/tcp and then ws, wss, tls/ws or tls/sni/ws, perhaps with an http-path; with the
  /// same provisos.
  bool is_websocket() const;
  /// True if the websocket of a is_websocket() runs over TLS.
  bool is_secure_websocket() const;
  bool is_relayed() const { return has(Protocol::p2p_circuit); }
  /// The same with the IP (and its zone) or name in front replaced by `ip`. The address has one.
  Multiaddr with_ip(const IpAddress& ip) const;
  /// The same with the first tcp or udp port replaced.
  Multiaddr with_port(std::uint16_t port) const;

  auto operator<=>(const Multiaddr&) const = default;

 private:
  explicit Multiaddr(std::string bytes) : bytes_(std::move(bytes)) {}

  std::string bytes_;
  friend struct std::hash<Multiaddr>;
};

}  // namespace pyrsia

template <>
struct std::hash<pyrsia::Multiaddr> {
  std::size_t operator()(const pyrsia::Multiaddr& address) const noexcept {
    return std::hash<std::string>()(address.bytes_);
  }
};
