#include "multi/websocket_address.hpp"

#include "base/varint.hpp"
#include "multi/protocol_table.hpp"

namespace pyrsia::multi {
namespace {

void append(Bytes& out, Protocol protocol, BytesView value) {
  std::string head;
  append_varint(head, static_cast<std::uint64_t>(protocol));
  if (find_protocol(std::uint64_t(protocol))->value_bytes == ProtocolInfo::kVariable)
    append_varint(head, value.size());
  const auto bytes = as_bytes(head);
  out.insert(out.end(), bytes.begin(), bytes.end());
  out.insert(out.end(), value.begin(), value.end());
}

}  // namespace

Multiaddr with_tls_spelled_out(const Multiaddr& address) {
  if (!address.has(Protocol::wss)) return address;
  Bytes out;
  for (const auto& [protocol, value] : address.components()) {
    const bool is_old = protocol == Protocol::wss;
    if (is_old) append(out, Protocol::tls, {});
    append(out, is_old ? Protocol::ws : protocol, value);
  }
  // It is longer by a byte or two, which an address may have no room for.
  const auto spelled = Multiaddr::from_bytes(out);
  return spelled ? *spelled : address;
}

std::optional<std::string> server_name(const Multiaddr& address) {
  for (const auto& [protocol, value] : address.components())
    if (protocol == Protocol::sni) return std::string(as_text(value));
  return std::nullopt;
}

Multiaddr with_server_name(const Multiaddr& address, std::string_view name) {
  const auto spelled = with_tls_spelled_out(address);
  if (spelled.has(Protocol::sni)) return spelled;
  Bytes out;
  bool is_after_tls = false;
  for (const auto& [protocol, value] : spelled.components()) {
    if (protocol == Protocol::ws && is_after_tls) append(out, Protocol::sni, as_bytes(name));
    append(out, protocol, value);
    is_after_tls = protocol == Protocol::tls;
  }
  const auto named = Multiaddr::from_bytes(out);
  return named ? *named : spelled;
}

}  // namespace pyrsia::multi
