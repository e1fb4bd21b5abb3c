/// STUN client over UDP. Spec: RFC 8489, 6; RFC 5780, 4.
#pragma once

#include "nat/stun/attributes.hpp"
#include "nat/stun/long_term.hpp"
#include "nat/stun/transaction.hpp"
#include "runtime/env.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"

#include <pyrsia/metrics.hpp>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace pyrsia::stun {

/// What a Binding request may ask for.
struct Query {
  Endpoint server;
  ChangeRequest change;
  std::optional<std::uint16_t> response_port;
  std::size_t padding = 0;      ///< Bytes of PADDING, below kMaxMessageBytes.
  bool has_fingerprint = true;  ///< So that who shares the server's port knows it for STUN.
  RetransmitPlan plan = {};
};

/// What a Binding response said.
struct Response {
  Endpoint mapped;
  Endpoint from;                   ///< Where it came from.
  std::optional<Endpoint> origin;  ///< RESPONSE-ORIGIN
  /// OTHER-ADDRESS and ALTERNATE-SERVER: whatever the server says. Before anything is sent there
  /// ask may_be_named().
  std::optional<Endpoint> other;
  std::optional<Endpoint> alternate_server;
  std::optional<int> error;            ///< ERROR-CODE; then `mapped` says nothing.
  std::string reason;                  ///< Of the error, at most 128 printable bytes.
  std::vector<std::uint16_t> unknown;  ///< UNKNOWN-ATTRIBUTES
  Duration round_trip{0};              ///< Of the transmission before the answer.
  int transmissions = 0;
};

struct ClientMetrics {
  Counter sent;
  Counter received;
  Counter malformed;     ///< Not STUN, or broken.
  Counter unmatched;     ///< STUN, but no answer to anything that is waited for.
  Counter wrong_source;  ///< The right transaction id from an address that was not asked.
};

/// Asks STUN servers from one UDP socket, any number at a time. Owned by whoever probes; owns the
/// socket. An answer counts only with the transaction id of a pending request, which nobody off
/// the path can guess, and from the address that was asked: another one only where the request
/// asked for a change of address or is sent to be answered elsewhere.
class Client {
 public:
  /// Errors: as Env::udp_bind().
  static Result<std::unique_ptr<Client>> bind(Env& env, const Endpoint& local);
  /// The same, and counts in `metrics` of the owner, if that is not null.
  static Result<std::unique_ptr<Client>> bind(Env& env, const Endpoint& local,
                                              ClientMetrics* metrics);
  Client(Env& env, std::unique_ptr<UdpSocket> socket, ClientMetrics* metrics);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// One Binding transaction. An error response is an answer too, see Response::error.
  /// Errors: `Errc::timed_out` (nobody answered), `Errc::unreachable`, `Errc::network_failed`,
  /// `Errc::malformed` (an answer that says nothing), `Errc::limit_reached` (too many at once).
  Task<Response> ask(Query query);
  /// The same, and goes where an ALTERNATE-SERVER of a 300 response points: at most `kMaxMoves`
  /// times and never twice to the same. Errors: as ask(), and `Errc::protocol_violation` (a
  /// loop, or no address), `Errc::refused` (any other error response).
  Task<Response> ask_and_follow(Query query);
  /// Sends a Binding indication: opens a filter, refreshes a mapping. Errors: of sending.
  Result<> indicate(const Endpoint& to);
  /// Sends a Binding request that is not waited for here: see hears().
  Result<> request(const Endpoint& to, const TransactionId& transaction);
  /// The same; the answer shall go to `response_port` of ours. RFC 5780, 7.5.
  Result<> request(const Endpoint& to, const TransactionId& transaction,
                   std::uint16_t response_port);
  /// Ends when a request or a response with this transaction id has arrived, whoever sent it.
  /// Errors: `Errc::cancelled`.
  Task<Endpoint> hears(TransactionId transaction);

  Endpoint local() const { return socket_->local(); }
  const ClientMetrics& metrics() const { return metrics_; }
  /// Ends what is pending with `Errc::closed`. Errors: none.
  Task<> stop();

  static constexpr int kMaxMoves = 3;
  static constexpr std::size_t kMaxPending = 64;

 private:
  struct Pending;

  Task<> receive();
  void take(BytesView datagram, const Endpoint& from);
  Task<Response> wait(Pending& pending, BytesView request, const Query& query);

  Env& env_;
  std::unique_ptr<UdpSocket> socket_;
  std::map<TransactionId, Pending*> pending_;
  ClientMetrics own_metrics_;
  ClientMetrics& metrics_;
  bool is_stopped_ = false;
  TaskGroup tasks_;
};

/// Writes a Binding request. Errors: `Errc::too_large`.
Result<BytesView> encode_query(const Query& query, const TransactionId& transaction,
                               std::span<std::uint8_t> out);
/// The same with what proves who we are. Errors: the same.
Result<BytesView> encode_query(const Query& query, const TransactionId& transaction,
                               const LongTerm& proof, std::span<std::uint8_t> out);
/// Reads a response of `server`. Errors: `Errc::malformed` (neither an error in it nor an address
/// that it can have seen, see can_be_mapped()), `Errc::not_supported` (it demands that something is
/// understood which we do not know).
Result<Response> decode_response(const Message& message, const IpAddress& server);
/// A success or error response of Binding.
bool is_response(const Header& header);
TransactionId random_transaction(Env& env);

}  // namespace pyrsia::stun
