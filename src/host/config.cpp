#include "host/scope.hpp"
#include "host/web_certificate.hpp"
#include "nat/portmap/mapping.hpp"
#include "protocols/autonat/server.hpp"

#include <pyrsia/config.hpp>

#include <algorithm>
#include <charconv>

namespace pyrsia {
namespace {

/// An error about one value of one field: "peers: /ip4/…: does not end in /p2p/<peer>".
Error refuse(std::string* detail, std::string_view field, std::string_view value,
             std::string_view why) {
  if (detail) {
    detail->assign(field);
    detail->append(": ").append(value).append(": ").append(why);
  }
  return Errc::invalid_argument;
}

Result<> validate_peers(std::string_view field, const std::vector<Multiaddr>& peers,
                        std::string* detail) {
  for (const auto& address : peers) {
    if (!address.peer_id())
      return refuse(detail, field, address.to_string(), "does not end in /p2p/<peer id>");
    if (address.without_peer().empty())
      return refuse(detail, field, address.to_string(), "has no address in front of /p2p");
  }
  return ok;
}

Result<> validate_listen(const Config& config, std::string* detail) {
  for (const auto& address : config.listen) {
    const bool is_websocket = address.is_websocket() && !address.has(Protocol::http_path);
    if (!address.is_plain_tcp() && !is_websocket && !address.is_quic_v1())
      return refuse(detail, "listen", address.to_string(),
                    "is not /ip4|ip6/…/tcp/<port>[/ws|/tls/ws] or …/udp/<port>/quic-v1");
    if (address.is_secure_websocket() && !config.web_tls.certificate)
      return refuse(detail, "listen", address.to_string(), "needs tls-cert and tls-key");
  }
  return ok;
}

/// How long clients of AutoNAT v1 wait for an answer, the original among them.
constexpr Duration kAutonatPatience = std::chrono::seconds(30);

Result<> validate_autonat(const Config& config, std::string* detail) {
  const auto& autonat = config.autonat;
  for (const auto time : {autonat.retry_interval, autonat.refresh_interval, autonat.probe_timeout,
                          autonat.dial_back_budget, config.autonat_v2.refresh_interval,
                          config.autonat_v2.probe_timeout, config.autonat_v2.dial_timeout,
                          config.stun.interval, config.stun.retry_interval}) {
    if (time <= Duration(0)) {
      if (detail) *detail = "autonat or stun: a time is not longer than nothing";
      return Errc::invalid_argument;
    }
  }
  const autonat::ServerConfig server;
  if (autonat.dial_back_budget >=
      kAutonatPatience - server.request_timeout - server.answer_timeout) {
    if (detail) *detail = "autonat: with this dial_back_budget answers come too late for clients";
    return Errc::invalid_argument;
  }
  return ok;
}

}  // namespace

Result<Network> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return Errc::malformed;
  PYRSIA_TRY(const auto ip, IpAddress::parse(text.substr(0, slash)));
  unsigned bits = 0;
  const auto digits = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), bits);
  if (error != std::errc() || end != digits.end() || bits > (ip.is_v4() ? 32U : 128U))
    return Errc::malformed;
  return Network{ip, bits};
}

AddressClassifier make_classifier(const Config& config) {
  AddressClassifier classifier(config.scope == AddressScope::global ? AddressClass::global
                               : config.scope == AddressScope::private_use
                                   ? AddressClass::private_use
                                   : AddressClass::loopback);
  for (const auto& text : config.global_networks) {
    if (const auto network = parse_network(text))
      classifier.treat_as_global(network->ip, network->bits);
  }
  return classifier;
}

Result<> validate(const Config& config, std::string* detail) {
  PYRSIA_TRY(validate_listen(config, detail));
  for (const auto& address : config.announce) {
    const auto ip = address.ip();
    if (address.port().value_or(0) == 0)
      return refuse(detail, "announce", address.to_string(), "has no port");
    if (ip && ip->is_unspecified())
      return refuse(detail, "announce", address.to_string(), "names no machine");
    if (address.is_relayed())
      return refuse(detail, "announce", address.to_string(), "is the address of a relay");
  }
  for (const auto& address : config.stun.servers) {
    const bool is_udp = address.has(Protocol::udp) && !address.has(Protocol::quic_v1) &&
                        address.port().value_or(0) != 0;
    if (!is_udp || address.has(Protocol::dnsaddr))
      return refuse(detail, "stun-server", address.to_string(),
                    "is not /ip4|ip6|dns|dns4|dns6/…/udp/<port>");
  }
  PYRSIA_TRY(validate_peers("peer", config.peers, detail));
  PYRSIA_TRY(validate_peers("probe", config.probe_servers, detail));
  PYRSIA_TRY(validate_peers("sibling", config.siblings, detail));
  for (const auto& url : config.bootstrap_urls) {
    if (!url.starts_with("http://") && !url.starts_with("https://"))
      return refuse(detail, "bootstrap-url", url, "does not begin with http:// or https://");
  }
  if (config.security.empty()) return refuse(detail, "security", "", "names nothing");
  for (const auto& name : config.security) {
    if (name != "noise" && name != "tls")
      return refuse(detail, "security", name, "is neither noise nor tls");
    if (std::ranges::count(config.security, name) > 1)
      return refuse(detail, "security", name, "is named twice");
  }
  for (const auto& network : config.global_networks) {
    if (!parse_network(network))
      return refuse(detail, "global-network", network, "is not an IP network such as 73.0.0.0/24");
  }
  for (const auto& protocol : config.port_mapping.protocols) {
    if (!portmap::parse_method(protocol))
      return refuse(detail, "port-mapping-protocol", protocol, "is none of pcp, nat-pmp, upnp");
  }
  if (config.port_mapping.budget <= Duration(0) ||
      config.port_mapping.lifetime < std::chrono::minutes(1)) {
    if (detail) *detail = "port-mapping: no budget, or a lifetime of less than a minute";
    return Errc::invalid_argument;
  }
  PYRSIA_TRY(host::read_web_certificate(config.web_tls, detail));
  PYRSIA_TRY(host::read_web_trust(config.web_tls, detail));
  return validate_autonat(config, detail);
}

}  // namespace pyrsia
