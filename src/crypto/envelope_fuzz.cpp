#include "crypto/envelope.hpp"
#include "crypto/wire.hpp"

#include <algorithm>
#include <cstdlib>

// Any input as key, envelope and record: nothing crashes, and what is accepted means the same
// after a round trip. Signatures are never right here, so the record is decoded apart as well.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  const BytesView input(data, size);
  if (const auto key = PublicKey::from_protobuf(input)) {
    const auto again = key->to_protobuf();
    if (!std::equal(again.begin(), again.end(), input.begin(), input.end())) std::abort();
    if (PeerId::parse(key->peer_id().to_string()).value() != key->peer_id()) std::abort();
    (void)key->verify(input, input);
  }
  if (const auto pair = KeyPair::from_protobuf(input)) (void)pair->peer_id();
  if (const auto envelope = crypto::decode_envelope(input)) {
    if (crypto::decode_envelope(crypto::encode(*envelope)).value() != *envelope) std::abort();
  }
  if (const auto record = crypto::decode_peer_record(input)) {
    const auto again = crypto::decode_peer_record(crypto::encode(*record));
    if (again && *again != *record) std::abort();  // Its encoding may be over the limit.
  }
  (void)crypto::open_peer_record(input);
  return 0;
}
