#include "base/endpoint_text.hpp"

#include <charconv>

namespace pyrsia {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || stop != end) return std::nullopt;
  return port;
}

}  // namespace

std::optional<Endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port) {
  std::optional<std::uint16_t> port = default_port;
  auto host = text;
  const auto colon = text.rfind(':');
  if (text.starts_with('[')) {
    const auto end = text.rfind(']');
    if (end == text.npos) return std::nullopt;
    host = text.substr(1, end - 1);
    const auto rest = text.substr(end + 1);
    if (!rest.empty() && !rest.starts_with(':')) return std::nullopt;
    if (!rest.empty()) port = parse_port(rest.substr(1));
  } else if (colon != text.npos && text.find(':') == colon) {
    host = text.substr(0, colon);
    port = parse_port(text.substr(colon + 1));
  }
  const auto ip = IpAddress::parse(host);
  if (!ip || !port) return std::nullopt;
  return Endpoint{*ip, *port};
}

}  // namespace pyrsia
