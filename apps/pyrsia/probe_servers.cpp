#include "probe_servers.hpp"

#include "runtime/beside.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>
#include <charconv>

namespace pyrsia::app {
namespace {

constexpr Duration kResolveLimit = std::chrono::seconds(2);
constexpr std::size_t kMaxServers = 8;
constexpr std::size_t kMaxNames = 16;  ///< Some of which may have no address.

/// The host in "http://host:7888/status".
std::string host_of(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme != url.npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  if (const auto at = url.rfind('@'); at != url.npos) url.remove_prefix(at + 1);
  if (url.starts_with('[')) return std::string(url.substr(0, url.find(']') + 1));
  return std::string(url.substr(0, url.find(':')));
}

struct Named {
  std::string host;
  std::uint16_t port = kStunPort;
  std::vector<IpAddress> addresses = {};  ///< Empty: it has none, or nobody says.
};

constexpr std::string_view kTls = "stuns:";  ///< RFC 7064

bool is_tls(std::string_view server) {
  return server.starts_with(kTls);
}

Named split(std::string_view server, std::uint16_t default_port) {
  if (const auto endpoint = parse_endpoint(server, default_port))
    return {endpoint->ip.to_string(), endpoint->port, {endpoint->ip}};
  Named named{std::string(server), default_port};
  const auto colon = server.rfind(':');
  if (colon == server.npos) return named;
  std::uint16_t port = 0;
  const auto text = server.substr(colon + 1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error == std::errc() && end == text.data() + text.size())
    named = {std::string(server.substr(0, colon)), port};
  return named;
}

Task<> resolve_one(Env& env, Named& named) {
  auto resolving = env.resolve(named.host, IpFamily::any);
  PYRSIA_CO_TRY(named.addresses, co_await with_timeout(env, kResolveLimit, std::move(resolving)));
  co_return ok;
}

/// Asks for all names at once. Errors: none.
Task<std::vector<Named>> resolve_all(Env& env, std::vector<Named> all) {
  if (all.size() > kMaxNames) all.resize(kMaxNames);
  std::vector<Task<>> resolving;
  for (auto& named : all)
    if (named.addresses.empty()) resolving.push_back(resolve_one(env, named));
  co_await run_all(env, std::move(resolving));
  co_return all;
}

}  // namespace

std::vector<std::string> stun_server_names(const Options& options) {
  if (!options.probe.servers.empty()) return options.probe.servers;
  std::vector<std::string> names;
  for (const auto& url : options.host.bootstrap_urls) names.push_back(host_of(url));
  if (!names.empty()) return names;
  for (const auto* peers : {&options.host.peers, &options.host.probe_servers}) {
    for (const auto& peer : *peers) {
      if (const auto ip = peer.ip()) names.push_back(Endpoint{*ip, kStunPort}.to_string());
      if (const auto name = peer.dns_name()) names.push_back(*name);
    }
  }
  return names;
}

std::vector<Multiaddr> stun_server_addresses(const Options& options) {
  std::vector<Multiaddr> out;
  for (const auto& server : stun_server_names(options)) {
    if (out.size() >= kMaxServers) break;
    if (is_tls(server)) continue;
    const auto named = split(server, kStunPort);
    if (!named.addresses.empty()) {
      out.push_back(Multiaddr::udp({named.addresses.front(), named.port}));
      continue;
    }
    const auto address =
        Multiaddr::parse("/dns/" + named.host + "/udp/" + std::to_string(named.port));
    if (address) out.push_back(*address);
  }
  return out;
}

Task<std::vector<nat::TlsServer>> tls_servers(Env& env, std::vector<std::string> names,
                                              StunTls& tls) {
  std::vector<Named> wanted;
  for (const auto& name : names)
    if (is_tls(name))
      wanted.push_back(split(std::string_view(name).substr(kTls.size()), kStunTlsPort));
  PYRSIA_CO_TRY(const auto resolved, co_await resolve_all(env, std::move(wanted)));
  std::vector<nat::TlsServer> out;
  for (const auto& named : resolved) {
    if (named.addresses.empty() || out.size() >= kMaxServers) continue;
    const Endpoint at{named.addresses.front(), named.port};
    out.push_back({at, tls.as_client(named.host)});
  }
  co_return out;
}

Task<nat::SurveyConfig> survey_config(Env& env, std::vector<std::string> servers,
                                      std::vector<std::string> status_urls) {
  nat::SurveyConfig config;
  config.status_urls = std::move(status_urls);
  if (config.status_urls.size() > kMaxServers) config.status_urls.resize(kMaxServers);
  std::vector<Named> wanted;
  for (const auto& server : servers)
    if (!is_tls(server)) wanted.push_back(split(server, kStunPort));
  PYRSIA_CO_TRY(const auto resolved, co_await resolve_all(env, std::move(wanted)));
  for (const auto& named : resolved) {
    // One of each family: they are one and the same server.
    for (const bool is_v6 : {false, true}) {
      const auto of_family = [&](const IpAddress& ip) { return ip.is_v6() == is_v6; };
      const auto found = std::ranges::find_if(named.addresses, of_family);
      if (found == named.addresses.end() || config.servers.size() >= kMaxServers) continue;
      config.servers.push_back({*found, named.port});
    }
  }
  co_return config;
}

}  // namespace pyrsia::app
