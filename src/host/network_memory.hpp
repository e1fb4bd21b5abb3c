/// What was learned of each network that we were in, so that the next start there knows at once.
#pragma once

#include "runtime/env.hpp"

#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>
#include <pyrsia/result.hpp>
#include <pyrsia/time.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::host {

/// Most bytes of the file; more is not one of ours.
inline constexpr std::size_t kMaxMemoryBytes = std::size_t(64) << 10;
inline constexpr std::size_t kMaxNetworks = 32;     ///< Then the one not seen for longest goes.
inline constexpr std::size_t kMaxMemoryText = 128;  ///< Bytes of any text in it.

/// A network is its router and its prefix; the router's hardware address tells two networks with
/// the same numbers apart: half of all homes have 192.168.1.1. Without it nothing is remembered.
struct NetworkKey {
  std::string gateway;           ///< "192.168.1.1"
  std::string hardware_address;  ///< "02:42:ac:11:00:02"; empty if it is not known.
  std::string prefix;            ///< "192.168.1.0/24"

  auto operator<=>(const NetworkKey&) const = default;
};

struct KnownNetwork {
  NetworkKey key;
  WallTime seen_at{};    ///< Whole seconds are kept.
  std::string protocol;  ///< Of port mapping, that worked: "pcp". Empty: none did.
  std::string nonce;     ///< PCP's, in hex: our mappings there are known by it.
  std::string verdict;   ///< "reachable", "unreachable", or empty.
  std::string
      port_mapping;  ///< Of the NAT: "endpoint_independent", "endpoint_dependent", or empty.

  auto operator<=>(const KnownNetwork&) const = default;
};

/// JSON, schema "pyrsia.networks/1". At most kMaxNetworks, the first ones.
std::string write_networks(const std::vector<KnownNetwork>& networks);
/// Entries that are no good are left out. Errors: `Errc::too_large`, `Errc::malformed`.
Result<std::vector<KnownNetwork>> read_networks(std::string_view text);

/// The router's network and our place in it, as a key.
NetworkKey key_of(const Gateway& gateway, const InterfaceAddress& local);

/// What was the case when we were here last, for as long as nothing newer is known: "when last in
/// this network: reachable, ..."; empty: nothing is known.
std::string words_of(const KnownNetwork& network);

struct NetworkMemoryMetrics {
  Counter reads;
  Counter read_failures;
  Counter writes;
  Counter write_failures;
  Counter forgotten;  ///< Networks that made room.
};

/// The memory itself, in the order in which the networks were seen last. Without a file it lasts as
/// long as the object. Owned by the host, or by whoever asks.
class NetworkMemory {
 public:
  NetworkMemory(Env& env, std::optional<std::filesystem::path> file, Logger log)
      : env_(env), file_(std::move(file)), log_(log) {}

  /// A file that is not there or no good is no memory. Errors: `Errc::cancelled`.
  Task<> load();
  /// Writes it if it has changed. A failure is counted, not told. Errors: `Errc::cancelled`.
  Task<> save();

  /// Nothing if the network was never seen, or cannot be told from others: without a hardware
  /// address.
  const KnownNetwork* find(const NetworkKey& key) const;
  /// The entry of this network, new if need be, now the one seen last. Nothing without a hardware
  /// address. Valid until the next call.
  KnownNetwork* at(const NetworkKey& key);

  const NetworkMemoryMetrics& metrics() const { return metrics_; }

 private:
  Env& env_;
  std::optional<std::filesystem::path> file_;
  Logger log_;
  NetworkMemoryMetrics metrics_;
  std::vector<KnownNetwork> networks_;
  std::string written_;
};

}  // namespace pyrsia::host
