/// The messages of signed envelopes and peer records, bytes to plain structs and back.
/// Spec: libp2p/specs RFC 0002 and 0003.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <cstdint>
#include <vector>

namespace pyrsia::crypto {

struct EnvelopeMessage {
  Bytes public_key;
  Bytes payload_type;
  Bytes payload;
  Bytes signature;

  bool operator==(const EnvelopeMessage&) const = default;
};

Bytes encode(const EnvelopeMessage& message);
/// Errors: `Errc::too_large` (over kMaxEnvelopeBytes), `Errc::malformed` (also without key or
/// signature).
Result<EnvelopeMessage> decode_envelope(BytesView message);

struct PeerRecordMessage {
  Bytes peer;
  std::uint64_t sequence = 0;
  std::vector<Bytes> addresses;

  bool operator==(const PeerRecordMessage&) const = default;
};

Bytes encode(const PeerRecordMessage& message);
/// Errors: `Errc::too_large` (bytes, or over kMaxRecordAddresses), `Errc::malformed` (also without
/// a peer).
Result<PeerRecordMessage> decode_peer_record(BytesView message);

}  // namespace pyrsia::crypto
