/// Agreement on the protocol of a connection or stream.
/// Spec: libp2p/specs, connections, "multistream-select" 1.0.0.
#pragma once

#include "wire/line.hpp"

#include <pyrsia/stream.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::wire {

inline constexpr std::string_view kMultistream = "/multistream/1.0.0";
/// Most proposals of one negotiation that we answer.
inline constexpr int kMaxProposals = 64;

/// The initiator's side: proposes in order, returns what the peer took. Header and first proposal
/// go out in one write. Reads no byte beyond the answer. Errors: `Errc::not_supported` if all are
/// refused, `Errc::malformed`, `Errc::too_large`, `Errc::protocol_violation`, those of the stream.
Task<std::string> propose(Stream& stream, std::vector<std::string> protocols);

/// The responder's side: takes the first proposal for which `is_supported` is true. Sends its
/// header without waiting. Reads no byte beyond the proposal. `supported` is only for `ls`. An
/// answer that cannot be sent is no error: what the peer sent can still be read.
/// Resets the stream where an initiator that did not wait for our `na` sends on.
/// Errors: as propose(); `Errc::not_supported` when the peer gives up or after kMaxProposals.
Task<std::string> answer(Stream& stream, std::function<bool(std::string_view)> is_supported,
                         std::vector<std::string> supported);

/// The initiator's side without waiting: the proposal goes out with the first write (or read), the
/// answer is checked by the first read. If it is not ours, the stream is reset, and this and all
/// later calls end with `Errc::not_supported`, `Errc::malformed` or `Errc::protocol_violation`.
/// close_write() does not wait for the answer either; who must know that the peer took the
/// protocol reads to the end before he destroys the stream, which resets it.
std::unique_ptr<Stream> propose_lazily(std::unique_ptr<Stream> stream, std::string protocol);

}  // namespace pyrsia::wire
