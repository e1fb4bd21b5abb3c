#pragma once

#include "base/role.hpp"
#include "mux/muxer.hpp"
#include "runtime/env.hpp"
#include "transport/quic/address_budget.hpp"
#include "transport/quic/config.hpp"
#include "transport/quic/connection_id.hpp"
#include "transport/quic/stream.hpp"
#include "transport/quic/tls.hpp"

#include <boost/intrusive/list.hpp>
#include <ngtcp2/ngtcp2.h>

#include <memory>
#include <unordered_map>
#include <vector>

namespace pyrsia::transport::quic {

class Port;

/// Makes a session a member of its port's queue of those with something to send.
using SessionHook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// A task that waits for its turn, or for all. The session may be gone when it wakes.
struct Waiter : SessionHook {
  explicit Waiter(asio::any_io_executor executor) : turn(std::move(executor)) {}

  Event turn;
  Error end;  ///< Why the session has ended, if it has.
};
using WaiterList = boost::intrusive::list<Waiter, boost::intrusive::constant_time_size<false>>;

/// What shows that a client has the address that its packets come from.
enum class Proof { none, retry_token, address_token };

/// How an incoming connection begins.
struct Opening {
  ngtcp2_pkt_hd header{};
  ngtcp2_cid original_id{};  ///< Of the first packet before any Retry.
  Proof proof = Proof::none;
};

/// One QUIC connection, and the muxer of its streams: the library's state machine, its timer, and
/// what moves between it, its port and its streams. Owned by its user, and by its port before.
class Session final : public mux::Muxer, public SessionHook, private Timer {
 public:
  /// Registers at `port`, which must outlive it.
  static std::unique_ptr<Session> dial(Port& port, const pyrsia::Endpoint& remote, PeerId expected);
  /// nullptr: the packet is none that a connection can begin with.
  static std::unique_ptr<Session> accept(Port& port, const ReceivedDatagram& first,
                                         const Opening& opening);
  ~Session() override;

  /// Ends when the peer is known and streams can be opened. Errors: `Errc::timed_out`,
  /// `Errc::refused`, `Errc::unreachable`, `Errc::wrong_peer`, `Errc::bad_signature`, ….
  Task<> wait_established();

  Task<> run(mux::StreamSink& sink) override;
  Task<std::unique_ptr<Stream>> open_stream() override;
  void close(mux::GoAway reason) noexcept override;
  void tick(TimePoint) override {}  // The library has timers of its own.
  std::size_t stream_count() const override { return streams_.size(); }
  std::optional<Duration> round_trip() const override;
  std::optional<Duration> round_trip_since(TimePoint since) const override;
  void measure_round_trip() override;
  bool is_confirmed() const override { return is_confirmed_; }
  Task<> wait_confirmed() override;

  // For its port.
  const std::vector<ConnectionId>& ids() const { return ids_; }
  const std::vector<ResetToken>& reset_tokens() const { return reset_tokens_; }
  void receive(const ReceivedDatagram& datagram);
  /// Hands the streams that came to their taker.
  void deliver();
  /// Sends what can be sent. True: there is more, at once.
  bool flush();
  void on_port_closed();
  /// The addresses of this machine may have changed. A client whose own is gone goes on from
  /// another; else it lets the server see at once where it is.
  void on_network_change(std::span<const InterfaceAddress> interfaces);
  bool is_server() const { return role_ == Role::responder; }
  bool is_established() const { return is_established_; }
  bool has_ended() const { return bool(end_); }
  /// What may still be sent to the peer's address; none: it has proved that it is there.
  const std::optional<AddressBudget>& address_budget() const { return address_budget_; }
  /// Where the peer is now, and where we are towards it.
  pyrsia::Endpoint remote() const;
  pyrsia::Endpoint local() const;
  const PublicKey& peer_key() const { return *tls_.peer_key(); }
  /// Why the peer was refused in the handshake, in words; empty: it was not.
  std::string_view fault() const { return fault_; }
  /// From where it came first: what counts against limits.
  const IpAddress& first_ip() const { return first_ip_; }

  // For its streams.
  asio::any_io_executor executor();
  std::size_t room_for(const StreamState& state);
  void write(StreamState& state, BytesView bytes);
  void finish(StreamState& state);
  void reset_stream(StreamState& state, ResetCode code);
  void stop_reading(StreamState& state, ResetCode code);
  /// Opens the windows again. `state`: none if only the connection's.
  void consumed(const StreamState* state, std::size_t count);
  void remove_user(bool is_inbound, bool is_state_gone);

 private:
  friend struct Callbacks;
  struct Free {
    void operator()(ngtcp2_conn* connection) const { ngtcp2_conn_del(connection); }
  };
  class Train;

  Session(Port& port, Role role, std::optional<PeerId> expected, const IpAddress& ip);
  ngtcp2_settings settings() const;
  ngtcp2_transport_params transport_params() const;
  bool start_as_client(const pyrsia::Endpoint& remote, const PeerId& expected);
  bool start_as_server(const ReceivedDatagram& first, const Opening& opening);
  void started(ngtcp2_conn* connection);

  void expired() override;
  void arm();
  void note_answer();
  void want_write();
  void prove_address() { address_budget_.reset(); }
  std::size_t room_for_datagram(std::size_t largest) const;
  ngtcp2_ssize write_packet(std::span<std::uint8_t> out, ngtcp2_path& path, ngtcp2_pkt_info& info,
                            std::uint64_t now);
  void migrate(const IpAddress& to);
  void on_send_error();
  void give_address_token();
  void on_stop_sending(std::int64_t stream, std::uint64_t code);
  void stop_writing(StreamState& state, std::optional<std::uint64_t> code);
  void unblock(StreamState& state);
  bool is_to_be_paced() const;
  void look_for_black_hole();
  std::uint64_t timestamp() const;
  StreamState* next_writer();
  void wake_writers();
  void on_library_error(int error);
  void on_peer_closed();
  void close_with(const ngtcp2_ccerr& error, Error reason);
  void end(Error reason);
  StreamState& add_stream(std::int64_t id);
  void on_stream_closed(StreamState& state);
  void acknowledged(StreamState& state, std::size_t count);
  Task<> wait_in(WaiterList& list);
  static void wake_all(WaiterList& list, Error end);
  void add_id(const ngtcp2_cid& cid);
  void remove_id(const ngtcp2_cid& cid);
  void add_reset_token(const ResetToken& token);
  void remove_reset_token(const ResetToken& token);

  Port& port_;
  Role role_;
  IpAddress first_ip_;
  TlsSession tls_;
  std::string_view fault_;
  std::unique_ptr<ngtcp2_conn, Free> connection_;
  std::unordered_map<std::int64_t, std::unique_ptr<StreamState>> streams_;
  WriterQueue writers_;
  WriterQueue blocked_;  ///< Those whose window is shut.
  std::vector<std::unique_ptr<QuicStream>> new_streams_;
  mux::StreamSink* sink_ = nullptr;
  std::uint64_t keep_alive_ = 0;  ///< Nanoseconds.
  TimePoint measured_at_ = TimePoint::min();
  bool has_sent_ = false;             ///< Since measured_at_.
  bool is_answered_ = false;          ///< What was sent then has been acknowledged.
  std::uint64_t last_sample_ = 0;     ///< Of the round trip, before; nanoseconds.
  std::size_t buffered_bytes_ = 0;    ///< Sent or to be sent, not acknowledged.
  std::size_t unreported_bytes_ = 0;  ///< Consumed since packets were written last.
  std::size_t outbound_count_ = 0;
  bool is_established_ = false;
  bool is_confirmed_ = false;
  bool is_reset_ = false;                        ///< By a peer that has lost its state.
  bool is_probe_wanted_ = false;                 ///< The peer shall hear of us at once.
  bool is_starved_ = false;                      ///< A writer waits for buffered_bytes_ to sink.
  bool has_opened_ = false;                      ///< A packet of the datagram that is being read.
  std::optional<AddressBudget> address_budget_;  ///< Of a server whose client may be somebody else.
  Error end_;
  TimePoint armed_until_ = TimePoint::max();
  IpAddress seen_at_;   ///< The address of ours that the peer sent to.
  IpAddress local_ip_;  ///< A client's own as the library has it: a name for the path, no more.
  TimePoint looked_at_ = TimePoint::min();    ///< At our addresses, after a failed send.
  TimePoint small_until_ = TimePoint::min();  ///< Large packets would not arrive.
  TimePoint looked_for_hole_at_ = TimePoint::min();
  std::vector<ConnectionId> ids_;
  std::vector<ResetToken> reset_tokens_;
  WaiterList openers_;
  WaiterList confirmers_;
  Event established_;  ///< Or ended.
  Event ended_;
};

}  // namespace pyrsia::transport::quic
