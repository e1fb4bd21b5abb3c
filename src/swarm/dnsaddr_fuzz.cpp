#include "swarm/dnsaddr.hpp"

#include <cassert>

/// Whatever a TXT record holds, what comes out is an address of the peer asked for.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  static const auto peer = *PeerId::parse("12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A");
  static const auto tail = Multiaddr::parse("/p2p/" + peer.to_string());
  const auto record = as_text({data, size});
  for (const auto asked : {BytesView(), tail->bytes()}) {
    const auto address = swarm::read_dnsaddr(record, asked, peer);
    if (!address) continue;
    assert(!address->without_peer().empty());
    assert(!address->peer_id() || *address->peer_id() == peer);
    assert(swarm::read_dnsaddr("dnsaddr=" + address->to_string(), asked, peer) == address);
  }
  return 0;
}
