#include "protocols/identify/info.hpp"

#include "base/printable.hpp"
#include "crypto/envelope.hpp"

#include <algorithm>

namespace pyrsia::identify {
namespace {

Result<> check_key(const Message& message, const PeerId& peer) {
  if (!message.public_key) return ok;  // Allowed, above all in pushes: the connection knows it.
  PYRSIA_TRY(const auto key, PublicKey::from_protobuf(*message.public_key));
  if (key.peer_id() != peer) return Errc::wrong_peer;
  return ok;
}

/// Without /p2p; another peer's are left out.
std::vector<Multiaddr> own_addresses(const std::vector<Multiaddr>& claimed, const PeerId& peer) {
  std::vector<Multiaddr> out;
  for (const auto& address : claimed) {
    const auto named = address.peer_id();
    if (named && *named != peer) continue;
    auto bare = address.without_peer();
    if (bare.empty() || std::ranges::find(out, bare) != out.end()) continue;
    out.push_back(std::move(bare));
  }
  return out;
}

std::vector<Multiaddr> unsigned_addresses(const Message& message) {
  std::vector<Multiaddr> out;
  for (const auto& bytes : message.listen_addresses)
    if (auto address = Multiaddr::from_bytes(bytes)) out.push_back(*std::move(address));
  return out;
}

bool is_valid_name(const std::string& protocol) {
  const auto is_printable = [](char letter) { return letter > 0x20 && letter < 0x7f; };
  return !protocol.empty() && std::ranges::all_of(protocol, is_printable);
}

void take_addresses(Info& info, const Message& message, const PeerId& peer,
                    std::optional<std::uint64_t> known_sequence) {
  if (message.signed_peer_record) {
    auto record = crypto::open_peer_record(*message.signed_peer_record);
    if (record && record->peer == peer) {
      if (known_sequence && record->sequence < *known_sequence) return;
      info.addresses = own_addresses(record->addresses, peer);
      info.record_sequence = record->sequence;
      return;
    }
    if (record || record.error() == Errc::wrong_peer) {
      info.addresses.emplace();
      return;
    }
  }
  // A push without addresses says nothing about them.
  if (info.kind == Kind::push && message.listen_addresses.empty()) return;
  info.addresses = own_addresses(unsigned_addresses(message), peer);
}

}  // namespace

AddressClass neighbourhood(const swarm::ConnectionInfo& connection,
                           const AddressClassifier& classifier) {
  if (connection.remote.is_relayed()) return AddressClass::global;
  const auto where = classifier.classify(connection.remote);
  if (where == AddressClass::loopback) return where;
  if (where == AddressClass::link_local) return AddressClass::private_use;
  return where == AddressClass::private_use ? where : AddressClass::global;
}

std::vector<Multiaddr> concerning(const std::vector<Multiaddr>& addresses,
                                  AddressClass neighbourhood, const AddressClassifier& classifier) {
  std::vector<Multiaddr> out;
  for (const auto& address : addresses)
    if (classifier.classify(address) >= neighbourhood) out.push_back(address);
  return out;
}

Result<Info> check(const Message& message, Kind kind, const swarm::ConnectionInfo& connection,
                   const AddressClassifier& classifier,
                   std::optional<std::uint64_t> known_sequence) {
  PYRSIA_TRY(check_key(message, connection.peer));
  Info info;
  info.kind = kind;
  take_addresses(info, message, connection.peer, known_sequence);
  if (info.addresses)
    info.addresses = concerning(*info.addresses, neighbourhood(connection, classifier), classifier);
  if (kind == Kind::answer || !message.protocols.empty()) {
    info.protocols.emplace();
    std::ranges::copy_if(message.protocols, std::back_inserter(*info.protocols), is_valid_name);
  }
  if (message.observed_address && !connection.remote.is_relayed()) {
    const auto observed = Multiaddr::from_bytes(*message.observed_address);
    if (observed && !observed->without_peer().empty()) info.observed = observed->without_peer();
  }
  if (message.protocol_version) info.protocol_version = printable(*message.protocol_version);
  if (message.agent_version) info.agent = printable(*message.agent_version);
  return info;
}

}  // namespace pyrsia::identify
