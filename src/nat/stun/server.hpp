/// STUN server: UDP, TCP and TLS. Spec: RFC 8489, 6 and 7; RFC 5780, 6.
#pragma once

#include "base/ip_group.hpp"
#include "nat/stun/client.hpp"
#include "nat/stun/lender.hpp"
#include "nat/stun/responder.hpp"
#include "nat/stun/stream_client.hpp"
#include "runtime/env.hpp"
#include "runtime/task_group.hpp"

#include <pyrsia/key.hpp>
#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::stun {

/// Another boot server that lends us its address, and borrows ours.
struct Member {
  Endpoint endpoint;  ///< Of its STUN server. It listens on our other ports as well.
  PeerId peer;
};

/// Whether a member lends us its address; if not, why.
enum class Standing {
  unknown,  ///< Not asked yet.
  lends,
  silent,        ///< It does not answer on each of our ports.
  not_lending,   ///< It answers, but sends nothing for us.
  ours,          ///< Its address is ours as well, and so no second one.
  one_port,      ///< We listen at one port of its family.
  other_family,  ///< We listen at no UDP address of its family.
};
inline constexpr std::size_t kStandingCount = 7;

/// "it does not answer on each of our ports".
std::string_view in_words(Standing standing);

struct ServerConfig {
  std::vector<Endpoint> udp;  ///< Of one address with two ports, or of two, for RFC 5780.
  std::vector<Endpoint> tcp;
  std::vector<Endpoint> tls;  ///< Where `secure` is needed.
  /// Where the machine has no IPv6, [::] is passed over.
  bool is_v6_optional = false;
  /// Speaks TLS on an accepted connection. Need not bound its time.
  Secure secure;
  /// Behind a NAT that maps one to one: our IPv4 address as clients see it.
  std::optional<IpAddress> external_v4;
  ResponderConfig responder;
  LenderConfig lender;
  std::vector<Member> members;  ///< Of these one with our own peer id is passed over.
  std::optional<KeyPair> key;   ///< Signs lends; needed where there are members.
  Duration member_check_interval = std::chrono::seconds(5);
  /// Half of LenderConfig::max_lifetime: so much may a clock be before or behind the other.
  Duration lend_lifetime = std::chrono::seconds(15);
  std::size_t max_tcp_connections = 1024;
  std::size_t max_tcp_connections_of_source = 16;  ///< As ip_group() has it; not of loopback.
  Duration tcp_idle_timeout = std::chrono::seconds(30);
  Duration tcp_lifetime = std::chrono::minutes(10);  ///< Of a connection, however busy.
  /// Of TLS: each costs us a signature, which clients need not pay for.
  SourceLimit handshakes{5, 20, 4096};
  Duration tls_timeout = std::chrono::seconds(10);  ///< Of the handshake.
  int max_tcp_requests = 100;                       ///< Of one connection.
};

struct ServerMetrics {
  Counter unsent;               ///< Responses that the kernel did not take.
  Counter connections;          ///< TCP and TLS, accepted.
  Counter connections_refused;  ///< Over a limit.
  Counter handshakes_failed;    ///< Of TLS.
  Counter handshakes_refused;   ///< Of TLS: the source begins too many.
  Counter members_lost;         ///< A member that answered before did not.
};

/// Owned by the node or the program. Batches in, batches out, and nothing allocated for a request.
class Server {
 public:
  Server(Env& env, ServerConfig config, Logger log);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// Begins to serve. Errors: as Env::udp_bind() and tcp_listen(); `detail`, if given, says which
  /// endpoint. Nothing is left open then.
  Result<> start(std::string* detail);
  /// Errors: none.
  Task<> stop();

  /// Answers a datagram that came to a socket of somebody else, who shares his port with us: see
  /// looks_like_stun(). The answer leaves with flush(), at the latest when many wait. Call it after
  /// start(), and flush() before anything else is awaited.
  void answer_on(UdpSocket& socket, const ReceivedDatagram& datagram);
  void flush(UdpSocket& socket);

  std::vector<Endpoint> udp_endpoints() const;
  std::vector<Endpoint> tcp_endpoints() const;
  std::vector<Endpoint> tls_endpoints() const;
  /// The other address that clients are told on the first socket.
  std::optional<Endpoint> other_address() const;
  /// Of the members, in the order of the configuration.
  const std::vector<Standing>& standings() const { return standings_; }
  /// All counters by name, for export, and how many members there are of each Standing.
  std::map<std::string, std::uint64_t> counters() const;
  const ResponderMetrics& metrics() const { return udp_responder_->metrics(); }

 private:
  class Outbox;
  struct StreamListener {
    std::unique_ptr<TcpListener> listener;
    bool is_tls = false;
  };
  /// Whose connection it is, and how he came.
  struct Caller {
    Responder& responder;
    Endpoint from;
    std::size_t socket = 0;
    IpAddress to;
  };

  std::vector<Endpoint> as_seen(const std::vector<Endpoint>& endpoints) const;
  Result<> bind_all(std::string* detail);
  bool is_passed_over(const Endpoint& endpoint, const Error& error) const;
  Task<> serve_udp(std::size_t index);
  void answer_batch(std::size_t index, std::span<const ReceivedDatagram> batch);
  /// False, and counted: over a limit.
  bool may_connect(const IpAddress& source, bool is_tls);
  bool is_lend(BytesView bytes) const;
  void take_lend(std::size_t index, const ReceivedDatagram& datagram, std::span<std::uint8_t> out);
  void tell_refusal(Refusal refusal, const IpAddress& from);
  void borrow(std::size_t index, const Lend& lend);
  void send_lend(std::size_t index, const Member& member, const Lend& lend);
  void send_now(UdpSocket& socket, const Endpoint& to, BytesView bytes,
                std::optional<IpAddress> from);
  Result<> listen(const std::vector<Endpoint>& endpoints, bool is_tls, std::string* detail);
  std::vector<Endpoint> listening(bool is_tls) const;
  Task<> accept(std::size_t index);
  Task<> serve_tcp(std::unique_ptr<TcpSocket> connection, std::size_t index);
  Task<> secure_and_serve(std::unique_ptr<TcpSocket> connection, Caller caller);
  Task<> serve_stream(Stream& stream, Caller caller);
  Task<> answer_stream(Stream& stream, Caller caller);
  void begin_lending();
  /// Finds out again and again how a member stands.
  Task<> watch_member(std::size_t member);
  Task<Standing> standing_of(Member member);
  /// By a lend for a socket of our own, once from each port that clients would have it from.
  Task<Standing> try_lend(Member member, std::size_t socket, std::uint16_t port);
  std::optional<std::size_t> socket_towards(const IpAddress& ip) const;
  std::set<std::uint16_t> ports_of(const IpAddress& own) const;
  bool is_ours(const IpAddress& ip);
  Result<Client*> member_client(std::size_t socket);
  void set_standing(std::size_t member, Standing standing);
  const Member* lending_member(bool is_v6) const;
  void add_lending(std::map<std::string, std::uint64_t>& out) const;

  Env& env_;
  ServerConfig config_;
  Logger log_;
  std::uint64_t secret_ = 0;
  std::vector<std::unique_ptr<UdpSocket>> udp_;
  std::vector<StreamListener> tcp_;
  std::unique_ptr<Responder> udp_responder_;
  std::unique_ptr<Responder> tcp_responder_;
  std::unique_ptr<Responder> plain_responder_;  ///< Of TLS and of shared ports.
  std::unique_ptr<Lender> lender_;
  std::unique_ptr<Outbox> outbox_;
  ClientMetrics member_metrics_;
  std::vector<std::unique_ptr<Client>> member_clients_;  ///< Ask members; one of a family.
  std::vector<Standing> standings_;                      ///< Of the members.
  /// When each Refusal was last told.
  std::array<std::optional<TimePoint>, kRefusalCount> refusals_told_{};
  IpGroupCounts connections_;  ///< The open ones of each source.
  std::size_t connection_count_ = 0;
  std::optional<SourceLimiter> handshake_limiter_;
  ServerMetrics metrics_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::stun
