/// Signed envelopes and the peer records inside them.
/// Spec: libp2p/specs RFC 0002 and 0003, with the constants that are deployed: domain
/// "libp2p-peer-record", payload type 03 01.
#pragma once

#include <pyrsia/key.hpp>
#include <pyrsia/multiaddr.hpp>

#include <string_view>
#include <vector>

namespace pyrsia::crypto {

inline constexpr std::string_view kPeerRecordDomain = "libp2p-peer-record";
/// Largest envelope that we read, in bytes. Our limit: identify messages are under 8 KiB.
inline constexpr std::size_t kMaxEnvelopeBytes = 8192;
inline constexpr std::size_t kMaxRecordAddresses = 64;

/// Signs `payload` for `domain` and encodes the Envelope message.
Bytes seal_envelope(const KeyPair& key, std::string_view domain, BytesView payload_type,
                    BytesView payload);

struct Envelope {
  PublicKey signer;
  Bytes payload;
};
/// Errors: `Errc::malformed`, `Errc::too_large`, `Errc::protocol_violation` (payload type),
/// `Errc::bad_signature`.
Result<Envelope> open_envelope(BytesView message, std::string_view domain, BytesView payload_type);

struct PeerRecord {
  PeerId peer;
  std::uint64_t sequence = 0;
  /// Without `/p2p` at the end. Unparsable ones and those of another peer are left out.
  std::vector<Multiaddr> addresses;
};
/// The record, signed, as an Envelope message. `/p2p` at the end of an address is left out, as are
/// addresses after the first kMaxRecordAddresses.
Bytes seal_peer_record(const KeyPair& key, std::uint64_t sequence,
                       const std::vector<Multiaddr>& addresses);
/// Errors: those of open_envelope(), `Errc::too_large` (over kMaxRecordAddresses), and
/// `Errc::wrong_peer` if the signer is not the record's peer.
Result<PeerRecord> open_peer_record(BytesView message);

}  // namespace pyrsia::crypto
