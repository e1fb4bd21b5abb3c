#include "multi/address_class.hpp"

#include <pyrsia/multiaddr.hpp>

#include <cstdlib>

// Any bytes: what is accepted survives a round trip through text, and no accessor crashes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  const auto address = Multiaddr::from_bytes({data, size});
  if (!address) return 0;
  const auto again = Multiaddr::parse(address->to_string());
  if (!again || *again != *address) std::abort();
  if (address->components().empty()) std::abort();
  if (address->ip() || address->dns_name()) {
    const auto moved = address->with_ip(IpAddress::v4_loopback());
    if (moved.ip() != IpAddress::v4_loopback()) std::abort();
    // The limit is for what comes from outside: an IP may be longer than the name it replaces.
    const bool is_short = moved.bytes().size() <= Multiaddr::kMaxBytes;
    if (is_short && !Multiaddr::from_bytes(moved.bytes())) std::abort();
  }
  if (address->endpoint() && !address->port()) std::abort();
  if (address->port() && address->with_port(7).port() != 7) std::abort();
  if (const auto peer = address->peer_id()) {
    if (address->without_peer().with_peer(*peer).peer_id() != peer) std::abort();
  }
  (void)address->is_plain_tcp();
  (void)AddressClassifier().classify(*address);
  return 0;
}
