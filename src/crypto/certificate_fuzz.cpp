#include "crypto/certificate.hpp"

#include <cstdlib>

// Any input as a certificate: nothing crashes, who is refused is told why, and what is accepted has
// a key that can be written and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  const WallTime now(std::chrono::seconds(1'800'000'000));
  crypto::CertificateFault fault;
  const auto key = crypto::verify_certificate(BytesView(data, size), now, fault);
  if (key.has_value() != fault.empty()) std::abort();
  if (key && PublicKey::from_protobuf(key->to_protobuf()).value() != *key) std::abort();
  return 0;
}
