/// The status document: what a boot server answers to GET /status, and a node bootstraps from.
/// Spec: the original node's `/status`; docs/protocols.md, "Status document".
#pragma once

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>
#include <pyrsia/result.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::bootstrap {

/// Most bytes of a document that we read or write. Our limit: 256 entries of 150 bytes fit.
inline constexpr std::size_t kMaxStatusBytes = 64 * 1024;
/// Most entries of `peer_addrs` that are used; those after them are passed over.
inline constexpr std::size_t kMaxStatusEntries = 256;

struct StatusDocument {
  std::uint64_t peers_count = 0;      ///< Distinct peers connected to the server.
  std::optional<PeerId> peer_id;      ///< The server's own; none if it is absent or not an id.
  std::vector<Multiaddr> peer_addrs;  ///< Each ends in exactly one /p2p.
  /// Those of `peer_addrs` that are known to work: by the server's word, or, in our cache, because
  /// we have connected there. Our own field, absent if empty.
  std::vector<Multiaddr> confirmed;

  bool operator==(const StatusDocument&) const = default;
};

/// Compact JSON: `peers_count`, `peer_id`, `peer_addrs`, in this order, as the original writes it;
/// then `confirmed`, if there are any.
std::string write_status(const StatusDocument& document);

/// Reads what any server may answer. Only `peer_addrs` must be there, with at least one entry that
/// can be used; each other entry, and each that is over kMaxStatusEntries, adds a line to
/// `problems` that says which entry and what is wrong with it. On failure the last line of
/// `problems` says why, in one line.
/// Errors: `Errc::too_large`, `Errc::malformed` (not JSON, no array, no usable entry).
Result<StatusDocument> read_status(std::string_view text, std::vector<std::string>& problems);

/// `text` in quotation marks, for a message: cut to 80 characters, control characters and bytes
/// outside ASCII written as \xNN.
std::string in_quotes(std::string_view text);

}  // namespace pyrsia::bootstrap
