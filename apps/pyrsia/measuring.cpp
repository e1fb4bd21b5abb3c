#include "measuring.hpp"

#include <fmt/format.h>

namespace pyrsia::app {

Identity measuring_identity(const Options& options) {
  if (options.has_key_file) return load_or_make_identity(options.key_file);
  Identity identity;
  identity.key = KeyPair::generate();
  return identity;
}

Config measuring_config(const Options& options) {
  Config config;
  config.web_tls = options.host.web_tls;
  config.listen.clear();
  config.is_listen_only = true;
  config.autonat.is_server = false;
  config.autonat_v2.is_client = false;
  config.scope = AddressScope::loopback;  // Whatever the address, it is to be tried.
  return config;
}

std::string transport_name(const Multiaddr& address) {
  if (address.is_websocket()) return address.is_secure_websocket() ? "wss" : "ws";
  if (address.has(Protocol::webtransport)) return "webtransport";
  if (address.has(Protocol::quic_v1)) return "quic-v1";
  return address.has(Protocol::tcp) ? "tcp" : "unknown";
}

std::string path_text(const PathInfo& path) {
  auto text = transport_name(path.remote);
  for (const auto* part : {&path.security, &path.muxer})
    if (!part->empty()) text += ", " + *part;
  return fmt::format("{}, {}, {} -> {}", text, path.remote.is_relayed() ? "relayed" : "direct",
                     path.local.to_string(), path.remote.to_string());
}

Task<> connect_to(Host& host, Multiaddr address, std::string* detail) {
  const auto peer = address.peer_id();
  if (!peer) co_return Errc::invalid_argument;
  std::vector<Multiaddr> addresses(1, std::move(address));
  co_return co_await host.connect(*peer, std::move(addresses), detail);
}

}  // namespace pyrsia::app
