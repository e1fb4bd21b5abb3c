#include "runtime/udp_socket.hpp"

#include "runtime/descriptor.hpp"
#include "runtime/kernel_error.hpp"
#include "runtime/socket_address.hpp"
#include "runtime/udp_calls.hpp"
#include "runtime/udp_message.hpp"

#include <netinet/udp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <optional>
#include <vector>

namespace pyrsia {
namespace {

/// The kernel may have joined up to 64 KiB of datagrams in one message of a call.
/// The odd rest keeps the slots from falling into the same lines of the cache.
constexpr std::size_t kSlotBytes = (std::size_t(64) << 10) + 192;

/// Buffers of one socket for recvmmsg(2); pages that are never used cost nothing.
class ReceiveSlots {
 public:
  explicit ReceiveSlots(std::size_t count)
      : count_(count), bytes_(std::make_unique_for_overwrite<std::uint8_t[]>(count * kSlotBytes)) {
    for (std::size_t i = 0; i < count_; ++i) {
      vectors_[i].iov_base = bytes_.get() + i * kSlotBytes;
      vectors_[i].iov_len = kSlotBytes;
    }
  }

  int receive(UdpCalls& calls, int socket) {
    for (std::size_t i = 0; i < count_; ++i) {
      auto& header = messages_[i].msg_hdr;
      header = {};
      header.msg_name = from_[i].data();
      header.msg_namelen = *from_[i].size_to_fill();
      header.msg_iov = &vectors_[i];
      header.msg_iovlen = 1;
      header.msg_control = control_[i].data();
      header.msg_controllen = control_[i].size();
    }
    return calls.receive(socket, std::span(messages_).first(count_));
  }

  /// Adds the datagrams of message `i` to `out`.
  void take(std::size_t i, const IpAddress& bound, std::vector<ReceivedDatagram>& out,
            UdpMetrics& metrics) {
    const auto& message = messages_[i];
    if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0) return metrics.truncated.add();
    ReceivedNotes notes;
    notes.to = bound;
    read_notes(message.msg_hdr, notes);
    const BytesView all(bytes_.get() + i * kSlotBytes, message.msg_len);
    const auto step = notes.segment_bytes > 0 ? notes.segment_bytes : std::max(all.size(), 1UL);
    std::size_t at = 0;
    do {
      const auto bytes = all.subspan(at, std::min(step, all.size() - at));
      out.push_back({from_[i].endpoint(), notes.to, notes.ecn, bytes});
      metrics.received.add();
      at += step;
    } while (at < all.size());
  }

 private:
  std::size_t count_;
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::array<iovec, kMaxUdpBatch> vectors_{};
  std::array<mmsghdr, kMaxUdpBatch> messages_{};
  std::array<SocketAddress, kMaxUdpBatch> from_;
  struct alignas(cmsghdr) Control : std::array<std::byte, 128> {};
  std::array<Control, kMaxUdpBatch> control_;
};

class KernelUdpSocket final : public UdpSocket {
 public:
  KernelUdpSocket(Reactor& reactor, const asio::any_io_executor& executor,
                  const UdpOptions& options)
      : descriptor_(reactor, executor),
        hears_errors_(options.hears_errors),
        batch_size_(std::clamp<std::size_t>(options.batch_size, 1, kMaxUdpBatch)) {}

  Result<> open(int socket) {
    PYRSIA_TRY(descriptor_.open(socket));
    local_ = local_endpoint(socket);
    const int none = 0;
    may_segment_ = ::setsockopt(socket, SOL_UDP, UDP_SEGMENT, &none, sizeof none) == 0;
    return ok;
  }

  Task<std::span<const ReceivedDatagram>> receive_batch() override {
    // A flood must not starve the others: the next turn is theirs.
    if (!batch_.empty() && descriptor_.may_read())
      PYRSIA_CO_TRY(co_await descriptor_.share_the_thread());
    batch_.clear();
    while (batch_.empty()) {
      PYRSIA_CO_TRY(co_await descriptor_.wait_readable());
      if (!slots_) slots_ = std::make_unique<ReceiveSlots>(batch_size_);
      metrics_.receive_calls.add();
      const int count = slots_->receive(calls_, descriptor_.number());
      if (count < 0) {
        if (errno == EAGAIN) {
          descriptor_.read_blocked();
        } else if (errno != EINTR && errno != ECONNREFUSED) {
          co_return kernel_error(errno);
        }
        continue;
      }
      // Not all slots were needed: the socket is empty.
      if (std::size_t(count) < batch_size_) descriptor_.read_blocked();
      for (std::size_t i = 0; i < std::size_t(count); ++i)
        slots_->take(i, local_.ip, batch_, metrics_);
    }
    co_return std::span<const ReceivedDatagram>(batch_);
  }

  Result<std::size_t> send_batch(std::span<const OutgoingDatagram> datagrams) override {
    if (datagrams.empty()) return std::size_t(0);
    if (!descriptor_.is_open()) return Errc::closed;
    const auto& first = datagrams.front();
    if (is_segmented(first) && !may_segment_) return send_cut(first);
    const auto may_join = [this](const OutgoingDatagram& datagram) {
      return may_segment_ || !is_segmented(datagram);
    };
    const auto end = std::ranges::find_if_not(datagrams, may_join);
    const auto count = std::min(std::size_t(end - datagrams.begin()), batch_size_);
    std::array<mmsghdr, kMaxUdpBatch> messages{};
    for (std::size_t i = 0; i < count; ++i) {
      assert(datagrams[i].segment_bytes == 0 ||
             datagrams[i].bytes.size() <= kMaxUdpSegments * datagrams[i].segment_bytes);
      outgoing_[i].fill(messages[i].msg_hdr, datagrams[i], datagrams[i].bytes,
                        datagrams[i].segment_bytes);
      if (outgoing_[i].needs_interface()) outgoing_[i].set_interface(interface_of_local());
    }
    const auto sent = call(std::span(messages).first(count));
    if (!sent) {
      if (!is_segmented(first) ||
          (sent.error() != Errc::io_failed && sent.error() != Errc::unreachable))
        return sent.error() == Errc::io_failed ? Errc::network_failed : sent;
      // The interface has no checksums to offload (EIO): never again. Otherwise a segment may be
      // larger than the interface takes (EINVAL), or the destination is none: ask for each.
      if (sent.error() == Errc::io_failed) may_segment_ = false;
      return send_cut(first);
    }
    for (const auto& datagram : datagrams.first(*sent)) metrics_.sent.add(segments_of(datagram));
    return *sent;
  }

  Task<> wait_writable() override { return descriptor_.wait_writable(); }
  Task<UdpError> receive_error() override {
    if (!hears_errors_) co_return Errc::not_supported;
    if (descriptor_.is_greedy()) PYRSIA_CO_TRY(co_await descriptor_.share_the_thread());
    for (;;) {
      PYRSIA_CO_TRY(co_await descriptor_.wait_readable());
      SocketAddress to;
      alignas(cmsghdr) std::array<std::byte, 512> control;
      msghdr message{};
      message.msg_name = to.data();
      message.msg_namelen = *to.size_to_fill();
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      if (::recvmsg(descriptor_.number(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0) {
        if (const auto error = read_error(message, to)) co_return *error;
      } else if (errno == EAGAIN) {
        descriptor_.read_blocked();
      } else if (errno != EINTR) {
        co_return kernel_error(errno);
      }
    }
  }
  Endpoint local() const override { return local_; }
  void close() noexcept override { descriptor_.close(); }
  const UdpMetrics& metrics() const override { return metrics_; }

 private:
  static bool is_segmented(const OutgoingDatagram& datagram) {
    return datagram.segment_bytes > 0 && datagram.bytes.size() > datagram.segment_bytes;
  }
  static std::size_t segments_of(const OutgoingDatagram& datagram) {
    if (!is_segmented(datagram)) return 1;
    return (datagram.bytes.size() + datagram.segment_bytes - 1) / datagram.segment_bytes;
  }

  /// A link-local destination is meant on the interface that has our address. 0 if none has.
  unsigned interface_of_local() {
    if (!interface_) interface_ = interface_with(local_.ip);
    return *interface_;
  }

  /// How many were sent, 0 if it would block.
  Result<std::size_t> call(std::span<mmsghdr> messages) {
    if (hears_errors_) forget_error();
    for (;;) {
      metrics_.send_calls.add();
      const int sent = calls_.send(descriptor_.number(), messages);
      if (sent > 0) return static_cast<std::size_t>(sent);
      // ECONNREFUSED is about an earlier datagram.
      if (errno == EINTR || errno == ECONNREFUSED) continue;
      if (errno == EAGAIN) {
        descriptor_.write_blocked();
        return std::size_t(0);
      }
      // A full queue of the interface drops the datagram, as any router may.
      if (errno == ENOBUFS) return std::size_t(1);
      if (errno == EIO) return Errc::io_failed;
      return errno == EINVAL ? Errc::unreachable : kernel_error(errno);
    }
  }

  /// What was told of an earlier datagram would be the result of the next call.
  void forget_error() {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(descriptor_.number(), SOL_SOCKET, SO_ERROR, &error, &size);
  }

  /// Sends the segments as datagrams of their own. A rest that would block is lost.
  Result<std::size_t> send_cut(const OutgoingDatagram& datagram) {
    metrics_.segments_refused.add();
    const auto count = std::min(segments_of(datagram), kMaxUdpSegments);
    std::array<mmsghdr, kMaxUdpSegments> messages{};
    const auto step = datagram.segment_bytes;
    for (std::size_t i = 0; i < count; ++i) {
      const auto at = i * step;
      const auto bytes = datagram.bytes.subspan(at, std::min(step, datagram.bytes.size() - at));
      outgoing_[i].fill(messages[i].msg_hdr, datagram, bytes, 0);
    }
    std::size_t done = 0;
    while (done < count) {
      const auto sent = call(std::span(messages).first(count).subspan(done));
      if (!sent && done == 0) return sent.error() == Errc::io_failed ? Errc::network_failed : sent;
      if (!sent || *sent == 0) break;
      done += *sent;
    }
    metrics_.sent.add(done);
    return std::size_t(done > 0 ? 1 : 0);
  }

  Descriptor descriptor_;
  UdpCalls calls_;
  Endpoint local_;
  std::optional<unsigned> interface_;
  bool may_segment_ = false;
  bool hears_errors_ = false;
  std::size_t batch_size_;
  std::unique_ptr<ReceiveSlots> slots_;  ///< Made when first needed.
  std::vector<ReceivedDatagram> batch_;
  std::array<OutgoingMessage, kMaxUdpSegments> outgoing_;
  UdpMetrics metrics_;
};

void set_option(int socket, int level, int name, int value) {
  // What is refused here costs speed or knowledge, never correctness.
  ::setsockopt(socket, level, name, &value, sizeof value);
}

/// `forced` may pass the system's limit, and needs rights that few programs have.
void set_buffer(int socket, int forced, int name, std::size_t bytes) {
  const int value = static_cast<int>(bytes);
  if (value > 0 && ::setsockopt(socket, SOL_SOCKET, forced, &value, sizeof value) != 0)
    set_option(socket, SOL_SOCKET, name, value);
}

void set_options(int socket, const IpAddress& local, const UdpOptions& options) {
  const bool is_v6 = local.is_v6();
  const int level = is_v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (is_v6) set_option(socket, level, IPV6_V6ONLY, 1);
  // Each note of the kernel on each datagram costs a copy.
  if (local.is_unspecified()) set_option(socket, level, is_v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1);
  if (options.reads_ecn) set_option(socket, level, is_v6 ? IPV6_RECVTCLASS : IP_RECVTOS, 1);
  set_option(socket, SOL_UDP, UDP_GRO, 1);
  if (options.dont_fragment)
    set_option(socket, level, is_v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER,
               is_v6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE);
  if (options.hop_limit > 0)
    set_option(socket, level, is_v6 ? IPV6_UNICAST_HOPS : IP_TTL, options.hop_limit);
  if (options.hears_errors) set_option(socket, level, is_v6 ? IPV6_RECVERR : IP_RECVERR, 1);
  if (options.is_port_shared) set_option(socket, SOL_SOCKET, SO_REUSEPORT, 1);
  set_buffer(socket, SO_RCVBUFFORCE, SO_RCVBUF, options.receive_buffer_bytes);
  set_buffer(socket, SO_SNDBUFFORCE, SO_SNDBUF, options.send_buffer_bytes);
}

}  // namespace

Result<std::unique_ptr<UdpSocket>> bind_udp(Reactor& reactor, const asio::any_io_executor& executor,
                                            const Endpoint& local, const UdpOptions& options) {
  const SocketAddress address(local);
  const int socket = ::socket(address.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return kernel_error(errno);
  set_options(socket, local.ip, options);
  if (::bind(socket, address.data(), address.size()) != 0) {
    const int error = errno;
    ::close(socket);
    return bind_error(error);
  }
  auto bound = std::make_unique<KernelUdpSocket>(reactor, executor, options);
  PYRSIA_TRY(bound->open(socket));
  return std::unique_ptr<UdpSocket>(std::move(bound));
}

}  // namespace pyrsia
