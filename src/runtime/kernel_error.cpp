#include "runtime/kernel_error.hpp"

#include <cerrno>

namespace pyrsia {

Errc kernel_error(int number) noexcept {
  switch (number) {
    case ECANCELED: return Errc::cancelled;
    case ETIMEDOUT: return Errc::timed_out;
    case EPIPE:
    case EBADF:
    case ENOTCONN:
    case ESHUTDOWN: return Errc::closed;
    case ECONNRESET:
    case ECONNABORTED: return Errc::reset;
    case ECONNREFUSED: return Errc::refused;
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EAFNOSUPPORT: return Errc::unreachable;
    case EADDRINUSE: return Errc::address_in_use;
    case EACCES:
    case EPERM: return Errc::permission_denied;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC: return Errc::limit_reached;  // ENOSPC: too many epoll watches.
    case EMSGSIZE: return Errc::too_large;
    default: return Errc::network_failed;
  }
}

Errc bind_error(int number) noexcept {
  switch (number) {
    case EINVAL:  // A link-local address without its zone.
    case EAFNOSUPPORT:
    case EADDRNOTAVAIL: return Errc::invalid_argument;
    default: return kernel_error(number);
  }
}

Errc stream_error(int number) noexcept {
  return number == ECONNRESET ? Errc::reset : Errc::closed;
}

}  // namespace pyrsia
