#include "multi/protocol_table.hpp"

#include "base/hex.hpp"
#include "base/multibase.hpp"
#include "base/varint.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace pyrsia::multi {
namespace {

constexpr int kVariable = ProtocolInfo::kVariable;

constexpr std::array kProtocols{
    ProtocolInfo{Protocol::ip4, "ip4", 4},
    ProtocolInfo{Protocol::tcp, "tcp", 2},
    ProtocolInfo{Protocol::ip6, "ip6", 16},
    ProtocolInfo{Protocol::ip6zone, "ip6zone", kVariable},
    ProtocolInfo{Protocol::ipcidr, "ipcidr", 1},
    ProtocolInfo{Protocol::dns, "dns", kVariable},
    ProtocolInfo{Protocol::dns4, "dns4", kVariable},
    ProtocolInfo{Protocol::dns6, "dns6", kVariable},
    ProtocolInfo{Protocol::dnsaddr, "dnsaddr", kVariable},
    ProtocolInfo{Protocol::udp, "udp", 2},
    ProtocolInfo{Protocol::p2p_webrtc_direct, "p2p-webrtc-direct", 0},
    ProtocolInfo{Protocol::webrtc_direct, "webrtc-direct", 0},
    ProtocolInfo{Protocol::webrtc, "webrtc", 0},
    ProtocolInfo{Protocol::p2p_circuit, "p2p-circuit", 0},
    ProtocolInfo{Protocol::unix_path, "unix", kVariable},
    ProtocolInfo{Protocol::p2p, "p2p", kVariable},
    ProtocolInfo{Protocol::onion3, "onion3", 37},
    ProtocolInfo{Protocol::tls, "tls", 0},
    ProtocolInfo{Protocol::sni, "sni", kVariable},
    ProtocolInfo{Protocol::noise, "noise", 0},
    ProtocolInfo{Protocol::quic, "quic", 0},
    ProtocolInfo{Protocol::quic_v1, "quic-v1", 0},
    ProtocolInfo{Protocol::webtransport, "webtransport", 0},
    ProtocolInfo{Protocol::certhash, "certhash", kVariable},
    ProtocolInfo{Protocol::ws, "ws", 0},
    ProtocolInfo{Protocol::wss, "wss", 0},
    ProtocolInfo{Protocol::http, "http", 0},
    ProtocolInfo{Protocol::http_path, "http-path", kVariable},
    ProtocolInfo{Protocol::memory, "memory", 8},
};

constexpr std::size_t kOnionKeyBytes = 35;
constexpr std::size_t kMaxNameBytes = 255;  // RFC 1035, 2.3.4

std::string big_endian(std::uint64_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift);
  }
  return out;
}

std::uint64_t from_big_endian(BytesView bytes) {
  std::uint64_t value = 0;
  for (const auto byte : bytes) value = (value << 8) | byte;
  return value;
}

Result<std::string> parse_number(std::string_view text, std::uint64_t max, int bytes) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value > max) return Errc::malformed;
  return big_endian(value, bytes);
}

Result<std::string> parse_ip(std::string_view text, bool is_v6) {
  PYRSIA_TRY(const auto ip, IpAddress::parse(text));
  if (ip.is_v6() != is_v6) return Errc::malformed;
  return std::string(as_text(ip.bytes()));
}

Result<std::string> parse_onion3(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return Errc::malformed;
  PYRSIA_TRY(const auto key, from_base32(text.substr(0, colon)));
  if (key.size() != kOnionKeyBytes) return Errc::malformed;
  PYRSIA_TRY(const auto port, parse_number(text.substr(colon + 1), 0xffff, 2));
  return std::string(as_text(key)) + port;
}

Result<std::string> parse_percent_encoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return Errc::malformed;
    PYRSIA_TRY(const auto byte, from_hex(text.substr(i + 1, 2)));
    out += static_cast<char>(byte.front());
    i += 2;
  }
  return out;
}

/// What RFC 3986 allows in a path segment stays as it is, but for the sub-delimiters that the
/// other implementations encode.
std::string percent_encoded(BytesView bytes) {
  static constexpr std::string_view kPlain = "-_.~$&+=:@";
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const auto byte : bytes) {
    const char c = static_cast<char>(byte);
    const bool is_alnum =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (is_alnum || kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

bool is_printable(BytesView bytes) {
  return std::ranges::all_of(bytes, [](auto byte) { return byte >= 0x20 && byte < 0x7f; });
}

bool is_name(BytesView bytes) {
  return !bytes.empty() && bytes.size() <= kMaxNameBytes && is_printable(bytes) &&
         std::ranges::none_of(bytes, [](auto byte) { return byte == '/' || byte == ' '; });
}

bool is_multihash(BytesView bytes) {
  const auto code = read_varint(bytes);
  if (!code) return false;
  const auto length = read_varint(code->rest);
  return length && length->value > 0 && length->value == length->rest.size();
}

Result<std::string> parse_text_value(Protocol protocol, std::string_view text) {
  switch (protocol) {
    case Protocol::p2p: {
      PYRSIA_TRY(const auto peer, PeerId::parse(text));
      return std::string(as_text(peer.bytes()));
    }
    case Protocol::certhash: {
      PYRSIA_TRY(const auto hash, from_multibase(text));
      return std::string(as_text(hash));
    }
    case Protocol::http_path: return parse_percent_encoded(text);
    default: return std::string(text);
  }
}

}  // namespace

const ProtocolInfo* find_protocol(std::uint64_t code) {
  const auto has_code = [&](const auto& info) { return std::uint64_t(info.code) == code; };
  const auto* found = std::ranges::find_if(kProtocols, has_code);
  return found == kProtocols.end() ? nullptr : found;
}

const ProtocolInfo* find_protocol(std::string_view name) {
  if (name == "ipfs") name = "p2p";
  const auto* found = std::ranges::find(kProtocols, name, &ProtocolInfo::name);
  return found == kProtocols.end() ? nullptr : found;
}

Result<std::string> parse_value(Protocol protocol, std::string_view text) {
  switch (protocol) {
    case Protocol::ip4: return parse_ip(text, false);
    case Protocol::ip6: return parse_ip(text, true);
    case Protocol::tcp:
    case Protocol::udp: return parse_number(text, 0xffff, 2);
    case Protocol::ipcidr: return parse_number(text, 0xff, 1);
    case Protocol::memory: return parse_number(text, ~std::uint64_t{0}, 8);
    case Protocol::onion3: {
      PYRSIA_TRY(auto value, parse_onion3(text));
      if (!is_valid_value(protocol, as_bytes(value))) return Errc::malformed;
      return value;
    }
    default: {
      PYRSIA_TRY(auto value, parse_text_value(protocol, text));
      if (!is_valid_value(protocol, as_bytes(value))) return Errc::malformed;
      return value;
    }
  }
}

bool is_valid_value(Protocol protocol, BytesView value) {
  switch (protocol) {
    case Protocol::ip6zone:
    case Protocol::dns:
    case Protocol::dns4:
    case Protocol::dns6:
    case Protocol::dnsaddr:
    case Protocol::sni: return is_name(value);
    case Protocol::unix_path:
      return value.size() > 1 && value.front() == '/' && is_printable(value);
    case Protocol::http_path: return !value.empty();
    case Protocol::p2p: return PeerId::from_bytes(value).has_value();
    case Protocol::certhash: return is_multihash(value);
    case Protocol::onion3: return from_big_endian(value.subspan(kOnionKeyBytes)) != 0;
    default: return true;
  }
}

std::string value_text(Protocol protocol, BytesView value) {
  switch (protocol) {
    case Protocol::ip4: {
      std::array<std::uint8_t, 4> bytes{};
      std::ranges::copy(value, bytes.begin());
      return IpAddress::v4(bytes).to_string();
    }
    case Protocol::ip6: {
      std::array<std::uint8_t, 16> bytes{};
      std::ranges::copy(value, bytes.begin());
      return IpAddress::v6(bytes).to_string();
    }
    case Protocol::tcp:
    case Protocol::udp:
    case Protocol::ipcidr:
    case Protocol::memory: return std::to_string(from_big_endian(value));
    case Protocol::onion3:
      return to_base32(value.first(kOnionKeyBytes)) + ":" +
             std::to_string(from_big_endian(value.subspan(kOnionKeyBytes)));
    case Protocol::p2p: return PeerId::from_bytes(value)->to_string();
    case Protocol::certhash: return "u" + to_base64url(value);
    case Protocol::http_path: return percent_encoded(value);
    default: return std::string(as_text(value));
  }
}

}  // namespace pyrsia::multi
