/// What the world offers of sockets, the same in the kernel and in the simulation.
#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/stream.hpp>
#include <pyrsia/time.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia {

/// A TCP connection.
class TcpSocket : public Stream {
 public:
  virtual Endpoint local() const = 0;
  virtual Endpoint remote() const = 0;
};

/// A listening TCP socket. Closed by its destructor, when no accept() may be pending.
class TcpListener {
 public:
  virtual ~TcpListener() = default;

  /// Errors: `Errc::closed` after close(). Other errors concern one connection only (it was gone
  /// before it was accepted, or we are out of file descriptors): wait a little and go on.
  virtual Task<std::unique_ptr<TcpSocket>> accept() = 0;
  virtual Endpoint local() const = 0;
  /// Ends a pending accept() with `Errc::closed`.
  virtual void close() noexcept = 0;
};

struct Datagram {
  Endpoint from;
  std::size_t size = 0;  ///< Of the whole datagram, also where the buffer was smaller.
};

/// A UDP socket.
class UdpSocket {
 public:
  virtual ~UdpSocket() = default;

  virtual Task<Datagram> receive(std::span<std::uint8_t> out) = 0;
  /// Sends or drops: a datagram may be lost anyway. Errors: `Errc::unreachable`,
  /// `Errc::too_large`, `Errc::network_failed`.
  virtual Result<> send(const Endpoint& to, BytesView bytes) = 0;
  virtual Endpoint local() const = 0;
  virtual void close() noexcept = 0;
};

struct TcpListenOptions {
  bool is_port_shared = true;  ///< SO_REUSEADDR and SO_REUSEPORT, so that dials may use the port.
  int backlog = 1024;
};

struct TcpConnectOptions {
  /// Bind to this before connecting, with port reuse. An unspecified IP binds the port only.
  std::optional<Endpoint> local;
};

/// One address of a network interface.
struct InterfaceAddress {
  std::string interface_name;
  IpAddress ip;
  unsigned prefix_bits = 0;
  auto operator<=>(const InterfaceAddress&) const = default;
};

/// A router that packets for the rest of the world go to.
struct Gateway {
  std::string interface_name;
  IpAddress ip;                  ///< Of IPv6 mostly link-local: meant on that interface.
  std::string hardware_address;  ///< "02:42:ac:11:00:02"; empty if it is not known.
  auto operator<=>(const Gateway&) const = default;
};

enum class IpFamily { any, v4, v6 };

struct HttpRequest {
  std::string url;  ///< http:// or https://
  Duration timeout = std::chrono::seconds(10);
  std::size_t max_body_bytes = 64 * 1024;
  int max_redirects = 5;
  /// No proxy, whatever the environment says: for a server beside us. Its host is an IP address.
  bool is_direct = false;
  std::vector<std::string> headers = {};  ///< More of them, "Name: value".
  std::string body = {};                  ///< Of a POST.
};

struct HttpResponse {
  int status = 0;
  std::string content_type;
  std::string body;
};

}  // namespace pyrsia
