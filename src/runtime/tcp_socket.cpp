#include "runtime/tcp_socket.hpp"

#include "runtime/descriptor.hpp"
#include "runtime/kernel_error.hpp"
#include "runtime/socket_address.hpp"

#include <netinet/tcp.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>

namespace pyrsia {
namespace {

/// Most parts in one write; more take several.
constexpr std::size_t kMaxParts = 16;

void set_option(int socket, int level, int name, int value) {
  // None of the options we set can be refused on a kernel that has them; none is worth a failure.
  ::setsockopt(socket, level, name, &value, sizeof value);
}

/// Finds dead peers that no timeout of ours concerns: after 60 s of silence and 5 probes.
void set_connection_options(int socket) {
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 15);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 5);
}

void share_port(int socket) {
  set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  set_option(socket, SOL_SOCKET, SO_REUSEPORT, 1);
}

Result<int> make_socket(int family) {
  const int socket = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return kernel_error(errno);
  if (family == AF_INET6) set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  return socket;
}

/// The parts of a write that are still to be sent.
class Unsent {
 public:
  /// Takes as many of `parts` as fit.
  explicit Unsent(std::span<const BytesView>& parts) {
    while (count_ < kMaxParts && !parts.empty()) {
      const auto part = parts.front();
      parts = parts.subspan(1);
      if (part.empty()) continue;
      vectors_[count_].iov_base = const_cast<std::uint8_t*>(part.data());
      vectors_[count_++].iov_len = part.size();
    }
  }

  bool empty() const { return first_ == count_; }
  ssize_t send(int socket) {
    msghdr message{};
    message.msg_iov = &vectors_[first_];
    message.msg_iovlen = count_ - first_;
    return ::sendmsg(socket, &message, MSG_NOSIGNAL);
  }
  void drop(std::size_t sent) {
    while (sent > 0) {
      auto& vector = vectors_[first_];
      const auto taken = std::min(sent, vector.iov_len);
      vector.iov_base = static_cast<std::uint8_t*>(vector.iov_base) + taken;
      vector.iov_len -= taken;
      sent -= taken;
      if (vector.iov_len == 0) ++first_;
    }
  }

 private:
  std::array<iovec, kMaxParts> vectors_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

class KernelSocket final : public TcpSocket {
 public:
  KernelSocket(Reactor& reactor, const asio::any_io_executor& executor, Endpoint remote)
      : descriptor_(reactor, executor), remote_(remote) {}
  ~KernelSocket() override {
    if (!(is_read_ended_ && is_write_closed_)) reset(ResetCode::none);
  }

  /// Takes over `socket`.
  Result<> open(int socket) {
    PYRSIA_TRY(descriptor_.open(socket));
    local_ = local_endpoint(socket);
    return ok;
  }
  /// Before any connect() is tried the kernel calls the socket ready; that is to be forgotten.
  Task<> finish_connect() {
    descriptor_.write_blocked();
    PYRSIA_CO_TRY(co_await descriptor_.wait_writable());
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(descriptor_.number(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) co_return kernel_error(error);
    local_ = local_endpoint(descriptor_.number());
    // A dial to a free port of this machine can, by chance, meet itself.
    if (local_ == remote_) co_return Errc::refused;
    co_return ok;
  }

  Endpoint local() const override { return local_; }
  Endpoint remote() const override { return remote_; }

  Task<> wait_readable() override {
    if (descriptor_.may_read()) {
      if (!descriptor_.is_open()) co_return Errc::closed;
      std::uint8_t byte = 0;
      const auto peeked = ::recv(descriptor_.number(), &byte, 1, MSG_PEEK);
      if (peeked >= 0 || errno != EAGAIN) co_return ok;
      descriptor_.read_blocked();
    }
    co_return co_await descriptor_.wait_readable();
  }

  Task<std::size_t> read_some(std::span<std::uint8_t> out) override {
    assert(!out.empty());
    if (descriptor_.is_greedy()) PYRSIA_CO_TRY(co_await descriptor_.share_the_thread());
    for (;;) {
      PYRSIA_CO_TRY(co_await descriptor_.wait_readable());
      const auto count = ::recv(descriptor_.number(), out.data(), out.size(), 0);
      if (count < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN) co_return stream_error(errno);
        descriptor_.read_blocked();
        continue;
      }
      const auto read = static_cast<std::size_t>(count);
      if (read == 0) is_read_ended_ = true;
      // A short read has emptied the socket: the next one would block, unless the end is near.
      if (read < out.size() && read > 0 && !descriptor_.is_ended()) descriptor_.read_blocked();
      co_return read;
    }
  }

  Task<> write_all(BytesView bytes) override {
    const std::array<BytesView, 1> parts = {bytes};
    co_return co_await write_all_parts(parts);
  }

  Task<> write_all_parts(std::span<const BytesView> parts) override {
    if (descriptor_.is_greedy()) PYRSIA_CO_TRY(co_await descriptor_.share_the_thread());
    while (!parts.empty()) {
      Unsent unsent(parts);
      while (!unsent.empty()) {
        if (is_write_closed_) co_return Errc::closed;
        PYRSIA_CO_TRY(co_await descriptor_.wait_writable());
        const auto sent = unsent.send(descriptor_.number());
        if (sent >= 0) {
          unsent.drop(static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN) {
          descriptor_.write_blocked();
        } else if (errno != EINTR) {
          co_return stream_error(errno);
        }
      }
    }
    co_return ok;
  }

  Task<> close_write() override {
    if (!descriptor_.is_open()) co_return Errc::closed;
    if (is_write_closed_) co_return ok;
    if (::shutdown(descriptor_.number(), SHUT_WR) != 0) co_return stream_error(errno);
    is_write_closed_ = true;
    co_return ok;
  }

  void reset(ResetCode) noexcept override {
    if (!descriptor_.is_open()) return;
    linger abort{};
    abort.l_onoff = 1;
    ::setsockopt(descriptor_.number(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    descriptor_.close();
  }

 private:
  Descriptor descriptor_;
  Endpoint local_;
  Endpoint remote_;
  bool is_read_ended_ = false;
  bool is_write_closed_ = false;
};

class KernelListener final : public TcpListener {
 public:
  KernelListener(Reactor& reactor, const asio::any_io_executor& executor)
      : reactor_(reactor), executor_(executor), descriptor_(reactor, executor) {}

  Result<> open(int socket) {
    PYRSIA_TRY(descriptor_.open(socket));
    local_ = local_endpoint(socket);
    return ok;
  }

  Task<std::unique_ptr<TcpSocket>> accept() override {
    if (descriptor_.is_greedy()) PYRSIA_CO_TRY(co_await descriptor_.share_the_thread());
    for (;;) {
      PYRSIA_CO_TRY(co_await descriptor_.wait_readable());
      SocketAddress from;
      const int socket = ::accept4(descriptor_.number(), from.data(), from.size_to_fill(),
                                   SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket >= 0) {
        set_connection_options(socket);
        auto accepted = std::make_unique<KernelSocket>(reactor_, executor_, from.endpoint());
        PYRSIA_CO_TRY(accepted->open(socket));
        co_return std::unique_ptr<TcpSocket>(std::move(accepted));
      }
      if (errno == EAGAIN) {
        descriptor_.read_blocked();
      } else if (errno != EINTR && errno != ECONNABORTED) {
        co_return kernel_error(errno);
      }
    }
  }

  Endpoint local() const override { return local_; }
  void close() noexcept override { descriptor_.close(); }

 private:
  Reactor& reactor_;
  asio::any_io_executor executor_;
  Descriptor descriptor_;
  Endpoint local_;
};

/// Errors: as Env::tcp_connect(), of binding.
Result<> bind_for_dial(int socket, const Endpoint& remote, const TcpConnectOptions& options) {
  if (!options.local) return ok;
  Endpoint from = *options.local;
  if (from.ip.is_unspecified())
    from.ip = remote.ip.is_v4() ? IpAddress::v4_any() : IpAddress::v6_any();
  share_port(socket);
  const SocketAddress address(from);
  if (::bind(socket, address.data(), address.size()) != 0) return bind_error(errno);
  return ok;
}

/// SO_REUSEPORT would let a second program listen on the same port, and the kernel would give each
/// half of the connections. Without it, binding fails where somebody listens.
Result<> check_that_nobody_listens(const SocketAddress& address) {
  PYRSIA_TRY(const int socket, make_socket(address.family()));
  set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  const int error = ::bind(socket, address.data(), address.size()) == 0 ? 0 : errno;
  ::close(socket);
  if (error != 0) return bind_error(error);
  return ok;
}

}  // namespace

Result<std::unique_ptr<TcpListener>> listen_tcp(Reactor& reactor,
                                                const asio::any_io_executor& executor,
                                                const Endpoint& local,
                                                const TcpListenOptions& options) {
  const SocketAddress address(local);
  if (options.is_port_shared) PYRSIA_TRY(check_that_nobody_listens(address));
  PYRSIA_TRY(const int socket, make_socket(address.family()));
  if (options.is_port_shared) {
    share_port(socket);
  } else {
    // Not for a second listener: for a port with connections of a program that has ended.
    set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  }
  if (::bind(socket, address.data(), address.size()) != 0 ||
      ::listen(socket, options.backlog) != 0) {
    const int error = errno;
    ::close(socket);
    return bind_error(error);
  }
  auto listener = std::make_unique<KernelListener>(reactor, executor);
  PYRSIA_TRY(listener->open(socket));
  return std::unique_ptr<TcpListener>(std::move(listener));
}

Task<std::unique_ptr<TcpSocket>> connect_tcp(Reactor& reactor, asio::any_io_executor executor,
                                             Endpoint remote, TcpConnectOptions options) {
  const SocketAddress address(remote);
  PYRSIA_CO_TRY(const int number, make_socket(address.family()));
  if (auto bound = bind_for_dial(number, remote, options); !bound) {
    ::close(number);
    co_return bound.error();
  }
  set_connection_options(number);
  if (::connect(number, address.data(), address.size()) != 0 && errno != EINPROGRESS) {
    const int error = errno;
    ::close(number);
    // Bound: the same pair of endpoints is connected already. Not bound: no port is left.
    if (error == EADDRNOTAVAIL || error == EADDRINUSE)
      co_return options.local ? Errc::address_in_use : Errc::limit_reached;
    if (error == EINVAL) co_return Errc::unreachable;  // A link-local address without its zone.
    co_return kernel_error(error);
  }
  auto socket = std::make_unique<KernelSocket>(reactor, executor, remote);
  PYRSIA_CO_TRY(socket->open(number));
  PYRSIA_CO_TRY(co_await socket->finish_connect());
  co_return std::unique_ptr<TcpSocket>(std::move(socket));
}

}  // namespace pyrsia
