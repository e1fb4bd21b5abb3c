#include "base/base58.hpp"
#include "base/multibase.hpp"

#include <pyrsia/peer_id.hpp>

namespace pyrsia {
namespace {

constexpr std::uint8_t kIdentity = 0x00;  // multihash codes
constexpr std::uint8_t kSha256 = 0x12;
constexpr std::size_t kMaxIdentityBytes = 42;
constexpr std::uint8_t kCidVersion = 0x01;
constexpr std::uint8_t kLibp2pKey = 0x72;  // multicodec of the content of a CID

}  // namespace

Result<PeerId> PeerId::from_bytes(BytesView multihash) {
  if (multihash.size() < 3 || multihash[1] != multihash.size() - 2) return Errc::malformed;
  const bool is_identity = multihash[0] == kIdentity && multihash[1] <= kMaxIdentityBytes;
  const bool is_sha256 = multihash[0] == kSha256 && multihash[1] == 32;
  if (!is_identity && !is_sha256) return Errc::malformed;
  return PeerId(std::string(as_text(multihash)));
}

Result<PeerId> PeerId::parse(std::string_view text) {
  const bool is_bare = text.starts_with("Qm") || text.starts_with("1");
  const auto bytes = is_bare ? from_base58(text) : from_multibase(text);
  if (!bytes) return Errc::malformed;
  if (is_bare) return from_bytes(*bytes);
  if (bytes->size() < 2 || (*bytes)[0] != kCidVersion || (*bytes)[1] != kLibp2pKey) {
    return Errc::malformed;
  }
  return from_bytes(BytesView(*bytes).subspan(2));
}

std::string PeerId::to_string() const {
  return to_base58(bytes());
}

std::string PeerId::to_cid_string() const {
  Bytes cid{kCidVersion, kLibp2pKey};
  cid.insert(cid.end(), bytes_.begin(), bytes_.end());
  return "b" + to_base32(cid);
}

}  // namespace pyrsia
