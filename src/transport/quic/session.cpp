#include "transport/quic/session.hpp"

#include "transport/quic/callbacks.hpp"
#include "transport/quic/close_reason.hpp"
#include "transport/quic/path.hpp"
#include "transport/quic/port.hpp"

#include <algorithm>
#include <array>
#include <cassert>

namespace pyrsia::transport::quic {
namespace {

constexpr std::array<std::uint16_t, 3> kMtuProbes = {1280 - 48, 1420 - 48, 1452};
constexpr std::uint64_t kMaxConnectionIds = 4;
/// Acknowledge at once after so many packets; lost ones are told of at once anyway.
constexpr std::size_t kAckThreshold = 4;
/// Our limit: packets may fail by the thousand.
constexpr Duration kLookAgainAfter = std::chrono::seconds(1);

std::uint64_t nanoseconds(Duration duration) {
  return static_cast<std::uint64_t>(duration.count());
}

}  // namespace

Session::Session(Port& port, Role role, std::optional<PeerId> expected, const IpAddress& ip)
    : port_(port),
      role_(role),
      first_ip_(ip),
      tls_(port.shared().env, port.shared().credentials, role, std::move(expected),
           port.shared().self),
      established_(port.shared().env.executor()),
      ended_(port.shared().env.executor()) {
  port_.add_session();
}

Session::~Session() {
  if (!end_) close(mux::GoAway::normal);
  port_.remove_session();
}

std::unique_ptr<Session> Session::dial(Port& port, const pyrsia::Endpoint& remote,
                                       PeerId expected) {
  std::unique_ptr<Session> session(new Session(port, Role::initiator, expected, remote.ip));
  if (!session->start_as_client(remote, expected)) return nullptr;
  session->want_write();
  return session;
}

std::unique_ptr<Session> Session::accept(Port& port, const ReceivedDatagram& first,
                                         const Opening& opening) {
  std::unique_ptr<Session> session(new Session(port, Role::responder, std::nullopt, first.from.ip));
  if (!session->start_as_server(first, opening)) return nullptr;
  return session;
}

ngtcp2_settings Session::settings() const {
  const auto& config = port_.shared().config;
  ngtcp2_settings out;
  ngtcp2_settings_default(&out);
  out.initial_ts = timestamp();
  out.cc_algo = NGTCP2_CC_ALGO_CUBIC;
  out.handshake_timeout = nanoseconds(config.handshake_timeout);
  out.max_window = config.max_window_bytes;
  out.max_stream_window = config.max_stream_window_bytes;
  out.ack_thresh = kAckThreshold;
  out.max_tx_udp_payload_size = config.max_udp_payload_bytes;
  out.pmtud_probes = kMtuProbes.data();
  out.pmtud_probeslen = kMtuProbes.size();
  out.rand_ctx.native_handle = &port_.shared().env;
  return out;
}

ngtcp2_transport_params Session::transport_params() const {
  const auto& config = port_.shared().config;
  ngtcp2_transport_params out;
  ngtcp2_transport_params_default(&out);
  out.initial_max_streams_bidi = config.max_inbound_streams;
  out.initial_max_stream_data_bidi_local = config.stream_window_bytes;
  out.initial_max_stream_data_bidi_remote = config.stream_window_bytes;
  out.initial_max_data = config.window_bytes;
  out.max_idle_timeout = nanoseconds(config.idle_timeout);
  out.active_connection_id_limit = kMaxConnectionIds;
  return out;
}

bool Session::start_as_client(const pyrsia::Endpoint& remote, const PeerId& expected) {
  local_ip_ = port_.local().ip;
  const Path path(port_.local(), remote);
  auto set = settings();
  const auto token = port_.shared().address_tokens.take(remote, expected);
  if (!token.empty()) {
    set.token = token.data();
    set.tokenlen = token.size();
    set.token_type = NGTCP2_TOKEN_TYPE_NEW_TOKEN;
  }
  const auto params = transport_params();
  const auto own = port_.random_id(kConnectionIdBytes);
  // RFC 9000, 7.2: at least 8 bytes that nobody can guess.
  const auto first = port_.random_id(NGTCP2_MAX_CIDLEN);
  ngtcp2_conn* made = nullptr;
  if (ngtcp2_conn_client_new(&made, &first, &own, path.get(), NGTCP2_PROTO_VER_V1,
                             &client_callbacks(), &set, &params, nullptr, this) != 0)
    return false;
  started(made);
  add_id(own);
  return true;
}

bool Session::start_as_server(const ReceivedDatagram& first, const Opening& opening) {
  const auto& header = opening.header;
  const pyrsia::Endpoint local{first.to, port_.local().port};
  const Path path(local, first.from);
  auto set = settings();
  const bool is_retried = opening.proof == Proof::retry_token;
  if (opening.proof == Proof::none) {
    address_budget_.emplace();
  } else {
    set.token = header.token;
    set.tokenlen = header.tokenlen;
    set.token_type = is_retried ? NGTCP2_TOKEN_TYPE_RETRY : NGTCP2_TOKEN_TYPE_NEW_TOKEN;
  }
  auto params = transport_params();
  params.original_dcid = opening.original_id;
  params.original_dcid_present = 1;
  params.retry_scid_present = is_retried ? 1 : 0;
  if (is_retried) params.retry_scid = header.dcid;
  const auto own = port_.random_id(kConnectionIdBytes);
  const auto key = port_.reset_key();
  params.stateless_reset_token_present =
      ngtcp2_crypto_generate_stateless_reset_token(params.stateless_reset_token, key.data(),
                                                   key.size(), &own) == 0
          ? 1
          : 0;
  ngtcp2_conn* made = nullptr;
  if (ngtcp2_conn_server_new(&made, &header.scid, &own, path.get(), header.version,
                             &server_callbacks(), &set, &params, nullptr, this) != 0)
    return false;
  started(made);
  add_id(own);
  add_id(header.dcid);
  return true;
}

void Session::started(ngtcp2_conn* connection) {
  connection_.reset(connection);
  tls_.attach(connection);
}

Task<> Session::wait_established() {
  while (!is_established_ && !end_) PYRSIA_CO_TRY(co_await established_.wait());
  if (end_) co_return end_;
  co_return ok;
}

Task<> Session::wait_confirmed() {
  while (!is_confirmed_) {
    if (end_) co_return end_;
    PYRSIA_CO_TRY(co_await wait_in(confirmers_));
  }
  co_return ok;
}

Task<> Session::wait_in(WaiterList& list) {
  Waiter waiter(executor());
  list.push_back(waiter);
  PYRSIA_CO_TRY(co_await waiter.turn.wait());
  // The session may be gone by now.
  if (waiter.end) co_return waiter.end;
  co_return ok;
}

void Session::wake_all(WaiterList& list, Error end) {
  while (!list.empty()) {
    auto& waiter = list.front();
    list.pop_front();
    waiter.end = end;
    waiter.turn.notify();
  }
}

Task<> Session::run(mux::StreamSink& sink) {
  sink_ = &sink;
  deliver();
  while (!end_) {
    const auto woken = co_await ended_.wait();
    if (woken || end_) continue;
    close(mux::GoAway::normal);
    co_return woken.error();
  }
  sink_ = nullptr;
  co_return end_;
}

Task<std::unique_ptr<Stream>> Session::open_stream() {
  for (;;) {
    if (end_) co_return Errc::closed;
    if (outbound_count_ >= port_.shared().config.max_outbound_streams)
      co_return Errc::limit_reached;
    std::int64_t id = 0;
    const int result = ngtcp2_conn_open_bidi_stream(connection_.get(), &id, nullptr);
    if (result == 0) {
      auto& state = add_stream(id);
      ngtcp2_conn_set_stream_user_data(connection_.get(), id, &state);
      ++outbound_count_;
      port_.shared().metrics.streams_opened.add();
      co_return std::unique_ptr<Stream>(std::make_unique<QuicStream>(*this, state, false));
    }
    if (result != NGTCP2_ERR_STREAM_ID_BLOCKED) co_return Errc::limit_reached;
    const auto turn = co_await wait_in(openers_);
    if (!turn) co_return turn.error() == Errc::cancelled ? Errc::cancelled : Errc::closed;
  }
}

void Session::close(mux::GoAway reason) noexcept {
  if (end_) return;
  ngtcp2_ccerr error;
  ngtcp2_ccerr_default(&error);
  ngtcp2_ccerr_set_application_error(&error, close_code(reason), nullptr, 0);
  close_with(error, Errc::closed);
}

std::optional<Duration> Session::round_trip() const {
  if (!connection_ || !is_established_) return std::nullopt;
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(connection_.get(), &info);
  if (info.latest_rtt == 0) return std::nullopt;  // What else stands there is a guess.
  return Duration(static_cast<std::int64_t>(info.smoothed_rtt));
}

/// NEW_TOKEN, which only a server sends, is the one frame that the library lets us send for nothing
/// but its acknowledgement.
void Session::measure_round_trip() {
  if (end_ || !is_established_ || !is_server()) return;
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(connection_.get(), &info);
  measured_at_ = port_.shared().env.now();
  last_sample_ = info.latest_rtt;
  has_sent_ = is_answered_ = false;
  give_address_token();
  want_write();
}

std::optional<Duration> Session::round_trip_since(TimePoint since) const {
  if (since > measured_at_ || !is_server() || end_) return round_trip();
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(connection_.get(), &info);
  if (!is_answered_ || info.latest_rtt == 0) return std::nullopt;
  return Duration(static_cast<std::int64_t>(info.latest_rtt));
}

/// Looked at whenever something arrives, as what we send later is in flight again.
void Session::note_answer() {
  if (!has_sent_ || is_answered_) return;
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(connection_.get(), &info);
  is_answered_ = info.bytes_in_flight == 0 || info.latest_rtt != last_sample_;
}

void Session::receive(const ReceivedDatagram& datagram) {
  if (end_) return;
  const pyrsia::Endpoint local{is_server() ? datagram.to : local_ip_, port_.local().port};
  const Path path(local, datagram.from);
  ngtcp2_pkt_info info{};
  info.ecn = datagram.ecn;
  seen_at_ = datagram.to;
  if (address_budget_ && datagram.from == remote())
    address_budget_->received(datagram.bytes.size());
  has_opened_ = false;
  const Reading reading(*this);
  const int result =
      ngtcp2_conn_read_pkt(connection_.get(), path.get(), &info, datagram.bytes.data(),
                           datagram.bytes.size(), timestamp());
  if (!has_opened_) port_.shared().metrics.discarded_datagrams.add();
  if (result != 0) return on_library_error(result);
  note_answer();
  if (is_confirmed_ && !tls_.is_released()) tls_.release();
  want_write();
}

void Session::deliver() {
  if (!sink_) return;
  auto streams = std::exchange(new_streams_, {});
  for (auto& stream : streams) sink_->on_stream(std::move(stream));
}

void Session::expired() {
  armed_until_ = TimePoint::max();
  if (end_) return;
  const auto now = timestamp();
  if (ngtcp2_conn_get_expiry(connection_.get()) <= now) {
    look_for_black_hole();
    const int result = ngtcp2_conn_handle_expiry(connection_.get(), now);
    if (result != 0) return on_library_error(result);
    want_write();
  } else {
    arm();
  }
}

void Session::arm() {
  const auto expiry = ngtcp2_conn_get_expiry(connection_.get());
  if (expiry == UINT64_MAX) return;
  // Most deadlines move away before they come: looking again then is cheaper than to arm each time.
  const auto at = time_of(expiry);
  if (armed_until_ <= at) return;
  armed_until_ = at;
  port_.shared().env.timers().arm(*this, at);
}

void Session::on_network_change(std::span<const InterfaceAddress> interfaces) {
  if (end_ || is_server() || !is_confirmed_) return;
  const auto is_ours = [&](const IpAddress& ip) {
    return std::ranges::any_of(interfaces, [&](const auto& each) { return each.ip == ip; });
  };
  const auto& bound = port_.local().ip;
  // A socket that is bound to one address cannot leave it.
  if (!bound.is_unspecified() || is_ours(seen_at_)) {
    is_probe_wanted_ = true;
    return want_write();
  }
  const auto is_next = [&](const InterfaceAddress& each) {
    return each.ip.is_v6() == bound.is_v6() && !each.ip.is_loopback() &&
           !SocketAddress({each.ip, 0}).is_link_local_v6() && each.ip != local_ip_;
  };
  const auto found = std::ranges::find_if(interfaces, is_next);
  if (found != interfaces.end()) migrate(found->ip);
}

void Session::migrate(const IpAddress& to) {
  const Path path({to, port_.local().port}, remote());
  if (ngtcp2_conn_initiate_immediate_migration(connection_.get(), path.get(), timestamp()) == 0) {
    local_ip_ = to;
    seen_at_ = to;
    port_.shared().metrics.migrations.add();
  } else {
    // The peer forbids it, or has given us no id for it: a NAT may do the same at any time.
    is_probe_wanted_ = true;
  }
  want_write();
}

void Session::on_send_error() {
  const auto now = port_.shared().env.now();
  if (looked_at_ != TimePoint::min() && now - looked_at_ < kLookAgainAfter) return;
  looked_at_ = now;
  on_network_change(port_.shared().env.interface_addresses());
}

void Session::give_address_token() {
  AddressToken made;
  auto& shared = port_.shared();
  const auto token = make_address_token(shared.env, shared.secrets, remote(), made);
  // Without one the client has to prove its address again, no more.
  if (!token.empty()) ngtcp2_conn_submit_new_token(connection_.get(), token.data(), token.size());
}

void Session::on_port_closed() {
  if (!end_) end(Errc::closed);
}

pyrsia::Endpoint Session::remote() const {
  return endpoint_of(ngtcp2_conn_get_path(connection_.get())->remote);
}

pyrsia::Endpoint Session::local() const {
  auto bound = port_.local();
  if (bound.ip.is_unspecified()) bound.ip = seen_at_;
  return bound;
}

std::uint64_t Session::timestamp() const {
  return timestamp_of(port_.shared().env.now());
}

asio::any_io_executor Session::executor() {
  return port_.shared().env.executor();
}

void Session::want_write() {
  if (!end_) port_.enqueue(*this);
}

void Session::on_library_error(int error) {
  auto& metrics = port_.shared().metrics;
  switch (error) {
    case NGTCP2_ERR_CLOSING: return;
    case NGTCP2_ERR_DRAINING: return on_peer_closed();
    case NGTCP2_ERR_IDLE_CLOSE: metrics.idle_timeouts.add(); [[fallthrough]];
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY: return end(reason_of_library(error));
    default: break;
  }
  ngtcp2_ccerr close;
  ngtcp2_ccerr_default(&close);
  Error reason = reason_of_library(error);
  const bool is_ours = reason == Errc::invalid_argument || error == NGTCP2_ERR_NOMEM;
  (is_ours ? metrics.own_errors : metrics.peer_errors).add();
  fault_ = tls_.fault();
  if (error == NGTCP2_ERR_CRYPTO) {
    const auto alert = ngtcp2_conn_get_tls_alert(connection_.get());
    ngtcp2_ccerr_set_tls_alert(&close, alert, nullptr, 0);
    if (fault_.empty()) fault_ = name_of_alert(alert);
    if (tls_.refusal()) {
      reason = tls_.refusal();
    } else if (reason_of_peer(close) == Errc::not_supported) {
      reason = Errc::not_supported;  // No common protocol or cipher.
    }
  } else {
    ngtcp2_ccerr_set_liberr(&close, error, nullptr, 0);
  }
  const auto who = remote().to_string();
  port_.shared().log.debug(
      is_ours ? "closed for an error of ours" : "closed for an error of the peer",
      {{"remote", who}, {"error", ngtcp2_strerror(error)}, {"fault", fault_}});
  close_with(close, reason);
}

void Session::on_peer_closed() {
  if (is_reset_) return end(Errc::reset);
  const auto* error = ngtcp2_conn_get_ccerr(connection_.get());
  port_.shared().log.debug("closed by the peer",
                           {{"kind", kind_of(*error)},
                            {"code", error->error_code},
                            {"reason", as_text(BytesView(error->reason, error->reasonlen))}});
  port_.keep_closed(*this, OutgoingDatagram());  // The peer may send a little more.
  end(reason_of_peer(*error));
}

void Session::close_with(const ngtcp2_ccerr& error, Error reason) {
  std::array<std::uint8_t, 1252> packet;
  ngtcp2_path_storage path;
  ngtcp2_path_storage_zero(&path);
  ngtcp2_pkt_info info{};
  const auto size =
      ngtcp2_conn_write_connection_close(connection_.get(), &path.path, &info, packet.data(),
                                         room_for_datagram(packet.size()), &error, timestamp());
  if (size > 0) {
    OutgoingDatagram farewell;
    farewell.to = endpoint_of(path.path.remote);
    if (is_server() && port_.local().ip.is_unspecified())
      farewell.from = endpoint_of(path.path.local).ip;
    farewell.bytes = BytesView(packet).first(static_cast<std::size_t>(size));
    port_.keep_closed(*this, farewell);
  }
  end(reason);
}

void Session::end(Error reason) {
  assert(!end_);
  end_ = reason;
  if (!is_established_) port_.shared().metrics.handshakes_failed.add();
  port_.shared().env.timers().disarm(*this);
  for (const auto& [id, state] : streams_)
    if (state->user) state->user->on_session_end();
  writers_.clear();
  new_streams_.clear();
  streams_.clear();
  // Here and not by the destructor: its user may keep it for long.
  established_.notify();
  ended_.notify();
  wake_all(confirmers_, reason);
  wake_all(openers_, reason);
  port_.forget(*this);
}

void Session::add_id(const ngtcp2_cid& cid) {
  ids_.emplace_back(cid);
  port_.add_id(ids_.back(), *this);
}

void Session::remove_id(const ngtcp2_cid& cid) {
  const ConnectionId id(cid);
  if (std::erase(ids_, id) > 0) port_.remove_id(id);
}

void Session::add_reset_token(const ResetToken& token) {
  reset_tokens_.push_back(token);
  port_.add_reset_token(token, *this);
}

void Session::remove_reset_token(const ResetToken& token) {
  if (std::erase(reset_tokens_, token) > 0) port_.remove_reset_token(token);
}

}  // namespace pyrsia::transport::quic
