/// One question and one answer by UDP, as PCP and NAT-PMP have it.
/// Spec: RFC 6887, section 8.1.1; RFC 6886, section 3.1.
#pragma once

#include "nat/portmap/context.hpp"

#include <pyrsia/bytes.hpp>

#include <functional>

namespace pyrsia::portmap {

/// When a question is sent again. The specifications begin with 3 s (PCP) and 250 ms (NAT-PMP);
/// while somebody waits for the first answer we take the latter for both, as it is the same
/// server, beside us.
struct Retransmission {
  Duration initial = std::chrono::milliseconds(250);
  Duration maximum = std::chrono::seconds(1024);
};

/// The wait after `before` (0: after the first packet): doubled and jittered by a tenth, as section
/// 8.1.1 has it. `jitter` is from 0 to 200.
Duration next_wait(Duration before, const Retransmission& plan, std::uint64_t jitter);

struct Question {
  Endpoint server;
  Bytes bytes;
  std::string words;  ///< For the trace.
  /// True if these bytes answer it; what does not is passed over.
  std::function<bool(BytesView)> is_answer;
};

/// Sends the question, and again, until it is answered. Never ends otherwise.
/// Errors: `Errc::unreachable`, `Errc::network_failed`, `Errc::closed`.
Task<Bytes> ask(const Context& context, UdpSocket& socket, const Question& question,
                const Retransmission& plan);

}  // namespace pyrsia::portmap
