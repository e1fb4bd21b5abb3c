#include "swarm/dnsaddr.hpp"

#include <cassert>

/// Whatever a TXT record holds, what comes out is an address without a peer at its end.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  static const auto peer = *PeerId::parse("12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A");
  static const auto tail = Multiaddr::parse("/p2p/" + peer.to_string());
  const auto record = as_text({data, size});
  for (const auto asked : {BytesView(), tail->bytes()}) {
    const auto address = swarm::read_dnsaddr(record, asked, peer);
    if (!address) continue;
    assert(!address->empty() && !address->peer_id());
    const auto again = "dnsaddr=" + address->to_string() + "/p2p/" + peer.to_string();
    assert(swarm::read_dnsaddr(again, tail->bytes(), peer) == address);
  }
  return 0;
}
