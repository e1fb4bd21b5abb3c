#include "host/network_memory.hpp"

#include "bootstrap/client/cache.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace pyrsia::host {
namespace {

namespace json = boost::json;

constexpr std::string_view kSchema = "pyrsia.networks/1";
/// The widest time that nanoseconds can hold is the year 2262.
constexpr std::int64_t kLatest = 9'000'000'000;

/// False if it is there and no text of ours.
bool read_text(const json::object& object, std::string_view key, std::string& out) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return true;
  if (!value->is_string() || value->get_string().size() > kMaxMemoryText) return false;
  out = std::string(value->get_string());
  return std::ranges::all_of(out, [](char c) { return c >= 0x20 && c < 0x7f; });
}

bool read_number(const json::object& object, std::string_view key, std::int64_t& out) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return true;
  if (!value->is_int64() || value->get_int64() < 0 || value->get_int64() > kLatest) return false;
  out = value->get_int64();
  return true;
}

std::optional<KnownNetwork> read_entry(const json::value& value) {
  const auto* entry = value.if_object();
  if (entry == nullptr) return std::nullopt;
  KnownNetwork out;
  std::int64_t seen_at = 0;
  const bool is_good =
      read_text(*entry, "gateway", out.key.gateway) &&
      read_text(*entry, "hardware_address", out.key.hardware_address) &&
      read_text(*entry, "prefix", out.key.prefix) && read_number(*entry, "seen_at", seen_at) &&
      read_text(*entry, "protocol", out.protocol) && read_text(*entry, "nonce", out.nonce) &&
      read_text(*entry, "verdict", out.verdict) &&
      read_text(*entry, "port_mapping", out.port_mapping);
  const auto& key = out.key;
  if (!is_good || key.gateway.empty() || key.prefix.empty() || key.hardware_address.empty())
    return std::nullopt;
  out.seen_at = WallTime(std::chrono::seconds(seen_at));
  return out;
}

json::object to_json(const KnownNetwork& network) {
  using std::chrono::duration_cast, std::chrono::seconds;
  json::object out;
  out["gateway"] = network.key.gateway;
  out["hardware_address"] = network.key.hardware_address;
  out["prefix"] = network.key.prefix;
  out["seen_at"] = duration_cast<seconds>(network.seen_at.time_since_epoch()).count();
  if (!network.protocol.empty()) out["protocol"] = network.protocol;
  if (!network.nonce.empty()) out["nonce"] = network.nonce;
  if (!network.verdict.empty()) out["verdict"] = network.verdict;
  if (!network.port_mapping.empty()) out["port_mapping"] = network.port_mapping;
  return out;
}

}  // namespace

std::string write_networks(const std::vector<KnownNetwork>& networks) {
  json::array entries;
  for (const auto& network : networks) {
    if (entries.size() == kMaxNetworks) break;
    entries.push_back(to_json(network));
  }
  json::object out;
  out["schema"] = kSchema;
  out["networks"] = std::move(entries);
  return json::serialize(out);
}

Result<std::vector<KnownNetwork>> read_networks(std::string_view text) {
  if (text.size() > kMaxMemoryBytes) return Errc::too_large;
  json::error_code error;
  const auto root = json::parse(text, error);
  if (error || !root.is_object()) return Errc::malformed;
  const auto* schema = root.get_object().if_contains("schema");
  const auto* entries = root.get_object().if_contains("networks");
  if (schema == nullptr || !schema->is_string() || schema->get_string() != kSchema ||
      entries == nullptr || !entries->is_array()) {
    return Errc::malformed;
  }
  std::vector<KnownNetwork> networks;
  for (const auto& value : entries->get_array()) {
    if (networks.size() == kMaxNetworks) break;
    if (auto entry = read_entry(value)) networks.push_back(*std::move(entry));
  }
  return networks;
}

NetworkKey key_of(const Gateway& gateway, const InterfaceAddress& local) {
  NetworkKey key;
  key.gateway = gateway.ip.to_string();
  key.hardware_address = gateway.hardware_address;
  std::array<std::uint8_t, 16> bytes{};
  const auto given = local.ip.bytes();
  for (unsigned bit = 0; bit < local.prefix_bits && bit < given.size() * 8; ++bit)
    bytes[bit / 8] |= static_cast<std::uint8_t>(given[bit / 8] & (0x80U >> bit % 8));
  const auto network = local.ip.is_v6() ? IpAddress::v6(bytes)
                                        : IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]});
  key.prefix = network.to_string() + "/" + std::to_string(local.prefix_bits);
  return key;
}

std::string words_of(const KnownNetwork& network) {
  std::string text;
  if (network.verdict == "reachable" || network.verdict == "unreachable") text = network.verdict;
  const bool is_easy = network.port_mapping == "endpoint_independent";
  if (is_easy || network.port_mapping == "endpoint_dependent")
    text += std::string(text.empty() ? "" : ", ") +
            (is_easy ? "seen by all peers at one port" : "seen by each peer at another port");
  return text.empty() ? text : "when last in this network: " + text;
}

Task<> NetworkMemory::load() {
  if (!file_) co_return ok;
  metrics_.reads.add();
  Result<std::string> text = Errc::not_found;
  auto reading = env_.run_blocking([&] { text = bootstrap::load_file(*file_); });
  PYRSIA_CO_TRY(co_await std::move(reading));
  auto read = text ? read_networks(*text) : Result<std::vector<KnownNetwork>>(text.error());
  if (read) {
    networks_ = *std::move(read);
    written_ = write_networks(networks_);
  } else if (read.error() != Errc::not_found) {
    metrics_.read_failures.add();
    log_.warning("the network memory cannot be read", {{"error", read.error()}});
  }
  co_return ok;
}

Task<> NetworkMemory::save() {
  auto text = write_networks(networks_);
  if (!file_ || text == written_) co_return ok;
  Result<> result = Errc::io_failed;
  auto writing = env_.run_blocking([&] { result = bootstrap::replace_file(*file_, text); });
  PYRSIA_CO_TRY(co_await std::move(writing));
  written_ = std::move(text);  // A file that cannot be written is not tried for ever.
  if (result) {
    metrics_.writes.add();
  } else {
    metrics_.write_failures.add();
    log_.warning("the network memory cannot be written", {{"error", result.error()}});
  }
  co_return ok;
}

const KnownNetwork* NetworkMemory::find(const NetworkKey& key) const {
  if (key.hardware_address.empty()) return nullptr;
  const auto found = std::ranges::find(networks_, key, &KnownNetwork::key);
  return found == networks_.end() ? nullptr : &*found;
}

KnownNetwork* NetworkMemory::at(const NetworkKey& key) {
  if (key.hardware_address.empty()) return nullptr;
  KnownNetwork entry;
  const auto found = std::ranges::find(networks_, key, &KnownNetwork::key);
  if (found != networks_.end()) {
    entry = std::move(*found);
    networks_.erase(found);
  } else if (networks_.size() >= kMaxNetworks) {
    networks_.pop_back();
    metrics_.forgotten.add();
  }
  entry.key = key;
  entry.seen_at = std::chrono::floor<std::chrono::seconds>(env_.wall_now());
  networks_.insert(networks_.begin(), std::move(entry));
  return &networks_.front();
}

}  // namespace pyrsia::host
