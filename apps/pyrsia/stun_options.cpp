#include "stun_options.hpp"

#include "nat/stun/server_name.hpp"
#include "probe_servers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pyrsia::app {
namespace {

std::optional<std::uint32_t> number_of(std::string_view text, std::uint32_t highest) {
  std::uint32_t number = 0;
  const auto* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || at != end || number > highest) return std::nullopt;
  return number;
}

/// "10", "10s", "2m", "1h".
std::optional<std::chrono::seconds> duration_of(std::string_view text) {
  std::uint32_t unit = 1;
  if (!text.empty() && text.back() == 'h') unit = 3600;
  if (!text.empty() && text.back() == 'm') unit = 60;
  if (!text.empty() && (unit > 1 || text.back() == 's')) text.remove_suffix(1);
  const auto number = number_of(text, 86400);
  if (!number || *number == 0) return std::nullopt;
  return std::chrono::seconds(std::uint64_t(*number) * unit);
}

Complaint complaint_about(const Given& given, std::string_view value, std::string_view why) {
  return {given.fault, fmt::format("{}: \"{}\" {}", given.origin, value, why)};
}

std::optional<Complaint> read_listen(const Settings& settings, StunOptions& stun) {
  const auto* key = settings.command == Command::stun_server ? "stun_server_listen" : "stun_listen";
  const bool is_boot = settings.command == Command::boot;
  for (const auto& any : {IpAddress::v4_any(), IpAddress::v6_any()}) {
    stun.listen.push_back({any, kStunPort});
    if (is_boot) stun.listen.push_back({any, kStunPort + 1});
  }
  const auto* given = settings.find(key);
  stun.is_v6_optional = given == nullptr;
  if (given == nullptr) return std::nullopt;
  stun.listen.clear();
  stun.is_listen_given = true;
  for (const auto& value : given->values) {
    if (value.empty()) continue;
    const auto endpoint = parse_endpoint(value, kStunPort);
    if (!endpoint)
      return complaint_about(*given, value, "is not an endpoint such as 192.0.2.1:3478");
    if (std::ranges::find(stun.listen, *endpoint) != stun.listen.end() && endpoint->port != 0)
      return complaint_about(*given, value, "is given twice");
    stun.listen.push_back(*endpoint);
  }
  return std::nullopt;
}

/// Once the certificate is known.
std::optional<Complaint> read_tls_listen(const Settings& settings, StunOptions& stun) {
  const bool has_certificate = settings.find("tls_cert") != nullptr;
  const auto* given = settings.find("stun_tls_listen");
  if (given == nullptr) {
    const bool is_server = settings.command == Command::stun_server ||
                           (settings.command == Command::boot && !stun.listen.empty());
    if (!has_certificate || !is_server) return std::nullopt;
    stun.tls_listen = {{IpAddress::v4_any(), kStunTlsPort}};
    // Beside addresses that were named IPv6 would not be optional.
    if (stun.is_v6_optional) stun.tls_listen.push_back({IpAddress::v6_any(), kStunTlsPort});
    return std::nullopt;
  }
  stun.is_listen_given = true;
  for (const auto& value : given->values) {
    if (value.empty()) continue;
    const auto endpoint = parse_endpoint(value, kStunTlsPort);
    if (!endpoint)
      return complaint_about(*given, value, "is not an endpoint such as 192.0.2.1:5349");
    stun.tls_listen.push_back(*endpoint);
  }
  if (!stun.tls_listen.empty() && !has_certificate)
    return Complaint{given->fault, given->origin + ": needs --tls-cert and --tls-key"};
  return std::nullopt;
}

std::optional<Complaint> read_members(const Settings& settings, StunOptions& stun) {
  const auto* given = settings.find("stun_member");
  if (given == nullptr) return std::nullopt;
  if (given->values.size() > kMaxStunMembers)
    return complaint_about(*given, given->values[kMaxStunMembers],
                           fmt::format("is one too many: {} at most", kMaxStunMembers));
  for (const auto& value : given->values) {
    const auto address = Multiaddr::parse(value);
    const bool is_udp = address && address->has(Protocol::udp) && !address->has(Protocol::quic_v1);
    if (!is_udp || !address->endpoint() || !address->peer_id())
      return complaint_about(*given, value, "is not of the form /ip4/IP/udp/3478/p2p/ID");
    stun.members.push_back({*address->endpoint(), *address->peer_id()});
  }
  return std::nullopt;
}

std::optional<Complaint> read_external(const Settings& settings, StunOptions& stun) {
  if (const auto* given = settings.find("stun_external_ip")) {
    const auto ip = IpAddress::parse(given->values.front());
    if (!ip || !ip->is_v4())
      return complaint_about(*given, given->values.front(), "is not an IPv4 address");
    stun.external_v4 = *ip;
  } else if (const auto* all = settings.find("external_ip")) {
    // That of the whole node. One who names the address to listen at has his reasons.
    const auto names_one = [](const Endpoint& endpoint) {
      return endpoint.ip.is_v4() && !endpoint.ip.is_unspecified();
    };
    const auto ip = IpAddress::parse(all->values.front());
    if (ip && ip->is_v4() && std::ranges::none_of(stun.listen, names_one)) stun.external_v4 = *ip;
  }
  return std::nullopt;
}

std::optional<Complaint> read_servers(const Settings& settings, ProbeOptions& probe) {
  const auto* given = settings.find("stun_server");
  if (given == nullptr) return std::nullopt;
  if (given->values.size() > kMaxServerNames)
    return complaint_about(*given, given->values[kMaxServerNames],
                           fmt::format("is one too many: {} at most", kMaxServerNames));
  for (const auto& value : given->values) {
    if (value.empty()) continue;
    if (!stun::parse_server_name(value))
      return complaint_about(*given, value,
                             "is no STUN server such as stun.example.org, 192.0.2.1:3478, "
                             "stun:[2001:db8::1]:3478 or stuns:stun.example.org");
    probe.servers.push_back(value);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Complaint> read_stun_options(const Settings& settings, StunOptions& stun) {
  if (auto complaint = read_listen(settings, stun)) return complaint;
  if (auto complaint = read_tls_listen(settings, stun)) return complaint;
  if (auto complaint = read_members(settings, stun)) return complaint;
  if (auto complaint = read_external(settings, stun)) return complaint;
  if (const auto* given = settings.find("stun_rate")) {
    const auto rate = number_of(given->values.front(), 2'000'000);
    if (!rate)
      return complaint_about(*given, given->values.front(), "is not a number from 0 to 2000000");
    stun.per_source_per_second = *rate;
  }
  return std::nullopt;
}

void share_stun(const Settings& settings, Options& options) {
  auto& host = options.host.stun;
  host.per_source_per_second = options.stun.per_source_per_second;
  host.is_server = options.command == Command::boot ? !options.stun.listen.empty()
                                                    : settings.is_on("serve_stun");
  if (options.command == Command::node) {
    host.servers = stun_server_addresses(options);
    for (const auto& name : options.probe.servers)
      if (stun::parse_server_name(name)->is_tls)
        options.notes.push_back(
            fmt::format("{}: {} is not asked: a node asks over UDP, `pyrsia probe` over TLS too",
                        settings.find("stun_server")->origin, name));
  }
  if (!options.stun.members.empty() && options.stun.listen.empty())
    options.notes.push_back(
        fmt::format("{} is not used: STUN listens at no UDP port (see --stun-listen)",
                    settings.find("stun_member")->origin));
}

std::optional<Complaint> read_probe_options(const Settings& settings, ProbeOptions& probe) {
  probe.is_alone = settings.is_on("alone");
  probe.is_brief = settings.is_on("brief");
  probe.measures_lifetime = settings.is_on("mapping_lifetime");
  if (auto complaint = read_servers(settings, probe)) return complaint;
  if (const auto* given = settings.find("local")) probe.local = given->values.front();
  if (const auto* given = settings.find("remote")) probe.remote = given->values.front();
  if (const auto* given = settings.find("every")) {
    probe.every = duration_of(given->values.front());
    if (!probe.every)
      return complaint_about(*given, given->values.front(), "is not a duration such as 10s");
  }
  if (settings.command == Command::pair && probe.remote.empty())
    return Complaint{
        ExitCode::usage,
        "probe pair: whose path? Give a peer id, an address that ends in /p2p/<id>, "
        "http://HOST:PORT/probe, or a file with what `pyrsia probe --json` said there"};
  return std::nullopt;
}

}  // namespace pyrsia::app
