/// What travels beside the bytes of a datagram between us and the kernel (recvmsg(2), udp(7)).
#pragma once

#include "runtime/net.hpp"
#include "runtime/socket_address.hpp"

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <optional>

namespace pyrsia {

/// The notes of one datagram that was received.
struct ReceivedNotes {
  IpAddress to;
  std::uint8_t ecn = 0;
  std::size_t segment_bytes = 0;  ///< The kernel joined datagrams of this size; 0: it did not.
};

/// `to` is left as it was where the kernel says nothing about it.
void read_notes(const msghdr& message, ReceivedNotes& notes);

/// The error that a message of the error queue tells of (IP_RECVERR in ip(7)). Nothing: it is one
/// of this machine's own.
std::optional<UdpError> read_error(const msghdr& message, const SocketAddress& to);

/// One message for sendmmsg(2). Must not move between fill() and the call.
class OutgoingMessage {
 public:
  /// `bytes`, a part of the datagram's, leave in segments of `segment_bytes`; 0: as they are.
  void fill(msghdr& message, const OutgoingDatagram& datagram, BytesView bytes,
            std::size_t segment_bytes);

  /// A link-local destination is none without the interface that it is meant on.
  bool needs_interface() const { return to_.is_link_local_v6(); }
  void set_interface(unsigned index) { to_.set_scope(index); }

 private:
  void add(msghdr& message, int level, int type, const void* value, std::size_t size);

  SocketAddress to_;
  iovec vector_{};
  alignas(cmsghdr) std::array<std::byte, 96> control_;
};

}  // namespace pyrsia
