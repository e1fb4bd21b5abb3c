#include "base/varint.hpp"
#include "multi/protocol_table.hpp"

#include <pyrsia/multiaddr.hpp>

#include <algorithm>
#include <array>
#include <cassert>

namespace pyrsia {
namespace {

using multi::ProtocolInfo;

/// Longest text that is read: the longest that an address of kMaxBytes can have. Nothing takes
/// more characters a byte than "/p2p-webrtc-direct": 18 for the two bytes of its code.
constexpr std::size_t kMaxTextBytes = 9 * Multiaddr::kMaxBytes;

struct Head {
  Multiaddr::Component component;
  BytesView rest;
};

/// Splits the first component off. Checks its length, not its value.
Result<Head> read_component(BytesView bytes) {
  PYRSIA_TRY(const auto code, read_varint(bytes));
  const auto* info = multi::find_protocol(code.value);
  if (info == nullptr) return Errc::malformed;
  auto rest = code.rest;
  auto length = static_cast<std::uint64_t>(info->value_bytes);
  if (info->value_bytes == ProtocolInfo::kVariable) {
    PYRSIA_TRY(const auto prefix, read_varint(rest));
    length = prefix.value;
    rest = prefix.rest;
  }
  if (length > rest.size()) return Errc::malformed;
  const auto size = static_cast<std::size_t>(length);
  return Head{{info->code, rest.first(size)}, rest.subspan(size)};
}

/// Splits the first component off an address that is known to be valid and not empty.
Head head_of(BytesView bytes) {
  return *read_component(bytes);
}

void append_component(std::string& out, const ProtocolInfo& info, std::string_view value) {
  append_varint(out, static_cast<std::uint64_t>(info.code));
  if (info.value_bytes == ProtocolInfo::kVariable) append_varint(out, value.size());
  out += value;
}

void append_component(std::string& out, Protocol protocol, BytesView value) {
  append_component(out, *multi::find_protocol(std::uint64_t(protocol)), as_text(value));
}

void append_ip(std::string& out, const IpAddress& ip) {
  append_component(out, ip.is_v6() ? Protocol::ip6 : Protocol::ip4, ip.bytes());
}

void append_port(std::string& out, Protocol protocol, std::uint16_t port) {
  const std::array<std::uint8_t, 2> bytes{std::uint8_t(port >> 8), std::uint8_t(port)};
  append_component(out, protocol, bytes);
}

bool is_ip(Protocol protocol) {
  return protocol == Protocol::ip4 || protocol == Protocol::ip6;
}

bool is_port(Protocol protocol) {
  return protocol == Protocol::tcp || protocol == Protocol::udp;
}

bool is_dns(Protocol protocol) {
  return protocol == Protocol::dns || protocol == Protocol::dns4 || protocol == Protocol::dns6 ||
         protocol == Protocol::dnsaddr;
}

/// What follows the IP in front, any `/p2p` at the end left out; empty without an IP in front.
std::vector<Protocol> protocols_after_ip(const Multiaddr& address) {
  const auto bare = address.without_peer();
  std::vector<Protocol> protocols;
  for (const auto& part : bare.components()) protocols.push_back(part.protocol);
  if (protocols.empty() || !is_ip(protocols.front())) return {};
  protocols.erase(protocols.begin());
  return protocols;
}

std::uint16_t port_of(BytesView value) {
  return std::uint16_t(value[0] << 8 | value[1]);
}

IpAddress ip_of(BytesView value) {
  if (value.size() == 4) return IpAddress::v4({value[0], value[1], value[2], value[3]});
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(value, bytes.begin());
  return IpAddress::v6(bytes);
}

/// `bytes` without a zone in front, if an IPv6 address follows it.
BytesView skip_zone(BytesView bytes) {
  if (bytes.empty()) return bytes;
  const auto zone = head_of(bytes);
  if (zone.component.protocol != Protocol::ip6zone || zone.rest.empty()) return bytes;
  return head_of(zone.rest).component.protocol == Protocol::ip6 ? zone.rest : bytes;
}

/// Takes the text up to the next slash off `text`, and the slash.
std::string_view take_word(std::string_view& text) {
  const auto end = std::min(text.find('/'), text.size());
  const auto word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

/// The binary form of one component. `text` begins with its name and loses what belongs to it.
Result<std::string> parse_component(std::string_view& text) {
  const auto* info = multi::find_protocol(take_word(text));
  if (info == nullptr) return Errc::malformed;
  std::string out;
  if (info->value_bytes == 0) {
    append_component(out, *info, "");
    return out;
  }
  std::string path;
  std::string_view word;
  if (info->code == Protocol::unix_path) {  // A path is all the rest, with a slash in front.
    path = "/" + std::string(text);
    word = path;
    text = {};
  } else {
    word = take_word(text);
  }
  PYRSIA_TRY(const auto value, multi::parse_value(info->code, word));
  append_component(out, *info, value);
  return out;
}

}  // namespace

Result<Multiaddr> Multiaddr::parse(std::string_view text) {
  if (text.size() > kMaxTextBytes) return Errc::too_large;
  if (!text.starts_with('/')) return Errc::malformed;
  text.remove_prefix(1);
  std::string bytes;
  while (!text.empty()) {
    PYRSIA_TRY(const auto component, parse_component(text));
    bytes += component;
  }
  if (bytes.empty()) return Errc::malformed;
  if (bytes.size() > kMaxBytes) return Errc::too_large;
  return Multiaddr(std::move(bytes));
}

Result<Multiaddr> Multiaddr::from_bytes(BytesView bytes) {
  if (bytes.empty()) return Errc::malformed;
  if (bytes.size() > kMaxBytes) return Errc::too_large;
  for (auto rest = bytes; !rest.empty();) {
    PYRSIA_TRY(const auto head, read_component(rest));
    const auto& [protocol, value] = head.component;
    if (!multi::is_valid_value(protocol, value)) return Errc::malformed;
    // In text a path takes all that follows it.
    if (protocol == Protocol::unix_path && !head.rest.empty()) return Errc::malformed;
    rest = head.rest;
  }
  return Multiaddr(std::string(as_text(bytes)));
}

Multiaddr Multiaddr::tcp(const Endpoint& endpoint) {
  std::string bytes;
  append_ip(bytes, endpoint.ip);
  append_port(bytes, Protocol::tcp, endpoint.port);
  return Multiaddr(std::move(bytes));
}

Multiaddr Multiaddr::quic_v1(const Endpoint& endpoint) {
  auto address = udp(endpoint);
  append_varint(address.bytes_, std::uint64_t(Protocol::quic_v1));
  return address;
}

Multiaddr Multiaddr::udp(const Endpoint& endpoint) {
  std::string bytes;
  append_ip(bytes, endpoint.ip);
  append_port(bytes, Protocol::udp, endpoint.port);
  return Multiaddr(std::move(bytes));
}

std::string Multiaddr::to_string() const {
  std::string text;
  for (const auto& [protocol, value] : components()) {
    const auto* info = multi::find_protocol(std::uint64_t(protocol));
    text += '/';
    text += info->name;
    if (info->value_bytes == 0) continue;
    if (protocol != Protocol::unix_path) text += '/';  // A path brings its own.
    text += multi::value_text(protocol, value);
  }
  return text;
}

std::vector<Multiaddr::Component> Multiaddr::components() const {
  std::vector<Component> components;
  for (auto rest = bytes(); !rest.empty();) {
    const auto head = head_of(rest);
    components.push_back(head.component);
    rest = head.rest;
  }
  return components;
}

bool Multiaddr::has(Protocol protocol) const {
  for (auto rest = bytes(); !rest.empty();) {
    const auto head = head_of(rest);
    if (head.component.protocol == protocol) return true;
    rest = head.rest;
  }
  return false;
}

std::optional<PeerId> Multiaddr::peer_id() const {
  std::optional<PeerId> peer;
  for (auto rest = bytes(); !rest.empty();) {
    const auto head = head_of(rest);
    rest = head.rest;
    if (!rest.empty() || head.component.protocol != Protocol::p2p) continue;
    peer = *PeerId::from_bytes(head.component.value);
  }
  return peer;
}

Multiaddr Multiaddr::with_peer(const PeerId& peer) const {
  auto out = without_peer();
  append_component(out.bytes_, Protocol::p2p, peer.bytes());
  return out;
}

Multiaddr Multiaddr::without_peer() const {
  std::size_t keep = 0;
  for (auto rest = bytes(); !rest.empty();) {
    const auto head = head_of(rest);
    rest = head.rest;
    if (head.component.protocol != Protocol::p2p) keep = bytes_.size() - rest.size();
  }
  return Multiaddr(bytes_.substr(0, keep));
}

Multiaddr Multiaddr::operator+(const Multiaddr& tail) const {
  return Multiaddr(bytes_ + tail.bytes_);
}

std::optional<IpAddress> Multiaddr::ip() const {
  const auto start = skip_zone(bytes());
  if (start.empty()) return {};
  const auto [protocol, value] = head_of(start).component;
  if (!is_ip(protocol)) return {};
  return ip_of(value);
}

std::optional<Endpoint> Multiaddr::endpoint() const {
  const auto address = ip();
  if (!address) return {};
  const auto rest = head_of(skip_zone(bytes())).rest;
  if (rest.empty()) return {};
  const auto [protocol, value] = head_of(rest).component;
  if (!is_port(protocol)) return {};
  return Endpoint{*address, port_of(value)};
}

std::optional<std::uint16_t> Multiaddr::port() const {
  for (auto rest = bytes(); !rest.empty();) {
    const auto head = head_of(rest);
    if (is_port(head.component.protocol)) return port_of(head.component.value);
    rest = head.rest;
  }
  return {};
}

std::optional<std::string> Multiaddr::dns_name() const {
  if (empty()) return {};
  const auto [protocol, value] = head_of(bytes()).component;
  if (!is_dns(protocol)) return {};
  return std::string(as_text(value));
}

bool Multiaddr::is_plain_tcp() const {
  const auto protocols = protocols_after_ip(*this);
  return protocols == std::vector{Protocol::tcp};
}

bool Multiaddr::is_quic_v1() const {
  const auto protocols = protocols_after_ip(*this);
  return protocols == std::vector{Protocol::udp, Protocol::quic_v1};
}

bool Multiaddr::is_websocket() const {
  auto protocols = protocols_after_ip(*this);
  if (!protocols.empty() && protocols.back() == Protocol::http_path) protocols.pop_back();
  return protocols == std::vector{Protocol::tcp, Protocol::ws} ||
         protocols == std::vector{Protocol::tcp, Protocol::wss} ||
         protocols == std::vector{Protocol::tcp, Protocol::tls, Protocol::ws} ||
         protocols == std::vector{Protocol::tcp, Protocol::tls, Protocol::sni, Protocol::ws};
}

bool Multiaddr::is_secure_websocket() const {
  return is_websocket() && (has(Protocol::wss) || has(Protocol::tls));
}

Multiaddr Multiaddr::with_ip(const IpAddress& ip) const {
  assert(!empty());
  const auto head = head_of(skip_zone(bytes()));
  assert(is_ip(head.component.protocol) || is_dns(head.component.protocol));
  std::string out;
  append_ip(out, ip);
  out += as_text(head.rest);
  return Multiaddr(std::move(out));
}

Multiaddr Multiaddr::with_port(std::uint16_t port) const {
  std::string out;
  bool is_done = false;
  for (const auto& [protocol, value] : components()) {
    if (is_port(protocol) && !is_done) {
      append_port(out, protocol, port);
      is_done = true;
    } else {
      append_component(out, protocol, value);
    }
  }
  return Multiaddr(std::move(out));
}

}  // namespace pyrsia
