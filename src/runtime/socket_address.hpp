#pragma once

#include <pyrsia/ip.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

namespace pyrsia {

/// An Endpoint as the kernel has it.
class SocketAddress {
 public:
  SocketAddress() = default;
  explicit SocketAddress(const Endpoint& endpoint);

  int family() const { return storage_.any.sa_family; }
  /// For the kernel to fill in: pass both.
  sockaddr* data() { return &storage_.any; }
  socklen_t* size_to_fill();
  const sockaddr* data() const { return &storage_.any; }
  socklen_t size() const { return size_; }
  bool is_link_local_v6() const;
  /// The interface that an IPv6 address is meant on, by its index.
  void set_scope(unsigned interface) { storage_.v6.sin6_scope_id = interface; }
  /// IPv4 inside IPv6 becomes IPv4.
  Endpoint endpoint() const;

 private:
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } storage_{};
  socklen_t size_ = sizeof storage_;
};

/// The address of `any`, if it is IPv4 or IPv6; else 0.0.0.0.
IpAddress ip_of(const sockaddr& any);

/// The index of the interface that has `ip`; 0 if none has.
unsigned interface_with(const IpAddress& ip);

/// Where `socket` is bound.
Endpoint local_endpoint(int socket);

}  // namespace pyrsia
