/// What the world offers of sockets, the same in the kernel and in the simulation.
#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/metrics.hpp>
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

inline constexpr std::size_t kMaxUdpBatch = 64;

struct UdpOptions {
  bool is_port_shared = false;           ///< SO_REUSEPORT. The simulation knows it not.
  std::size_t receive_buffer_bytes = 0;  ///< 0: what the system gives; more than it allows is cut.
  std::size_t send_buffer_bytes = 0;     ///< The same.
  /// Too large a datagram fails or is lost instead of being cut: what path MTU discovery needs.
  bool dont_fragment = false;
  /// How many routers may send a datagram on, and one less: IPv4's TTL, IPv6's hop limit. 0: as
  /// many as the system thinks fit.
  std::uint8_t hop_limit = 0;
  bool hears_errors = false;  ///< For UdpSocket::receive_error().
  bool reads_ecn = false;     ///< For ReceivedDatagram::ecn, which is 0 else.
  /// What one call to the kernel takes: many where datagrams are small, few where the kernel joins
  /// large ones and the caches are to hold them. At most kMaxUdpBatch.
  std::size_t batch_size = 32;
};

/// One datagram, of UdpSocket::receive().
struct Datagram {
  Endpoint from;
  std::size_t size = 0;  ///< Of the whole datagram, also where the buffer was smaller.
};

struct ReceivedDatagram {
  Endpoint from;
  IpAddress to;          ///< The address of ours that it was sent to.
  std::uint8_t ecn = 0;  ///< The two bits of RFC 3168.
  BytesView bytes;
};

/// What a router or a host on the way says of a datagram of ours (ICMP). Whoever knows the ports of
/// both sides can forge it.
struct UdpError {
  enum class Kind {
    expired,  ///< It has come to the end of its hop limit there.
    refused,  ///< Nobody listens at the port.
    other,
  };
  Endpoint to;     ///< Where the datagram was sent to.
  IpAddress from;  ///< Who says so.
  Kind kind = Kind::other;
};

/// Datagrams in one buffer that leave in one call: `segment_bytes` each, the last may be shorter.
struct OutgoingDatagram {
  Endpoint to;
  std::optional<IpAddress> from = std::nullopt;  ///< Which of our addresses; nothing: any.
  std::uint8_t ecn = 0;
  BytesView bytes = {};
  std::size_t segment_bytes = 0;  ///< 0: `bytes` is one datagram.
};

/// The kernel's limits for the segments of one OutgoingDatagram.
inline constexpr std::size_t kMaxUdpSegments = 64;
inline constexpr std::size_t kMaxDatagramBytes = 65507;

/// What a UDP socket did.
struct UdpMetrics {
  Counter receive_calls;  ///< Of the system, as the next one.
  Counter send_calls;
  Counter received;  ///< Datagrams.
  Counter sent;
  Counter truncated;         ///< Received and dropped: larger than any buffer of ours.
  Counter segments_refused;  ///< OutgoingDatagrams that were cut by us: the system would not.

  void add(const UdpMetrics& other);
};

/// A UDP socket. One receive and one wait_writable() may be pending at a time; none when it is
/// destroyed. Many datagrams a call: on its own each costs a system call, which is most of the
/// price of a datagram.
class UdpSocket {
 public:
  virtual ~UdpSocket() = default;

  /// Waits for at least one datagram. What it returns, a bounded number, is valid until the next
  /// call. Errors: `Errc::closed`; others are of the moment: wait a little and go on.
  virtual Task<std::span<const ReceivedDatagram>> receive_batch() = 0;
  /// Returns how many of the first were handed over; 0: it would block, see wait_writable(). A
  /// datagram may be lost anyway. Errors, of the first one, which was not sent:
  /// `Errc::unreachable`, `Errc::too_large` (for the interface, or at all), `Errc::network_failed`,
  /// ….
  virtual Result<std::size_t> send_batch(std::span<const OutgoingDatagram> datagrams) = 0;
  /// Errors: `Errc::closed`, `Errc::cancelled`.
  virtual Task<> wait_writable() = 0;
  /// Waits for the next error that somebody tells of a datagram of this socket, which was bound
  /// with `hears_errors`, and from which nothing is received meanwhile. Errors: `Errc::closed`,
  /// `Errc::cancelled`, `Errc::not_supported` (another socket).
  virtual Task<UdpError> receive_error();

  virtual Endpoint local() const = 0;
  /// Ends pending calls with `Errc::closed`.
  virtual void close() noexcept = 0;
  virtual const UdpMetrics& metrics() const = 0;

  /// One datagram into `out`. Not to be mixed with receive_batch(). Same errors.
  Task<Datagram> receive(std::span<std::uint8_t> out);
  /// Sends one datagram, or drops it if it would block. Errors: as send_batch().
  Result<> send(const Endpoint& to, BytesView bytes);

 private:
  std::span<const ReceivedDatagram> batch_;  ///< What receive() has still to give.
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

/// The prefix by which IPv4 is reached from a network that has only IPv6, as a router advertises
/// it. RFC 8781.
struct AdvertisedNat64 {
  IpAddress prefix;   ///< IPv6; the bits behind it are 0.
  unsigned bits = 0;  ///< 32, 40, 48, 56, 64 or 96.
  Duration lifetime{0};
  bool operator==(const AdvertisedNat64&) const = default;
};

/// Tells when the network of this machine changes: an address, a route, an interface.
class NetworkWatcher {
 public:
  virtual ~NetworkWatcher() = default;

  /// The NAT64 prefixes that routers have advertised since the watcher was made and that are still
  /// good, at most 8; a change of them is a change of the network. Who begins to watch hears of
  /// them with the next advertisement, which may take minutes.
  virtual std::vector<AdvertisedNat64> nat64_prefixes() { return {}; }

  /// Ends when something has changed since it ended last, or since the watcher was made; what
  /// changes at once is one change. One task at a time. Errors: `Errc::cancelled`; others, such as
  /// `Errc::network_failed`: this one tells nothing any more, and another is to be made.
  virtual Task<> changed() = 0;
};

enum class IpFamily { any, v4, v6 };

struct HttpRequest {
  std::string url;  ///< http:// or https://
  Duration timeout = std::chrono::seconds(10);
  std::size_t max_body_bytes = 64 * 1024;
  int max_redirects = 5;
  /// No proxy, whatever the environment says: for a server beside us. Its host is an IP address.
  bool is_direct = false;
  /// Leaves from this address of ours; a link-local host is meant on the interface that has it.
  std::optional<IpAddress> local = std::nullopt;
  std::vector<std::string> headers = {};  ///< More of them, "Name: value".
  std::string body = {};                  ///< Of a POST.
};

struct HttpResponse {
  int status = 0;
  std::string content_type;
  std::string body;
  /// Whom we have connected to for it: the server or a proxy, and those that have redirected us.
  std::vector<IpAddress> contacted = {};
};

}  // namespace pyrsia
