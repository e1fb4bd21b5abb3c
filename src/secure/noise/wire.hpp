/// What the messages of a handshake carry. Spec: libp2p/specs, noise.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <string>
#include <vector>

namespace pyrsia::secure::noise {

/// Most muxers in a list that we look at (as go-libp2p); a longer list counts as empty.
inline constexpr int kMaxMuxers = 100;

struct Payload {
  Bytes identity_key;  ///< The PublicKey message.
  Bytes identity_signature;
  std::vector<std::string> muxers;
  bool operator==(const Payload&) const = default;
};

Bytes encode(const Payload& payload);
/// Certificate hashes and unknown fields are skipped. Errors: `Errc::malformed` (also if the key
/// or the signature is missing).
Result<Payload> decode(BytesView message);

}  // namespace pyrsia::secure::noise
