#include <pyrsia/ip.hpp>
#include <pyrsia/peer_id.hpp>

#include <cstdlib>

// Any input: what is accepted, as bytes or as text, survives a round trip through both texts.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  const BytesView input(data, size);
  for (const auto& id : {PeerId::from_bytes(input), PeerId::parse(as_text(input))}) {
    if (!id) continue;
    if (PeerId::parse(id->to_cid_string()).value() != *id) std::abort();
    const auto text = id->to_string();
    const bool is_bare = text.starts_with("Qm") || text.starts_with("1");
    if (!is_bare || PeerId::parse(text).value() != *id) std::abort();
  }
  if (const auto ip = IpAddress::parse(as_text(input))) {
    if (IpAddress::parse(ip->to_string()).value() != *ip) std::abort();
  }
  return 0;
}
