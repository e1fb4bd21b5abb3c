#include "crypto/envelope.hpp"

#include "base/varint.hpp"
#include "crypto/wire.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::crypto {
namespace {

/// The code of peer records, big-endian; the spec's table calls it a varint, nobody writes one.
constexpr std::array<std::uint8_t, 2> kPeerRecordType{0x03, 0x01};

/// What the signature covers: each part with its length in front.
Bytes signed_bytes(std::string_view domain, BytesView payload_type, BytesView payload) {
  Bytes out;
  for (const auto part : {as_bytes(domain), payload_type, payload}) {
    append_varint(out, part.size());
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

Bytes to_bytes(BytesView view) {
  return {view.begin(), view.end()};
}

}  // namespace

Bytes seal_envelope(const KeyPair& key, std::string_view domain, BytesView payload_type,
                    BytesView payload) {
  EnvelopeMessage message;
  message.public_key = key.public_key().to_protobuf();
  message.payload_type = to_bytes(payload_type);
  message.payload = to_bytes(payload);
  message.signature = key.sign(signed_bytes(domain, payload_type, payload));
  return encode(message);
}

Result<Envelope> open_envelope(BytesView message, std::string_view domain, BytesView payload_type) {
  PYRSIA_TRY(auto envelope, decode_envelope(message));
  if (!std::ranges::equal(envelope.payload_type, payload_type)) return Errc::protocol_violation;
  PYRSIA_TRY(auto signer, PublicKey::from_protobuf(envelope.public_key));
  const auto covered = signed_bytes(domain, payload_type, envelope.payload);
  if (!signer.verify(covered, envelope.signature)) return Errc::bad_signature;
  return Envelope{std::move(signer), std::move(envelope.payload)};
}

Bytes seal_peer_record(const KeyPair& key, std::uint64_t sequence,
                       const std::vector<Multiaddr>& addresses) {
  PeerRecordMessage record;
  record.peer = to_bytes(key.peer_id().bytes());
  record.sequence = sequence;
  for (const auto& address : addresses) {
    const auto bare = address.without_peer();
    if (bare.empty() || record.addresses.size() == kMaxRecordAddresses) continue;
    record.addresses.push_back(to_bytes(bare.bytes()));
  }
  return seal_envelope(key, kPeerRecordDomain, kPeerRecordType, encode(record));
}

Result<PeerRecord> open_peer_record(BytesView message) {
  PYRSIA_TRY(const auto envelope, open_envelope(message, kPeerRecordDomain, kPeerRecordType));
  PYRSIA_TRY(const auto record, decode_peer_record(envelope.payload));
  PYRSIA_TRY(auto peer, PeerId::from_bytes(record.peer));
  if (peer != envelope.signer.peer_id()) return Errc::wrong_peer;
  std::vector<Multiaddr> addresses;
  for (const auto& bytes : record.addresses) {
    const auto address = Multiaddr::from_bytes(bytes);
    if (!address) continue;
    // Some peers put their own id at the end; another's would make it another's address.
    const auto suffix = address->peer_id();
    if (suffix && *suffix != peer) continue;
    auto bare = address->without_peer();
    if (!bare.empty()) addresses.push_back(std::move(bare));
  }
  return PeerRecord{std::move(peer), record.sequence, std::move(addresses)};
}

}  // namespace pyrsia::crypto
