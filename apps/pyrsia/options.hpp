#pragma once

#include "base/endpoint_text.hpp"
#include "nat/portmap/mapping.hpp"
#include "nat/stun/server.hpp"
#include "settings.hpp"

#include <pyrsia/config.hpp>
#include <pyrsia/ip.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::app {

/// What `map` does.
enum class MapAction { list, add, remove, peer };
/// Of `boot` and `stun-server`.
struct StunOptions {
  std::vector<Endpoint> listen;
  std::vector<Endpoint> tls_listen;  ///< Empty without a certificate.
  bool is_v6_optional = false;       ///< Nobody asked for IPv6: it may be missing.
  bool is_listen_given = false;      ///< Else it may fail without ending the program.
  std::vector<stun::Member> members;
  std::optional<IpAddress> external_v4;
  std::uint32_t per_source_per_second = 200;
};

/// Of `probe` and `pair`.
struct ProbeOptions {
  std::vector<std::string> servers;  ///< As stun::parse_server_name() reads them.
  std::optional<std::chrono::seconds> every;
  bool is_alone = false;
  bool is_brief = false;
  bool measures_lifetime = false;
  std::string local;
  std::string remote;
};

/// What `node` and `boot` run with.
struct Options {
  Command command = Command::node;
  Endpoint http{IpAddress::v4_loopback(), 7888};
  std::filesystem::path key_file = "pyrsia/p2p_keypair.ser";
  Config host;                       ///< Without `log`.
  std::vector<std::string> members;  ///< Status URLs of the other boot servers.
  StunOptions stun;
  ProbeOptions probe;
  std::string external_ip;
  std::filesystem::path evidence_file;  ///< Where evidence is recorded; empty: nowhere.
  std::vector<std::string> words;       ///< addr: what stands there without a flag.
  bool is_once = false;
  std::chrono::seconds once_timeout{120};
  bool is_json = false;
  bool is_new_key = false;           ///< id --new
  bool is_quiet = false;             ///< status --quiet
  bool has_key_file = false;         ///< ping, perf: else the key lives as long as the program.
  std::optional<Multiaddr> address;  ///< ping, perf: whom. Ends in /p2p.
  std::uint32_t count = 5;           ///< ping --count
  bool is_perf_server = false;       ///< perf --run-server
  Endpoint perf_server;              ///< perf --server-address
  std::uint64_t upload_bytes = 0;
  std::uint64_t download_bytes = 0;
  MapAction map_action = MapAction::list;
  portmap::Port map_port;                ///< map add, map remove, map peer
  Endpoint map_remote;                   ///< map peer: the other end of the connection.
  std::optional<IpAddress> map_address;  ///< map --address: one of ours.
  bool is_trace = false;                 ///< map --trace
  bool hides_nat = false;                ///< Peers are not told how our NATs behave.
  LogLevel log_level = LogLevel::info;
  std::vector<std::string> notes;  ///< What was given and is not used, one line each.
};

inline constexpr std::uint16_t kStunPort = stun::kPort;
/// STUN servers that are asked, some of which may have no address.
inline constexpr std::size_t kMaxServerNames = 16;
/// Each is asked two things every five seconds.
inline constexpr std::size_t kMaxStunMembers = 16;
inline constexpr std::uint16_t kStunTlsPort = stun::kTlsPort;

/// Checks every value. On failure the complaint names the setting, where it came from and what
/// is wrong with it.
std::optional<Complaint> read_options(const Settings& settings, Options& options);

}  // namespace pyrsia::app
