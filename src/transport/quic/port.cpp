#include "transport/quic/port.hpp"

#include <algorithm>
#include <cassert>

namespace pyrsia::transport::quic {
namespace {

/// Room for the longest train, and a packet behind it.
constexpr std::size_t kSpaceBytes = kMaxDatagramBytes + 2048;
/// Our limits: what late packets of closed connections may cost. RFC 9000 asks for three times
/// the probe timeout.
constexpr std::size_t kMaxClosed = 4096;
constexpr Duration kClosedTime = std::chrono::seconds(3);
constexpr Duration kPauseAfterError = std::chrono::milliseconds(10);
constexpr std::uint8_t kFirstBits = 0xc0;  ///< 00: no QUIC. RFC 9443.
constexpr std::uint8_t kLongHeader = 0x80;
constexpr std::uint8_t kFixedBit = 0x40;

/// A batch may be 2 MB: a sender that heard of it only at its end would have to wait meanwhile.
constexpr std::size_t kDatagramsPerAnswer = 32;

std::uint64_t random_key(Env& env) {
  std::array<std::uint8_t, 8> bytes;
  env.random(bytes);
  std::uint64_t key = 0;
  std::memcpy(&key, bytes.data(), bytes.size());
  return key;
}

bool is_power_of_two(std::uint32_t number) {
  return (number & (number - 1)) == 0;
}

}  // namespace

Port::Port(Shared& shared, std::unique_ptr<UdpSocket> socket, bool is_for_one_dial)
    : shared_(shared),
      socket_(std::move(socket)),
      local_(socket_->local()),
      reset_key_(shared.secrets.reset_key(local_)),
      is_for_one_dial_(is_for_one_dial),
      sessions_by_id_(0, ConnectionId::Hash{random_key(shared.env)}),
      sessions_by_token_(0, ConnectionId::Hash{random_key(shared.env)}),
      closed_by_id_(0, ConnectionId::Hash{random_key(shared.env)}),
      accepted_(shared.env.executor()),
      work_(shared.env.executor()),
      tasks_(shared.env) {}

Port::~Port() {
  bury_dead();
  assert(session_count_ == 0);
}

Task<> Port::serve() {
  tasks_.spawn(write_all());
  const auto end = co_await receive_all();
  close();
  PYRSIA_CO_TRY(co_await tasks_.join());
  bury_dead();
  co_return end;
}

void Port::close() {
  if (std::exchange(is_closed_, true)) return;
  is_listening_ = false;
  for (auto* session : sessions()) session->on_port_closed();
  std::exchange(ready_, {}).clear();
  closed_by_id_.clear();
  closed_.clear();
  socket_->close();
  accepted_.notify();
  work_.notify();
}

std::set<Session*> Port::sessions() const {
  std::set<Session*> all;
  for (const auto& [id, session] : sessions_by_id_) all.insert(session);
  return all;
}

void Port::on_network_change(std::span<const InterfaceAddress> interfaces) {
  for (auto* session : sessions()) session->on_network_change(interfaces);
}

void Port::stop_listening() {
  is_listening_ = false;
  accepted_.notify();
  // Those on the way have nobody to come to.
  while (!half_open_.empty()) half_open_.begin()->first->close(mux::GoAway::normal);
  std::exchange(ready_, {}).clear();
  if (session_count_ == 0) close();
}

Task<std::unique_ptr<Session>> Port::accept() {
  for (;;) {
    if (!is_listening_) co_return Errc::closed;
    while (!ready_.empty()) {
      auto session = std::move(ready_.front());
      ready_.pop_front();
      if (!session->has_ended()) co_return session;
    }
    PYRSIA_CO_TRY(co_await accepted_.wait());
  }
}

void Port::remove_session() {
  --session_count_;
  if (session_count_ == 0 && !is_listening_) close();
}

void Port::bury_dead() {
  // Out of our hands first: the last session to go may close the port.
  std::exchange(dead_, {}).clear();
}

void Port::add_id(const ConnectionId& id, Session& session) {
  sessions_by_id_.emplace(id, &session);
}

ngtcp2_cid Port::random_id(std::size_t bytes) {
  ngtcp2_cid cid{};
  cid.datalen = bytes;
  do {
    shared_.env.random({cid.data, bytes});
  } while (sessions_by_id_.contains(ConnectionId(cid)));
  return cid;
}

void Port::enqueue(Session& session) {
  if (session.is_linked()) return;
  if (writers_.empty()) work_.notify();
  writers_.push_back(session);
}

std::span<std::uint8_t> Port::send_space() {
  if (!space_) space_ = std::make_unique_for_overwrite<std::uint8_t[]>(kSpaceBytes);
  return {space_.get(), kSpaceBytes};
}

Result<> Port::send(const OutgoingDatagram& datagram) {
  if (!may_send()) return Errc::closed;
  PYRSIA_TRY(const auto sent, socket_->send_batch({&datagram, 1}));
  if (sent > 0) return ok;
  held_bytes_.assign(datagram.bytes.begin(), datagram.bytes.end());
  held_ = datagram;
  held_.bytes = held_bytes_;
  work_.notify();
  return ok;
}

Result<std::size_t> Port::send_besides(std::span<const OutgoingDatagram> datagrams) {
  if (is_closed_) return Errc::closed;
  return socket_->send_batch(datagrams);
}

void Port::forget(Session& session) {
  for (const auto& id : session.ids()) remove_id(id);
  for (const auto& token : session.reset_tokens()) remove_reset_token(token);
  session.unlink();
  take_from_half_open(session);
  if (!dead_.empty()) work_.notify();
}

void Port::take_from_half_open(Session& session) {
  const auto found = half_open_.find(&session);
  if (found == half_open_.end()) return;
  auto& owned = session.has_ended() ? dead_.emplace_back() : ready_.emplace_back();
  owned = std::move(found->second);
  half_open_.erase(found);
  half_open_by_ip_.remove(session.first_ip());
}

Task<> Port::receive_all() {
  for (;;) {
    const auto batch = co_await socket_->receive_batch();
    if (!batch) {
      const auto error = batch.error();
      if (error == Errc::closed || error == Errc::cancelled) co_return error;
      PYRSIA_CO_TRY(co_await shared_.env.sleep_for(kPauseAfterError));
      continue;
    }
    expire_closed();
    std::size_t count = 0;
    for (const auto& datagram : *batch) {
      dispatch(datagram);
      if (++count % kDatagramsPerAnswer == 0) end_batch();
    }
    bury_dead();
    if (is_closed_) co_return Errc::closed;
    end_batch();
  }
}

Task<> Port::write_all() {
  while (!is_closed_) {
    PYRSIA_CO_TRY(co_await work_.wait());
    while (!held_bytes_.empty() && !is_closed_) {
      PYRSIA_CO_TRY(co_await socket_->wait_writable());
      const auto sent = socket_->send_batch({&held_, 1});
      if (!sent || *sent > 0) held_bytes_.clear();
    }
    flush();
    bury_dead();
  }
  co_return ok;
}

void Port::flush() {
  decltype(writers_) turn;
  turn.swap(writers_);
  while (!turn.empty() && may_send()) {
    auto& session = turn.front();
    turn.pop_front();
    if (session.flush()) enqueue(session);
  }
  // The socket is full: they go first when it is not.
  writers_.splice(writers_.begin(), turn);
  if (!writers_.empty() && may_send()) work_.notify();
}

void Port::dispatch(const ReceivedDatagram& datagram) {
  const auto bytes = datagram.bytes;
  ngtcp2_version_cid packet;
  const int result =
      bytes.empty() || (bytes[0] & kFirstBits) == 0
          ? NGTCP2_ERR_INVALID_ARGUMENT
          : ngtcp2_pkt_decode_version_cid(&packet, bytes.data(), bytes.size(), kConnectionIdBytes);
  StatelessPacket made;
  if (result == NGTCP2_ERR_VERSION_NEGOTIATION && is_listening_) {
    const auto reply = make_version_negotiation(shared_.env, packet, made);
    if (!reply.empty()) shared_.metrics.version_negotiations.add();
    return answer(datagram, reply);
  }
  if (result != 0) {
    give_to_others(datagram);
    return;
  }
  const ConnectionId id(BytesView(packet.dcid, packet.dcidlen));
  if (const auto found = sessions_by_id_.find(id); found != sessions_by_id_.end()) {
    return receive(*found->second, datagram);
  }
  if (answer_if_closed(id, datagram)) return;
  if ((bytes[0] & kLongHeader) != 0) return begin(datagram);
  if (is_reset_of_peer(datagram)) return;
  if (give_to_others(datagram) || (bytes[0] & kFixedBit) == 0) return;
  const auto reset = make_reset(shared_.env, reset_key_, id.bytes(), bytes.size(), made);
  if (!reset.empty()) shared_.metrics.resets.add();
  answer(datagram, reset);
}

void Port::receive(Session& session, const ReceivedDatagram& datagram) {
  session.receive(datagram);
  settle(session);
}

bool Port::is_reset_of_peer(const ReceivedDatagram& datagram) {
  const auto bytes = datagram.bytes;
  if (sessions_by_token_.empty() || bytes.size() < kMinResetBytes) return false;
  const auto found =
      sessions_by_token_.find(ResetToken(bytes.last(NGTCP2_STATELESS_RESET_TOKENLEN)));
  if (found == sessions_by_token_.end()) return false;
  receive(*found->second, datagram);
  return true;
}

void Port::settle(Session& session) {
  if (session.is_server() && session.is_established() && half_open_.contains(&session)) {
    if (ready_.size() >= shared_.config.max_ready || !is_listening_) {
      shared_.metrics.refused.add();
      return session.close(mux::GoAway::internal_error);
    }
    take_from_half_open(session);
    accepted_.notify();
  }
  session.deliver();
}

void Port::begin(const ReceivedDatagram& datagram) {
  Opening opening;
  const bool is_initial = is_listening_ && ngtcp2_accept(&opening.header, datagram.bytes.data(),
                                                         datagram.bytes.size()) == 0;
  if (!is_initial) {
    give_to_others(datagram);
    return;
  }
  if (!admits(datagram, opening)) return;
  auto session = Session::accept(*this, datagram, opening);
  if (!session) return;
  auto& kept = *session;
  half_open_.emplace(&kept, std::move(session));
  half_open_by_ip_.add(datagram.from.ip);
  receive(kept, datagram);
}

bool Port::admits(const ReceivedDatagram& datagram, Opening& opening) {
  const auto& header = opening.header;
  StatelessPacket made;
  opening.original_id = header.dcid;
  if (is_retry_token(header)) {
    const auto original = read_retry_token(shared_.env, shared_.secrets, header, datagram.from);
    if (!original) {
      answer(datagram, make_refusal(header, kInvalidToken, made));
      return false;
    }
    opening.original_id = *original;
    opening.proof = Proof::retry_token;
  } else if (has_address_token(shared_.env, shared_.secrets, header, datagram.from)) {
    shared_.metrics.known_addresses.add();
    opening.proof = Proof::address_token;
  }
  if (half_open_.size() >= shared_.config.max_half_open) {
    shared_.metrics.refused.add();
    answer(datagram, make_refusal(header, kConnectionRefused, made));
    return false;
  }
  if (opening.proof == Proof::none && must_prove(datagram.from.ip)) {
    shared_.metrics.retries.add();
    const auto new_id = random_id(kConnectionIdBytes);
    answer(datagram, make_retry(shared_.env, shared_.secrets, header, datagram.from, new_id, made));
    return false;
  }
  return true;
}

bool Port::must_prove(const IpAddress& ip) const {
  if (half_open_.size() >= shared_.config.retry_above_half_open) return true;
  return half_open_by_ip_.of(ip) >= shared_.config.retry_above_half_open_of_one_ip;
}

bool Port::give_to_others(const ReceivedDatagram& datagram) {
  if (shared_.other_sink && shared_.other_sink->on_datagram(local_, datagram)) {
    has_given_to_others_ = true;
    return true;
  }
  shared_.metrics.unknown_datagrams.add();
  return false;
}

void Port::end_batch() {
  // Before the sessions, who may fill the socket.
  if (std::exchange(has_given_to_others_, false) && shared_.other_sink)
    shared_.other_sink->on_batch_end(local_);
  flush();
}

void Port::answer(const ReceivedDatagram& to, BytesView packet) {
  if (packet.empty()) return;
  if (!stateless_.allows(shared_.env.now(), shared_.config.max_stateless_per_second)) {
    shared_.metrics.stateless_limited.add();
    return;
  }
  OutgoingDatagram datagram;
  datagram.to = to.from;
  if (local_.ip.is_unspecified()) datagram.from = to.to;
  datagram.bytes = packet;
  send_or_lose(datagram);
}

void Port::send_or_lose(const OutgoingDatagram& datagram) {
  [[maybe_unused]] const auto sent = send(datagram);
}

void Port::keep_closed(const Session& session, const OutgoingDatagram& farewell) {
  if (is_closed_) return;
  if (closed_.size() >= kMaxClosed) drop_closed(closed_.begin());
  auto& closed = closed_.emplace_back();
  closed.until = shared_.env.now() + kClosedTime;
  closed.packet.assign(farewell.bytes.begin(), farewell.bytes.end());
  closed.farewell = farewell;
  closed.farewell.bytes = closed.packet;
  closed.address_budget = session.address_budget();
  closed.ids = session.ids();
  for (const auto& id : closed.ids) closed_by_id_.insert_or_assign(id, std::prev(closed_.end()));
  // May be lost: whoever sends on is told again.
  say_farewell(closed);
}

void Port::say_farewell(Closed& closed) {
  if (closed.packet.empty()) return;
  if (closed.address_budget) {
    if (closed.address_budget->room() < closed.packet.size()) return;
    closed.address_budget->sent(closed.packet.size());
  }
  send_or_lose(closed.farewell);
}

bool Port::answer_if_closed(const ConnectionId& id, const ReceivedDatagram& datagram) {
  const auto found = closed_by_id_.find(id);
  if (found == closed_by_id_.end()) return false;
  auto& closed = *found->second;
  ++closed.heard_count;
  if (closed.address_budget && datagram.from == closed.farewell.to)
    closed.address_budget->received(datagram.bytes.size());
  // Ever more seldom: RFC 9000, 10.2.1.
  if (is_power_of_two(closed.heard_count)) say_farewell(closed);
  return true;
}

void Port::expire_closed() {
  const auto now = shared_.env.now();
  while (!closed_.empty() && closed_.front().until <= now) drop_closed(closed_.begin());
}

void Port::drop_closed(std::list<Closed>::iterator closed) {
  for (const auto& id : closed->ids) {
    const auto found = closed_by_id_.find(id);
    if (found != closed_by_id_.end() && found->second == closed) closed_by_id_.erase(found);
  }
  closed_.erase(closed);
}

}  // namespace pyrsia::transport::quic
