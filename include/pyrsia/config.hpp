#pragma once

#include <pyrsia/log.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/port_mapping.hpp>
#include <pyrsia/time.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia {

/// The narrowest class of addresses that counts as reachable by others.
enum class AddressScope { loopback, private_use, global };

/// AutoNAT v1. Defaults are the original's.
struct AutonatConfig {
  bool is_server = true;                          ///< Dial others back when they ask.
  Duration boot_delay = std::chrono::seconds(5);  ///< First probe, if no server is ready sooner.
  Duration retry_interval = std::chrono::seconds(10);    ///< While not settled.
  Duration refresh_interval = std::chrono::seconds(30);  ///< Once settled.
  Duration probe_timeout = std::chrono::seconds(30);     ///< One whole exchange, as a client.
  Duration dial_back_budget = std::chrono::seconds(6);   ///< All dials of one request, as a server.
  std::size_t requests_per_period = 30;                  ///< Accepted of all clients.
  std::size_t requests_of_one_peer_per_period = 3;
  Duration period = std::chrono::seconds(1);
};

/// AutoNAT v2. Whether others are dialed back says AutonatConfig::is_server, for both.
struct AutonatV2Config {
  bool is_client = true;  ///< Ask others about our addresses.
  /// One server more is asked about each address.
  Duration refresh_interval = std::chrono::minutes(5);
  Duration probe_timeout = std::chrono::seconds(20);  ///< One whole exchange, as a client.
  /// One dial-back, as a server, handshakes included. Where nobody answers it ends sooner.
  Duration dial_timeout = std::chrono::seconds(7);
  Duration max_dial_wait = std::chrono::seconds(3);  ///< Before a dial that data was asked for.
  std::uint64_t max_dial_data_bytes = 100'000;       ///< Paid for one probe; 0: never pay.
  std::size_t requests_per_minute = 60;              ///< Accepted of all clients.
  std::size_t requests_of_one_peer_per_minute = 12;
  std::size_t requests_of_one_ip_per_minute = 24;  ///< IPv4 address or IPv6 /56.
  std::size_t dial_data_requests_per_minute = 12;  ///< Of these: with another IP to dial.
};

/// TLS as on the web, under WebSockets (`/tls/ws`, `/wss`).
struct WebTlsConfig {
  /// Our certificate and then those that lead to its root, and its key: PEM files, both or neither.
  /// They are looked at every 10 seconds, and read again if they have changed. With them every
  /// plain TCP listener takes secure WebSockets too, unless `listen` says where.
  std::optional<std::filesystem::path> certificate;
  std::optional<std::filesystem::path> key;
  /// PEM file with certificates that are trusted besides the roots of this machine.
  std::optional<std::filesystem::path> extra_roots;
};

/// STUN at the UDP ports of QUIC, told apart by the first byte. RFC 9443.
struct StunConfig {
  bool is_server = false;  ///< Answer whoever asks there.
  /// Requests that one IPv4 address or IPv6 /64 may make, after twice as many, or 48, at
  /// once. 0: any number.
  std::uint32_t per_source_per_second = 200;
  /// Ask where the sockets of QUIC are seen, which is what hole punching needs: `servers`, and the
  /// boot peers that we are connected to and that have an address of QUIC.
  bool is_client = true;
  std::vector<Multiaddr> servers;  ///< "/ip4/192.0.2.1/udp/3478", "/dns/stun.example.org/udp/3478"
  Duration interval = std::chrono::minutes(5);         ///< Until they are asked again.
  Duration retry_interval = std::chrono::seconds(10);  ///< While none has answered; doubles.
};

/// Everything that a Host can be told. The defaults make a node that listens, and no more.
struct Config {
  /// Where to listen; an IP of 0.0.0.0 or :: means every interface, port 0 a free one, for QUIC
  /// that of TCP if it can be had.
  std::vector<Multiaddr> listen = {Multiaddr::tcp({IpAddress::v4_any(), 0}),
                                   Multiaddr::quic_v1({IpAddress::v4_any(), 0})};
  /// Addresses under which others can reach us though we do not see them, e.g. a port forward.
  std::vector<Multiaddr> announce;
  AddressScope scope = AddressScope::global;
  /// Networks that count as global whatever their class, "73.0.0.0/24": for labs.
  std::vector<std::string> global_networks;

  /// URLs of status documents, all tried. Empty: no bootstrap by URL.
  std::vector<std::string> bootstrap_urls;
  /// Peers to connect to at once; each ends in /p2p.
  std::vector<Multiaddr> peers;
  /// Peers to use as AutoNAT servers; each ends in /p2p. Connected to as well.
  std::vector<Multiaddr> probe_servers;
  /// Boot servers at other IPs, which we dial back for and which dial back for us; each ends in
  /// /p2p, and must list us too. Connected to, also if `is_listen_only`.
  std::vector<Multiaddr> siblings;
  /// Connect to nobody of our own accord; dial-backs that others ask for are made.
  bool is_listen_only = false;
  /// Where the last good status documents are kept; none: nowhere.
  std::optional<std::filesystem::path> bootstrap_cache;
  Duration bootstrap_cache_lifetime = std::chrono::hours(24 * 7);
  Duration bootstrap_timeout = std::chrono::seconds(10);  ///< One fetch.

  /// What was learned of each network is kept here; none: until the host ends only.
  std::optional<std::filesystem::path> network_memory;

  /// What secures TCP connections, best first: "noise", "tls". A listener takes all of them; a
  /// dialer proposes the first, and the next where it is refused.
  std::vector<std::string> security = {"noise", "tls"};
  WebTlsConfig web_tls;
  std::size_t max_connections = 4096;
  std::string agent;  ///< What identify calls us; empty: "pyrsia/<version>".
  AutonatConfig autonat;
  PortMappingConfig port_mapping;
  /// Gets all that the NAT verdict rests on, a line each without a newline, to be replayed later:
  /// see docs/adr/0022-evidence-as-lines.md. Empty: nothing is recorded.
  std::function<void(const std::string& line)> evidence_sink;
  AutonatV2Config autonat_v2;
  StunConfig stun;
  /// Serve /perf/1.0.0, which costs as much as others want it to: for measurements.
  bool serves_perf = false;
  LogSink log;  ///< Empty: silence.
};

/// Reads the files of `web_tls`. Errors: `Errc::invalid_argument`; `detail`, if given, says what is
/// wrong with which field.
Result<> validate(const Config& config, std::string* detail);

}  // namespace pyrsia
