#include "protocols/autonat_v2/dialer.hpp"

#include "protocols/autonat_v2/exchange.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::autonat_v2 {
namespace {

/// Our addresses may be so old: asking the kernel costs as much as a handshake.
constexpr Duration kLookAgainAfter = std::chrono::seconds(1);

/// A dial that failed for a reason of ours, and so says nothing about the address.
bool is_our_fault(Error error) {
  for (const auto code :
       {Errc::cancelled, Errc::limit_reached, Errc::unavailable, Errc::network_failed,
        Errc::invalid_argument, Errc::address_in_use, Errc::permission_denied})
    if (error == code) return true;
  return false;
}

}  // namespace

Dialer::Attempt::Attempt(Dialer& dialer) : dialer_(dialer) {
  ++dialer_.running_count_;
}

Dialer::Attempt::~Attempt() {
  --dialer_.running_count_;
  if (connection_) dialer_.swarm_.close_connection(*connection_);
}

bool Dialer::is_willing_to_dial(const Multiaddr& address, const PeerId& client) const {
  const auto named = address.peer_id();
  if (named && *named != client) return false;
  const auto bare = address.without_peer();
  const auto ip = bare.ip();  // A name can mean anything, and another thing to us than to others.
  if (!ip || bare.is_relayed() || bare.port().value_or(0) == 0) return false;
  if (!swarm_.classifier().is_usable_by_others(bare) || !swarm_.can_dial(bare)) return false;
  if (!has_family_of(*ip)) return false;
  const auto own = swarm_.listen_addresses();
  return std::ranges::find(own, bare) == own.end();
}

bool Dialer::is_on_this_machine(const Multiaddr& address) const {
  const auto ip = address.ip();
  return ip && std::ranges::any_of(interfaces(), [&](const InterfaceAddress& each) {
           return each.ip.unmapped() == ip->unmapped();
         });
}

bool Dialer::has_family_of(const IpAddress& target) const {
  // A NAT makes the IPv4 internet of a private address; IPv6 needs one of the target's own class.
  auto wanted = swarm_.classifier().classify(target);
  if (target.is_v4()) wanted = std::min(wanted, AddressClass::private_use);
  return std::ranges::any_of(interfaces(), [&](const auto& each) {
    return each.ip.is_v6() == target.is_v6() && swarm_.classifier().classify(each.ip) >= wanted;
  });
}

const std::vector<InterfaceAddress>& Dialer::interfaces() const {
  const auto now = swarm_.env().now();
  if (looked_at_ == TimePoint::min() || now - looked_at_ >= kLookAgainAfter) {
    interfaces_ = swarm_.env().interface_addresses();
    looked_at_ = now;
  }
  return interfaces_;
}

Task<DialStatus> Dialer::dial_back(PeerId client, Multiaddr address, std::uint64_t nonce,
                                   Duration round_trip) {
  auto reaching = reach(std::move(client), std::move(address), round_trip, Duration(0));
  PYRSIA_CO_TRY(const auto attempt, co_await std::move(reaching));
  if (!attempt->has_reached()) co_return DialStatus::dial_error;
  co_return co_await deliver(*attempt, nonce);
}

Task<std::unique_ptr<Dialer::Attempt>> Dialer::reach(PeerId client, Multiaddr address,
                                                     Duration round_trip, Duration waited) {
  if (running_count_ >= config_.max_dials) co_return Errc::limit_reached;
  auto attempt = std::make_unique<Attempt>(*this);
  swarm::DialRequest request{.peer = std::move(client), .addresses = {address.without_peer()}};
  request.is_only_these = true;
  request.is_new_connection = true;
  request.use_new_port = true;  // Else we would come through the hole of the client's own traffic.
  // The way to where a packet is dropped is as long as the way to the client, about.
  const auto way = std::clamp(round_trip, Duration(0), config_.max_round_trip);
  request.repeat_after = config_.repeat_after + way;
  request.max_repeats = config_.max_repeats;
  request.reach_timeout =
      std::max(config_.reach_timeout + 3 * way - waited, request.repeat_after + way);
  auto dial = swarm_.connect(std::move(request));
  const auto connection =
      co_await with_timeout(swarm_.env(), config_.dial_timeout, std::move(dial));
  if (!connection && is_our_fault(connection.error())) co_return connection.error();
  if (connection) attempt->connection_ = connection->id;
  co_return attempt;
}

Task<DialStatus> Dialer::deliver(const Attempt& attempt, std::uint64_t nonce) {
  auto handing = hand_over(*attempt.connection_, nonce);
  const auto handed =
      co_await with_timeout(swarm_.env(), config_.stream_timeout, std::move(handing));
  if (!handed && handed.error() == Errc::cancelled) co_return handed.error();
  // go resets the stream right after its answer, which over QUIC takes the answer with it. We have
  // handed the nonce over; a client that does not know it takes our word for nothing.
  const bool is_done = handed || handed.error() == Errc::reset;
  co_return is_done ? DialStatus::ok : DialStatus::dial_back_error;
}

Task<> Dialer::hand_over(swarm::ConnectionId connection, std::uint64_t nonce) {
  const std::string protocol(kDialBackProtocol);
  PYRSIA_CO_TRY(const auto stream, co_await swarm_.open_stream_on(connection, protocol));
  co_return co_await send_nonce(*stream, nonce);
}

}  // namespace pyrsia::autonat_v2
