#include "options.hpp"

#include "bootstrap/status/document.hpp"
#include "stun_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <ranges>

namespace pyrsia::app {
namespace {

constexpr std::uint16_t kBootPort = 44000;

/// Of an authority, "host:port", "[::1]:80" or "user@host": that it can be one.
bool is_authority(std::string_view text) {
  text.remove_prefix(text.find('@') == text.npos ? 0 : text.find('@') + 1);
  auto host = text.substr(0, text.find(':'));
  if (text.starts_with('[')) {
    host = text.substr(0, text.find(']') + 1);  // Empty if it does not end.
    if (host.size() < 2 || !IpAddress::parse(host.substr(1, host.size() - 2))) return false;
  }
  const auto port = text.substr(host.size());
  if (host.empty() || host.find_first_of("[]\\") != host.npos) return false;
  if (port.empty()) return true;
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
  return port.front() == ':' && error == std::errc() && end == port.data() + port.size() &&
         number > 0;
}

/// True for "http://host[:port][/path]" and the same of https.
bool is_http_url(std::string_view url) {
  const auto scheme = url.starts_with("http://") ? 7U : url.starts_with("https://") ? 8U : 0U;
  const bool is_plain = std::ranges::all_of(url, [](char c) { return c > ' ' && c < 0x7f; });
  if (scheme == 0 || !is_plain || url.find_first_of("\"<>") != url.npos) return false;
  const auto rest = url.substr(scheme);
  return is_authority(rest.substr(0, rest.find_first_of("/?#")));
}

/// Takes values out of the settings and keeps the first complaint.
class Reader {
 public:
  explicit Reader(const Settings& settings) : settings_(settings) {}

  std::optional<Complaint> complaint;

  /// The value of a setting, if it was given.
  std::optional<std::string> text(std::string_view key) {
    const auto* given = settings_.find(key);
    if (given == nullptr || given->values.empty()) return std::nullopt;
    return given->values.front();
  }

  template <class T>
  void number(std::string_view key, T lowest, T highest, T& out) {
    const auto value = text(key);
    if (!value) return;
    T read{};
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), read);
    const bool is_whole = error == std::errc() && end == value->data() + value->size();
    if (!is_whole || read < lowest || read > highest) {
      return complain(key, *value, fmt::format("is not a number from {} to {}", lowest, highest));
    }
    out = read;
  }

  void addresses(std::string_view key, bool is_peer, std::vector<Multiaddr>& out) {
    const auto* given = settings_.find(key);
    if (given == nullptr) return;
    out.clear();
    for (const auto& value : given->values) {
      const auto address = Multiaddr::parse(value);
      if (!address)
        return complain(key, value, "is not a multiaddr such as /ip4/192.0.2.1/tcp/44000");
      if (is_peer && !address->peer_id()) {
        return complain(key, value, "has no peer id at its end: expected /p2p/<id>");
      }
      if (is_peer && address->without_peer().empty()) {
        return complain(key, value, "has no address before /p2p");
      }
      out.push_back(*address);
    }
  }

  void urls(std::string_view key, std::vector<std::string>& out) {
    const auto* given = settings_.find(key);
    if (given == nullptr) return;
    for (const auto& value : given->values) {
      if (!is_http_url(value)) return complain(key, value, "is not an http or https URL");
      if (std::ranges::find(out, value) == out.end()) out.push_back(value);
    }
  }

  /// "192.0.2.1:80" or "[2001:db8::1]:80".
  void endpoint(std::string_view key, Endpoint& out) {
    const auto value = text(key);
    if (!value) return;
    const auto colon = value->rfind(':');
    auto host = value->substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    const auto ip = IpAddress::parse(host);
    const auto port = colon == value->npos ? std::string() : value->substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
    if (!ip || error != std::errc() || end != port.data() + port.size() || port.empty())
      return complain(key, *value, "is not an address such as 192.0.2.1:4001");
    out.ip = *ip;
  }

  void complain(std::string_view key, std::string_view value, std::string_view why) {
    if (complaint) return;
    const auto* given = settings_.find(key);
    complaint = Complaint{
        given->fault, fmt::format("{}: {} {}", given->origin, bootstrap::in_quotes(value), why)};
  }

 private:
  const Settings& settings_;
};

void read_words(Reader& reader, Options& options) {
  if (const auto value = reader.text("host")) {
    const auto ip = IpAddress::parse(*value);
    if (ip) {
      options.http.ip = *ip;
    } else {
      reader.complain("host", *value, "is not an IP address");
    }
  }
  if (const auto value = reader.text("address_scope")) {
    if (*value == "global") {
      options.host.scope = AddressScope::global;
    } else if (*value == "private") {
      options.host.scope = AddressScope::private_use;
    } else if (*value == "loopback") {
      options.host.scope = AddressScope::loopback;
    } else {
      reader.complain("address_scope", *value, "is none of global, private, loopback");
    }
  }
  if (const auto value = reader.text("security")) {
    options.host.security.clear();  // What the names may be is known to validate().
    for (const auto name : std::views::split(*value, ','))
      options.host.security.emplace_back(name.begin(), name.end());
  }
  if (const auto value = reader.text("log_level")) {
    constexpr std::array<std::pair<std::string_view, LogLevel>, 4> kLevels{
        {{"debug", LogLevel::debug},
         {"info", LogLevel::info},
         {"warning", LogLevel::warning},
         {"error", LogLevel::error}}};
    const auto level = std::ranges::find(kLevels, *value, &decltype(kLevels)::value_type::first);
    if (level != kLevels.end()) {
      options.log_level = level->second;
    } else {
      reader.complain("log_level", *value, "is none of debug, info, warning, error");
    }
  }
}

void read_files(const Settings& settings, Reader& reader, Options& options) {
  if (const auto value = reader.text("key")) {
    if (value->empty()) reader.complain("key", *value, "is not a file name");
    options.key_file = *value;
  }
  const auto cache = reader.text("cache");
  if (!cache) {
    options.host.bootstrap_cache = options.key_file.parent_path() / "bootstrap_cache.json";
  } else if (!cache->empty()) {
    options.host.bootstrap_cache = *cache;
  }
  if (const auto* networks = settings.find("global_network")) {
    options.host.global_networks = networks->values;
  }
  options.external_ip = reader.text("external_ip").value_or("");
  options.evidence_file = reader.text("record_evidence").value_or("");
  if (const auto* words = settings.find("words")) options.words = words->values;
  const auto memory = reader.text("network_memory");
  if (!memory) {
    options.host.network_memory = options.key_file.parent_path() / "network_memory.json";
  } else if (!memory->empty() && *memory != "off") {
    options.host.network_memory = *memory;
  }
}

void read_web_tls(Reader& reader, Options& options) {
  auto& config = options.host.web_tls;
  const auto file = [&](std::string_view key, std::optional<std::filesystem::path>& out) {
    const auto value = reader.text(key);
    if (value && value->empty()) reader.complain(key, *value, "is not a file name");
    if (value) out = *value;
  };
  file("tls_cert", config.certificate);
  file("tls_key", config.key);
  file("tls_ca", config.extra_roots);
}

void read_port_mapping(const Settings& settings, Reader& reader, Options& options) {
  auto& config = options.host.port_mapping;
  const auto mode = reader.text("port_mapping");
  config.mode =
      settings.command == Command::boot ? PortMappingMode::off : PortMappingMode::automatic;
  if (mode && *mode == "auto") {
    config.mode = PortMappingMode::automatic;
  } else if (mode && *mode == "off") {
    config.mode = PortMappingMode::off;
  } else if (mode) {
    reader.complain("port_mapping", *mode, "is neither auto nor off");
  }
  if (const auto* protocols = settings.find("port_mapping_protocol")) {
    config.protocols = protocols->values;
    for (const auto& value : protocols->values)
      if (!portmap::parse_method(value))
        reader.complain("port_mapping_protocol", value, "is none of pcp, nat-pmp, upnp");
  }
  std::int64_t lifetime = std::chrono::duration_cast<std::chrono::seconds>(config.lifetime).count();
  reader.number<std::int64_t>("lifetime", 60, 86400, lifetime);
  config.lifetime = std::chrono::seconds(lifetime);
}

/// "peer udp 44000 198.51.100.7:443": PCP alone knows of single connections.
void read_map_remote(const std::string& text, Reader& reader, Options& options) {
  const auto remote = parse_endpoint(text, 0);
  if (!remote || remote->port == 0 || remote->ip.is_unspecified())
    return reader.complain("action", text, "is not an IP and a port");
  options.map_remote = *remote;
  const auto& protocols = options.host.port_mapping.protocols;
  if (!protocols.empty() && std::ranges::find(protocols, "pcp") == protocols.end())
    reader.complain("port_mapping_protocol", protocols.front(), "cannot do that, only pcp can");
}

/// "add tcp 44000", "remove udp 44000", "peer udp 44000 198.51.100.7:443", or nothing.
void read_map_action(const Settings& settings, Reader& reader, Options& options) {
  options.is_trace = settings.is_on("trace");
  if (const auto text = reader.text("map_address")) {
    const auto ip = IpAddress::parse(*text);
    if (!ip || ip->is_unspecified())
      return reader.complain("map_address", *text, "is not an IP address");
    options.map_address = *ip;
  }
  const auto* given = settings.find("action");
  if (given == nullptr || given->values.empty()) return;
  const auto& words = given->values;
  if (words[0] == "add") {
    options.map_action = MapAction::add;
  } else if (words[0] == "remove") {
    options.map_action = MapAction::remove;
  } else if (words[0] == "peer") {
    options.map_action = MapAction::peer;
  } else if (words[0] != "list" || words.size() > 1) {
    return reader.complain("action", words[0], "is none of list, add, remove, peer");
  }
  if (options.map_action == MapAction::list) return;
  const bool is_peer = options.map_action == MapAction::peer;
  if (words.size() != (is_peer ? 4U : 3U))
    return reader.complain("action", words[0],
                           is_peer ? "wants tcp or udp, a port, and IP:PORT of the peer"
                                   : "wants tcp or udp, and a port");
  if (words[1] != "tcp" && words[1] != "udp")
    return reader.complain("action", words[1], "is neither tcp nor udp");
  options.map_port.transport =
      words[1] == "tcp" ? portmap::Transport::tcp : portmap::Transport::udp;
  const auto& number = words[2];
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), options.map_port.number);
  if (error != std::errc() || end != number.data() + number.size() || options.map_port.number == 0)
    reader.complain("action", number, "is not a port from 1 to 65535");
  if (is_peer) read_map_remote(words[3], reader, options);
}

/// The original's precedence: probe > peer > listen-only > bootstrap URL.
void apply_precedence(const Settings& settings, Options& options) {
  auto& host = options.host;
  std::string_view winner;
  const auto note = [&](std::string_view key) {
    const auto* given = settings.find(key);
    if (given == nullptr || given->fault != ExitCode::usage) return;
    options.notes.push_back(
        fmt::format("{} is not used, because {} is given", given->origin, winner));
  };
  const auto drop = [&](std::string_view key, auto& values) {
    if (!values.empty()) note(key);
    values.clear();
  };
  host.is_listen_only = settings.is_on("listen_only");
  if (!host.probe_servers.empty() || !host.peers.empty()) {
    winner = host.probe_servers.empty() ? "--peer" : "--probe";
    if (!host.probe_servers.empty()) drop("peer", host.peers);
    drop("bootstrap_url", host.bootstrap_urls);
    if (host.is_listen_only) note("listen_only");
    host.is_listen_only = false;
    host.bootstrap_cache.reset();
  } else if (host.is_listen_only) {
    winner = "--listen-only";
    drop("bootstrap_url", host.bootstrap_urls);
  } else if (options.command == Command::boot && host.bootstrap_urls.empty()) {
    host.is_listen_only = true;
  }
  // Without a URL there is nothing to cache; a cache that is there may still be used.
  std::error_code ignored;
  const bool has_source =
      !host.bootstrap_urls.empty() ||
      (host.bootstrap_cache && std::filesystem::exists(*host.bootstrap_cache, ignored));
  if (host.is_listen_only || !has_source) host.bootstrap_cache.reset();
}

void note_unused(const Settings& settings, Options& options) {
  auto origins = settings.unused_variables;
  for (const auto* key : {"init_blockchain", "max_provided_keys", "mapping_service_endpoint",
                          "pipeline_service_endpoint"}) {
    if (const auto* given = settings.find(key)) origins.push_back(given->origin);
  }
  for (const auto& origin : origins) {
    options.notes.push_back(fmt::format(
        "{} does nothing here: this node serves no artifacts and no blockchain", origin));
  }
}

void read_measuring(Reader& reader, const Settings& settings, Options& options) {
  options.has_key_file = settings.find("key") != nullptr;
  options.is_perf_server = settings.is_on("run_server");
  reader.number<std::uint32_t>("count", 1, 1'000'000, options.count);
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  reader.number<std::uint64_t>("upload_bytes", 0, kMost, options.upload_bytes);
  reader.number<std::uint64_t>("download_bytes", 0, kMost, options.download_bytes);
  reader.endpoint("server_address", options.perf_server);
  const auto transport = reader.text("transport").value_or("tcp");
  if (transport != "tcp" && transport != "quic-v1")
    reader.complain("transport", transport, "is none of tcp, quic-v1");
  std::vector<Multiaddr> addresses;
  reader.addresses("words", true, addresses);
  if (addresses.size() > 1) reader.complain("words", addresses[1].to_string(), "is one too many");
  if (!addresses.empty()) {
    options.address = addresses.front();
  } else if (settings.find("server_address") != nullptr) {
    options.address = transport == "tcp" ? Multiaddr::tcp(options.perf_server)
                                         : Multiaddr::quic_v1(options.perf_server);
  }
}

/// What the host says of its configuration ("listen: /ip4/...: why"), as a complaint about whatever
/// gave that value.
Complaint host_complaint(const Settings& settings, const std::string& why) {
  const auto colon = why.find(": ");
  auto key = why.substr(0, colon);
  std::ranges::replace(key, '-', '_');
  const auto* given = settings.find(key);
  if (given == nullptr || colon == why.npos) return {ExitCode::usage, why};
  // A file that is no good is not a matter of usage, wherever its name came from.
  const auto code = key.starts_with("tls_") ? ExitCode::bad_config : given->fault;
  return {code, given->origin + why.substr(colon)};
}

}  // namespace

std::optional<Complaint> read_options(const Settings& settings, Options& options) {
  Reader reader(settings);
  options.command = settings.command;
  options.is_json = settings.is_on("json");
  options.is_once = settings.is_on("once");
  options.is_new_key = settings.is_on("new");
  options.is_quiet = settings.is_on("quiet");
  options.hides_nat = settings.is_on("hide_nat");
  read_words(reader, options);
  read_files(settings, reader, options);
  read_web_tls(reader, options);
  read_port_mapping(settings, reader, options);
  read_map_action(settings, reader, options);
  reader.number<std::uint16_t>("port", 0, 65535, options.http.port);
  std::int64_t once_seconds = options.once_timeout.count();
  reader.number<std::int64_t>("once_timeout", 1, 86400, once_seconds);
  options.once_timeout = std::chrono::seconds(once_seconds);
  auto& host = options.host;
  const bool is_boot = settings.command == Command::boot;
  if (is_boot) {
    for (auto& address : host.listen) address = address.with_port(kBootPort);
  }
  reader.addresses("listen", false, host.listen);
  reader.addresses("announce", false, host.announce);
  reader.addresses("peer", true, host.peers);
  reader.addresses("probe", true, host.probe_servers);
  reader.urls("bootstrap_url", host.bootstrap_urls);
  reader.urls("member", options.members);
  reader.addresses("sibling", true, host.siblings);
  if (options.command == Command::ping || options.command == Command::perf) {
    read_measuring(reader, settings, options);
    if (!reader.complaint && !options.address)
      return Complaint{ExitCode::usage,
                       "whom? give an address that ends in /p2p/<id> (see --help)"};
    std::string why;
    if (!reader.complaint && !validate(host, &why)) return host_complaint(settings, why);
    return reader.complaint;
  }
  if (reader.complaint) return reader.complaint;
  if (auto complaint = read_stun_options(settings, options.stun)) return complaint;
  if (auto complaint = read_probe_options(settings, options.probe)) return complaint;
  apply_precedence(settings, options);
  share_stun(settings, options);
  note_unused(settings, options);
  std::string why;
  if (!validate(host, &why)) return host_complaint(settings, why);
  return std::nullopt;
}

}  // namespace pyrsia::app
