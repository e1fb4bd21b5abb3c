#pragma once

#include "runtime/socket_address.hpp"

#include <pyrsia/ip.hpp>
#include <pyrsia/time.hpp>

#include <ngtcp2/ngtcp2.h>

namespace pyrsia::transport::quic {

/// Two endpoints as the library has them. Must not move while it is used.
class Path {
 public:
  Path(const pyrsia::Endpoint& local, const pyrsia::Endpoint& remote)
      : local_(local), remote_(remote) {
    path_.local = {local_.data(), std::as_const(local_).size()};
    path_.remote = {remote_.data(), std::as_const(remote_).size()};
  }
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

  const ngtcp2_path* get() const { return &path_; }

 private:
  SocketAddress local_;
  SocketAddress remote_;
  ngtcp2_path path_{};
};

inline pyrsia::Endpoint endpoint_of(const ngtcp2_addr& address) {
  const auto& any = *address.addr;
  const auto port = any.sa_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(any).sin6_port
                                              : reinterpret_cast<const sockaddr_in&>(any).sin_port;
  return {ip_of(any), ntohs(port)};
}

/// The library takes 0 for "never"; a simulation begins there.
inline std::uint64_t timestamp_of(TimePoint time) {
  return static_cast<std::uint64_t>(time.time_since_epoch().count()) + NGTCP2_SECONDS;
}
inline TimePoint time_of(std::uint64_t timestamp) {
  return TimePoint(Duration(static_cast<std::int64_t>(timestamp - NGTCP2_SECONDS)));
}

}  // namespace pyrsia::transport::quic
