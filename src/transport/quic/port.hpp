#pragma once

#include "base/ip_group.hpp"
#include "runtime/task_group.hpp"
#include "transport/quic/address_tokens.hpp"
#include "transport/quic/config.hpp"
#include "transport/quic/datagram_sink.hpp"
#include "transport/quic/session.hpp"
#include "transport/quic/stateless.hpp"

#include <pyrsia/log.hpp>

#include <deque>
#include <list>
#include <set>
#include <unordered_map>
#include <vector>

namespace pyrsia::transport::quic {

/// What all ports of a transport have in common. Owned by the transport.
struct Shared {
  Shared(Env& e, const KeyPair& key, const Config& c, Credentials shown, Logger l)
      : env(e),
        self(key.peer_id()),
        config(c),
        credentials(std::move(shown)),
        secrets(key),
        log(l) {}

  Env& env;
  const PeerId self;
  const Config config;
  const Credentials credentials;
  const Secrets secrets;
  const Logger log;
  Metrics metrics;
  AddressTokens address_tokens;
  UdpMetrics closed_ports;  ///< What sockets did that are no more.
  DatagramSink* other_sink = nullptr;
};

/// One UDP socket and all connections on it, dialed and accepted: tells packets apart by their
/// connection ids, begins connections, and sends. Owned by its transport; its sessions must not
/// outlive it.
class Port {
 public:
  Port(Shared& shared, std::unique_ptr<UdpSocket> socket, bool is_for_one_dial);
  ~Port();

  /// Serves the socket until close(); call it once.
  Task<> serve();
  /// Ends everything.
  void close();
  bool is_closed() const { return is_closed_; }
  /// Told when the addresses of this machine may have changed.
  void on_network_change(std::span<const InterfaceAddress> interfaces);
  bool has_sessions() const { return session_count_ > 0; }

  /// Accepts connections from now on, until stop_listening().
  void listen() { is_listening_ = true; }
  void stop_listening();
  bool is_listening() const { return is_listening_; }
  /// The next connection whose peer is known. Errors: `Errc::closed` after stop_listening().
  Task<std::unique_ptr<Session>> accept();

  const pyrsia::Endpoint& local() const { return local_; }
  /// What the reset tokens of our connection ids are made of.
  BytesView reset_key() const { return reset_key_; }
  bool is_for_one_dial() const { return is_for_one_dial_; }
  Shared& shared() { return shared_; }
  const Shared& shared() const { return shared_; }
  const UdpMetrics& udp_metrics() const { return socket_->metrics(); }
  std::size_t half_open_count() const { return half_open_.size(); }

  // For sessions, and others who send from this socket.
  void add_session() { ++session_count_; }
  void remove_session();
  void add_id(const ConnectionId& id, Session& session);
  void remove_id(const ConnectionId& id) { sessions_by_id_.erase(id); }
  void add_reset_token(const ResetToken& token, Session& session) {
    sessions_by_token_.insert_or_assign(token, &session);
  }
  void remove_reset_token(const ResetToken& token) { sessions_by_token_.erase(token); }
  /// A random connection id that is not in use.
  ngtcp2_cid random_id(std::size_t bytes);
  /// `session` has something to send, or may have.
  void enqueue(Session& session);
  /// Where a session makes its packets.
  std::span<std::uint8_t> send_space();
  /// False while the socket is full.
  bool may_send() const { return held_bytes_.empty() && !is_closed_; }
  /// Sends; what the socket does not take now is kept, one such thing only, or lost.
  /// Errors: as UdpSocket::send_batch().
  Result<> send(const OutgoingDatagram& datagram);
  /// For what is no QUIC: does not wait behind sessions, and is not kept where the socket is full.
  /// How many of the first were sent. Errors: as UdpSocket::send_batch().
  Result<std::size_t> send_besides(std::span<const OutgoingDatagram> datagrams);
  /// `session` is about to end: its ids are answered with `farewell` for a while, or with silence
  /// if that is empty. Sends it, too.
  void keep_closed(const Session& session, const OutgoingDatagram& farewell);
  /// `session` has ended.
  void forget(Session& session);

 private:
  /// What answers late packets of a connection that we have closed. Spec: RFC 9000, 10.2.
  struct Closed {
    TimePoint until;
    Bytes packet;
    OutgoingDatagram farewell;
    std::optional<AddressBudget> address_budget;
    std::uint32_t heard_count = 0;
    std::vector<ConnectionId> ids;
  };

  std::set<Session*> sessions() const;
  Task<> receive_all();
  Task<> write_all();
  void dispatch(const ReceivedDatagram& datagram);
  void settle(Session& session);
  void begin(const ReceivedDatagram& datagram);
  bool admits(const ReceivedDatagram& datagram, Opening& opening);
  bool must_prove(const IpAddress& ip) const;
  void receive(Session& session, const ReceivedDatagram& datagram);
  bool is_reset_of_peer(const ReceivedDatagram& datagram);
  bool answer_if_closed(const ConnectionId& id, const ReceivedDatagram& datagram);
  bool give_to_others(const ReceivedDatagram& datagram);
  void end_batch();
  void answer(const ReceivedDatagram& to, BytesView packet);
  /// For packets that may as well be lost on the way.
  void send_or_lose(const OutgoingDatagram& datagram);
  void say_farewell(Closed& closed);
  void flush();
  void expire_closed();
  void drop_closed(std::list<Closed>::iterator closed);
  void take_from_half_open(Session& session);
  void bury_dead();

  Shared& shared_;
  std::unique_ptr<UdpSocket> socket_;
  const pyrsia::Endpoint local_;
  const std::array<std::uint8_t, 32> reset_key_;
  const bool is_for_one_dial_;
  bool is_listening_ = false;
  bool is_closed_ = false;
  bool has_given_to_others_ = false;  ///< Of this batch.
  std::size_t session_count_ = 0;
  std::unordered_map<ConnectionId, Session*, ConnectionId::Hash> sessions_by_id_;
  std::unordered_map<ResetToken, Session*, ConnectionId::Hash> sessions_by_token_;
  std::unordered_map<Session*, std::unique_ptr<Session>> half_open_;
  IpGroupCounts half_open_by_ip_;
  std::deque<std::unique_ptr<Session>> ready_;
  std::vector<std::unique_ptr<Session>> dead_;  ///< Ended before anybody took them.
  std::list<Closed> closed_;                    ///< Oldest first.
  std::unordered_map<ConnectionId, std::list<Closed>::iterator, ConnectionId::Hash> closed_by_id_;
  boost::intrusive::list<Session, boost::intrusive::constant_time_size<false>> writers_;
  StatelessLimit stateless_;
  std::unique_ptr<std::uint8_t[]> space_;  ///< Made when first needed.
  Bytes held_bytes_;
  OutgoingDatagram held_;
  Event accepted_;
  Event work_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::transport::quic
