#include "runtime/udp_socket.hpp"

#include "runtime/descriptor.hpp"
#include "runtime/kernel_error.hpp"
#include "runtime/socket_address.hpp"

#include <unistd.h>

#include <cerrno>
#include <optional>

namespace pyrsia {
namespace {

class KernelUdpSocket final : public UdpSocket {
 public:
  KernelUdpSocket(Reactor& reactor, const asio::any_io_executor& executor)
      : descriptor_(reactor, executor) {}

  Result<> open(int socket) {
    PYRSIA_TRY(descriptor_.open(socket));
    local_ = local_endpoint(socket);
    return ok;
  }

  Task<Datagram> receive(std::span<std::uint8_t> out) override {
    if (descriptor_.is_greedy()) PYRSIA_CO_TRY(co_await descriptor_.share_the_thread());
    for (;;) {
      PYRSIA_CO_TRY(co_await descriptor_.wait_readable());
      SocketAddress from;
      const auto size = ::recvfrom(descriptor_.number(), out.data(), out.size(), MSG_TRUNC,
                                   from.data(), from.size_to_fill());
      if (size >= 0) {
        Datagram datagram;
        datagram.from = from.endpoint();
        datagram.size = static_cast<std::size_t>(size);
        co_return datagram;
      }
      if (errno == EAGAIN) {
        descriptor_.read_blocked();
      } else if (errno != EINTR && errno != ECONNREFUSED) {
        co_return kernel_error(errno);
      }
    }
  }

  Result<> send(const Endpoint& to, BytesView bytes) override {
    SocketAddress address(to);
    if (address.is_link_local_v6()) address.set_scope(interface_of_local());
    const auto sent = ::sendto(descriptor_.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL,
                               address.data(), address.size());
    // A full buffer drops the datagram, as any router may.
    if (sent >= 0 || errno == EAGAIN || errno == ENOBUFS || errno == ECONNREFUSED) return ok;
    return errno == EINVAL ? Errc::unreachable : kernel_error(errno);
  }

  Endpoint local() const override { return local_; }
  void close() noexcept override { descriptor_.close(); }

 private:
  /// A link-local address is meant on the interface that has ours. 0 if there is none.
  unsigned interface_of_local() {
    if (!interface_) interface_ = interface_with(local_.ip);
    return *interface_;
  }

  Descriptor descriptor_;
  Endpoint local_;
  std::optional<unsigned> interface_;
};

}  // namespace

Result<std::unique_ptr<UdpSocket>> bind_udp(Reactor& reactor, const asio::any_io_executor& executor,
                                            const Endpoint& local) {
  const SocketAddress address(local);
  const int socket = ::socket(address.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return kernel_error(errno);
  const int one = 1;
  if (local.ip.is_v6()) ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (::bind(socket, address.data(), address.size()) != 0) {
    const int error = errno;
    ::close(socket);
    return bind_error(error);
  }
  auto bound = std::make_unique<KernelUdpSocket>(reactor, executor);
  PYRSIA_TRY(bound->open(socket));
  return std::unique_ptr<UdpSocket>(std::move(bound));
}

}  // namespace pyrsia
