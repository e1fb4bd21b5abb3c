/// Identify messages as bytes. Pure: no I/O, no clock.
/// Spec: libp2p/specs, identify/README.md.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::identify {

/// Largest single message that we read, in bytes without its length. go's and js' limit.
inline constexpr std::size_t kMaxMessageBytes = 8 * 1024;
/// Most messages that one exchange may consist of. go's and js' limit.
inline constexpr std::size_t kMaxMessages = 10;
/// Largest message that we send: rust reads one of at most 4 KiB.
inline constexpr std::size_t kMaxSentBytes = 4096;
/// Further addresses and protocols of a peer are left out; go keeps as many.
inline constexpr std::size_t kMaxAddresses = 500;
inline constexpr std::size_t kMaxProtocols = 1024;
/// Longer protocol names are left out, longer versions are cut. Our limit.
inline constexpr std::size_t kMaxTextBytes = 256;

/// What a peer says of itself. Nothing in it is checked but its size; an absent field is empty.
struct Message {
  std::optional<Bytes> public_key;
  std::vector<Bytes> listen_addresses;
  std::vector<std::string> protocols;
  std::optional<Bytes> observed_address;
  std::optional<std::string> protocol_version;
  std::optional<std::string> agent_version;
  std::optional<Bytes> signed_peer_record;

  bool operator==(const Message&) const = default;
};

/// One message, without its length in front. Always succeeds.
Bytes encode(const Message& message);

/// One message that fits into `max_bytes`: the signed record goes first, then the last addresses,
/// then the last protocols, until it does.
Message fit(Message message, std::size_t max_bytes);

/// A whole exchange: one to kMaxMessages messages, each with its length in front, merged as
/// protobuf merges (lists are joined, single fields replaced).
/// Errors: `Errc::malformed`, also if there is no message or the last one is cut short;
/// `Errc::too_large`.
Result<Message> decode(BytesView stream);

/// True if `stream` ends exactly after a message.
bool is_whole(BytesView stream);

}  // namespace pyrsia::identify
