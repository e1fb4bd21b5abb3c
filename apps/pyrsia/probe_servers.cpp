#include "probe_servers.hpp"

#include "nat/stun/server_name.hpp"
#include "runtime/beside.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::app {
namespace {

constexpr Duration kResolveLimit = std::chrono::seconds(2);
constexpr std::size_t kMaxServers = 8;

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
  std::string text;  ///< As it was given.
  stun::ServerName server;
  std::vector<IpAddress> addresses = {};  ///< Empty: it has none, or nobody says.
};

Task<> resolve_one(Env& env, Named& named) {
  auto resolving = env.resolve(named.server.host, IpFamily::any);
  PYRSIA_CO_TRY(named.addresses, co_await with_timeout(env, kResolveLimit, std::move(resolving)));
  co_return ok;
}

/// Asks for all names at once. Errors: none.
Task<std::vector<Named>> resolve_all(Env& env, std::vector<std::string> names) {
  std::vector<Named> all;
  for (auto& name : names) {
    if (all.size() >= kMaxServerNames) break;
    Named named{std::move(name), {}};
    if (const auto server = stun::parse_server_name(named.text)) named.server = *server;
    if (named.server.ip) named.addresses = {*named.server.ip};
    all.push_back(std::move(named));
  }
  std::vector<Task<>> resolving;
  for (auto& named : all)
    if (named.addresses.empty() && !named.server.host.empty())
      resolving.push_back(resolve_one(env, named));
  co_await run_all(env, std::move(resolving));
  co_return all;
}

/// One of each family: they are one and the same server.
void add_of_each_family(const Named& named, std::vector<Endpoint>& servers) {
  for (const bool is_v6 : {false, true}) {
    const auto of_family = [&](const IpAddress& ip) { return ip.is_v6() == is_v6; };
    const auto found = std::ranges::find_if(named.addresses, of_family);
    if (found == named.addresses.end() || servers.size() >= kMaxServers) continue;
    servers.push_back({*found, named.server.port});
  }
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
  for (const auto& name : stun_server_names(options)) {
    if (out.size() >= kMaxServers) break;
    const auto server = stun::parse_server_name(name);
    if (!server || server->is_tls) continue;
    if (server->ip) {
      out.push_back(Multiaddr::udp({*server->ip, server->port}));
      continue;
    }
    const auto address =
        Multiaddr::parse("/dns/" + server->host + "/udp/" + std::to_string(server->port));
    if (address) out.push_back(*address);
  }
  return out;
}

Task<nat::SurveyConfig> survey_config(Env& env, std::vector<std::string> servers,
                                      std::vector<std::string> status_urls, StunTls* tls) {
  nat::SurveyConfig config;
  config.status_urls = std::move(status_urls);
  if (config.status_urls.size() > kMaxServers) config.status_urls.resize(kMaxServers);
  PYRSIA_CO_TRY(const auto resolved, co_await resolve_all(env, std::move(servers)));
  for (const auto& named : resolved) {
    const auto& server = named.server;
    if (named.addresses.empty()) {
      config.unresolved.push_back(named.text);
    } else if (server.is_tls) {
      if (tls == nullptr || config.tls_servers.size() >= kMaxServers) continue;
      const Endpoint at{named.addresses.front(), server.port};
      config.tls_servers.push_back({at, tls->as_client(server.host)});
    } else {
      add_of_each_family(named, config.servers);
    }
  }
  co_return config;
}

}  // namespace pyrsia::app
