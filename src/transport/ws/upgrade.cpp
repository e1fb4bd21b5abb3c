#include "transport/ws/upgrade.hpp"

#include "base/multibase.hpp"
#include "crypto/hash.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace pyrsia::transport::ws {
namespace {

constexpr std::string_view kEnd = "\r\n\r\n";
constexpr std::string_view kMagic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::size_t kMaxFields = 100;
constexpr std::size_t kKeyLetters = 24;

char lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? char(letter - 'A' + 'a') : letter;
}

bool is_same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool is_token_letter(char letter) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  const char small = lower(letter);
  return (small >= 'a' && small <= 'z') || (letter >= '0' && letter <= '9') ||
         kOthers.find(letter) != std::string_view::npos;
}

bool is_value_letter(char letter) {
  const auto byte = static_cast<unsigned char>(letter);
  return letter == '\t' || (byte >= 0x20 && byte != 0x7f);
}

struct Field {
  std::string_view name;
  std::string_view value;
};

struct Head {
  std::string_view first;
  std::vector<Field> fields;

  /// The value of a field that is there once.
  std::optional<std::string_view> only(std::string_view name) const {
    std::optional<std::string_view> found;
    for (const auto& field : fields) {
      if (!is_same(field.name, name)) continue;
      if (found) return std::nullopt;
      found = field.value;
    }
    return found;
  }
  bool has(std::string_view name) const {
    return std::ranges::any_of(fields, [&](const auto& each) { return is_same(each.name, name); });
  }
  /// True if a list of tokens, perhaps in several fields, has `token`.
  bool lists(std::string_view name, std::string_view token) const {
    for (const auto& field : fields) {
      if (!is_same(field.name, name)) continue;
      for (auto rest = field.value;;) {
        const auto comma = rest.find(',');
        if (is_same(trimmed(rest.substr(0, comma)), token)) return true;
        if (comma == std::string_view::npos) break;
        rest = rest.substr(comma + 1);
      }
    }
    return false;
  }
};

Result<Head> parse(std::string_view text) {
  if (!text.ends_with(kEnd)) return Errc::malformed;
  text.remove_suffix(2);  // Now each line ends in CRLF.
  Head head;
  for (bool is_first = true; !text.empty(); is_first = false) {
    const auto end = text.find("\r\n");
    const auto line = text.substr(0, end);
    text = text.substr(end + 2);
    if (!std::ranges::all_of(line, is_value_letter)) return Errc::malformed;
    if (is_first) {
      head.first = line;
      continue;
    }
    const auto colon = line.find(':');
    const auto name = line.substr(0, colon);
    if (colon == std::string_view::npos || name.empty()) return Errc::malformed;
    if (!std::ranges::all_of(name, is_token_letter)) return Errc::malformed;
    if (head.fields.size() == kMaxFields) return Errc::malformed;
    head.fields.push_back({name, trimmed(line.substr(colon + 1))});
  }
  return head;
}

/// 16 bytes in base64: 22 letters, of which the last has four bits of nothing, and padding.
bool is_key(std::string_view key) {
  if (key.size() != kKeyLetters || !key.ends_with("==")) return false;
  const auto bytes = from_multibase("m" + std::string(key.substr(0, kKeyLetters - 2)));
  return bytes && bytes->size() == 16;
}

std::string accept_of(std::string_view key) {
  const auto text = std::string(key) + std::string(kMagic);
  return to_base64(crypto::sha1(as_bytes(text)));
}

}  // namespace

std::size_t head_size(BytesView bytes) {
  const auto end = as_text(bytes).find(kEnd);
  return end == std::string_view::npos ? 0 : end + kEnd.size();
}

std::string upgrade_request(std::string_view host, std::string_view path, std::string_view key) {
  std::string out = "GET ";
  out.append(path).append(" HTTP/1.1\r\nHost: ").append(host);
  out.append("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
  out.append("Sec-WebSocket-Key: ").append(key).append(kEnd);
  return out;
}

std::string upgrade_response(std::string_view key) {
  std::string out = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n";
  out.append("Connection: Upgrade\r\nSec-WebSocket-Accept: ").append(accept_of(key)).append(kEnd);
  return out;
}

std::string refusal(Error error) {
  const auto* const status = error == Errc::not_supported ? "426 Upgrade Required\r\n"
                                                            "Sec-WebSocket-Version: 13"
                             : error == Errc::too_large   ? "431 Request Header Fields Too Large"
                                                          : "400 Bad Request";
  std::string out = "HTTP/1.1 ";
  out.append(status).append("\r\nConnection: close\r\nContent-Length: 0").append(kEnd);
  return out;
}

Result<std::string> read_request(std::string_view text) {
  PYRSIA_TRY(const auto head, parse(text));
  const auto end = head.first.rfind(' ');
  if (end == std::string_view::npos || head.first.substr(end) != " HTTP/1.1") {
    return Errc::malformed;
  }
  const auto target = head.first.substr(0, end);
  if (!target.starts_with("GET /") || target.find(' ', 4) != std::string_view::npos) {
    return Errc::protocol_violation;
  }
  if (!head.only("host") || !head.lists("upgrade", "websocket") ||
      !head.lists("connection", "upgrade")) {
    return Errc::protocol_violation;
  }
  if (head.only("sec-websocket-version") != "13") return Errc::not_supported;
  const auto key = head.only("sec-websocket-key");
  if (!key || !is_key(*key)) return Errc::protocol_violation;
  return std::string(*key);
}

Result<> check_response(std::string_view text, std::string_view key) {
  PYRSIA_TRY(const auto head, parse(text));
  if (!head.first.starts_with("HTTP/1.1 ")) return Errc::malformed;
  const auto status = head.first.substr(9);
  if (!status.starts_with("101 ") && status != "101") return Errc::refused;
  const bool is_ours = head.lists("upgrade", "websocket") && head.lists("connection", "upgrade") &&
                       head.only("sec-websocket-accept") == accept_of(key) &&
                       !head.has("sec-websocket-extensions") && !head.has("sec-websocket-protocol");
  if (!is_ours) return Errc::protocol_violation;
  return ok;
}

}  // namespace pyrsia::transport::ws
