#include "nat/stun/server_name.hpp"

#include "base/endpoint_text.hpp"

#include <algorithm>
#include <charconv>

namespace pyrsia::stun {
namespace {

constexpr std::size_t kMaxHostBytes = 253;  // RFC 1035, 2.3.4, as text.

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_host(std::string_view text) {
  const auto is_fit = [](char c) {
    return is_letter_or_digit(c) || c == '-' || c == '_' || c == '.';
  };
  return !text.empty() && text.size() <= kMaxHostBytes && std::ranges::all_of(text, is_fit) &&
         std::ranges::any_of(text, is_letter_or_digit);
}

/// What follows `scheme`, which is in small letters. Nothing: `text` has another one.
std::optional<std::string_view> behind(std::string_view scheme, std::string_view text) {
  if (text.size() < scheme.size()) return std::nullopt;
  const auto equals = [](char small, char c) {
    return small == (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  };
  if (!std::ranges::equal(scheme, text.substr(0, scheme.size()), equals)) return std::nullopt;
  const auto rest = text.substr(scheme.size());
  const bool is_port = std::ranges::all_of(rest, [](char c) { return c >= '0' && c <= '9'; });
  if (is_port && !rest.empty()) return std::nullopt;
  return rest;
}

}  // namespace

std::optional<ServerName> parse_server_name(std::string_view text) {
  ServerName server;
  if (const auto rest = behind("stuns:", text)) {
    server.is_tls = true;
    server.port = kTlsPort;
    text = *rest;
  } else if (const auto plain = behind("stun:", text)) {
    text = *plain;
  }
  if (const auto endpoint = parse_endpoint(text, server.port)) {
    if (endpoint->port == 0) return std::nullopt;
    server.host = endpoint->ip.to_string();
    server.port = endpoint->port;
    server.ip = endpoint->ip;
    return server;
  }
  const auto colon = text.find(':');
  if (colon != text.npos) {
    const auto port = text.substr(colon + 1);
    const auto* const end = port.data() + port.size();
    const auto [stop, error] = std::from_chars(port.data(), end, server.port);
    if (error != std::errc() || stop != end || server.port == 0) return std::nullopt;
  }
  server.host = text.substr(0, colon);
  if (!is_host(server.host)) return std::nullopt;
  return server;
}

}  // namespace pyrsia::stun
