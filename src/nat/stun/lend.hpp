/// How boot servers lend each other an address, so that each can offer what RFC 5780 needs two
/// addresses for: a datagram by which one member asks another to send a Binding response to a
/// client. It is a STUN indication of a method of our own, signed by the asker's identity key, for
/// one member, for a short time, and good once. docs/adr/0023-stun-members-lend-addresses.md.
#pragma once

#include "multi/address_class.hpp"
#include "nat/stun/message.hpp"

#include <pyrsia/ip.hpp>
#include <pyrsia/key.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/result.hpp>
#include <pyrsia/time.hpp>

#include <span>

namespace pyrsia::stun {

/// The response that is to be sent.
struct Lend {
  Endpoint client;
  std::uint32_t cookie = kMagicCookie;  ///< These two are of the client's request.
  TransactionId transaction{};
  std::uint16_t source_port = 0;  ///< It must leave from this port.
  bool has_fingerprint = false;

  bool operator==(const Lend&) const = default;
};

/// A lend as it travels.
struct LendMessage {
  Lend lend;
  PeerId from;
  PeerId to;
  WallTime expires_at;    ///< In milliseconds.
  TransactionId nonce{};  ///< The message's own transaction id.

  bool operator==(const LendMessage&) const = default;
};

/// Whether a member at `member` can answer `client`: both are of the Internet, or both of a private
/// network, or of one machine. Nobody is asked, and nobody obeys, across: to a private address the
/// answer would go to somebody else, in the member's own network.
bool is_reachable(const AddressClassifier& classifier, const IpAddress& member,
                  const IpAddress& client);

/// Writes and signs it. `key` is that of `message.from`. Errors: `Errc::too_large` (`out`).
Result<BytesView> encode_lend(const LendMessage& message, const KeyPair& key,
                              std::span<std::uint8_t> out);

/// Without looking at the signature. Errors: `Errc::malformed`, `Errc::not_supported` (no lend).
Result<LendMessage> decode_lend(const Message& message);

/// Errors: `Errc::bad_signature`; `Errc::not_supported`: the id does not contain its key, as it
/// does of Ed25519.
Result<> check_lend_signature(const Message& message, const PeerId& from);

}  // namespace pyrsia::stun
