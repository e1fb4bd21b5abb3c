#include "nat/stun/lend.hpp"

#include "nat/stun/builder.hpp"
#include "nat/stun/numbers.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::stun {
namespace {

constexpr std::string_view kDomain = "pyrsia-stun-lend:";
constexpr std::uint8_t kIdentityHash = 0;
/// Cookie, transaction id, source port, flags, one byte of reserve.
constexpr std::size_t kTransactionBytes = 4 + 12 + 2 + 2;
constexpr std::uint16_t kFingerprintFlag = 1;

/// What is signed: all that stands before the signature, and what it is for. The length field is
/// left out, as it grows.
Bytes signed_bytes(BytesView before) {
  Bytes text(kDomain.begin(), kDomain.end());
  text.insert(text.end(), before.begin(), before.begin() + 2);
  text.insert(text.end(), before.begin() + 4, before.end());
  return text;
}

std::uint64_t milliseconds_of(WallTime time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

}  // namespace

bool is_reachable(const AddressClassifier& classifier, const IpAddress& member,
                  const IpAddress& client) {
  return member.is_v6() == client.is_v6() &&
         classifier.classify(member) == classifier.classify(client);
}

Result<BytesView> encode_lend(const LendMessage& message, const KeyPair& key,
                              std::span<std::uint8_t> out) {
  Header header;
  header.message_class = MessageClass::indication;
  header.method = Method::lend;
  header.transaction = message.nonce;
  Builder builder(out, header);
  const auto& lend = message.lend;
  builder.add_address(AttributeType::mapped_address, lend.client);
  std::array<std::uint8_t, kTransactionBytes> transaction{};
  write_u32(transaction.data(), lend.cookie);
  std::ranges::copy(lend.transaction, transaction.begin() + 4);
  write_u16(&transaction[16], lend.source_port);
  write_u16(&transaction[18], lend.has_fingerprint ? kFingerprintFlag : 0);
  builder.add(AttributeType::lend_transaction, transaction);
  std::array<std::uint8_t, 8> expiry{};
  const auto milliseconds = milliseconds_of(message.expires_at);
  write_u32(expiry.data(), static_cast<std::uint32_t>(milliseconds >> 32));
  write_u32(&expiry[4], static_cast<std::uint32_t>(milliseconds));
  builder.add(AttributeType::lend_expiry, expiry);
  builder.add(AttributeType::username, message.from.bytes());
  builder.add(AttributeType::realm, message.to.bytes());
  builder.add(AttributeType::lend_signature, key.sign(signed_bytes(builder.bytes())));
  return builder.finish();
}

Result<LendMessage> decode_lend(const Message& message) {
  const auto& header = message.header();
  if (header.method != Method::lend || header.message_class != MessageClass::indication)
    return Errc::not_supported;
  const auto client = message.find(AttributeType::mapped_address);
  const auto transaction = message.find(AttributeType::lend_transaction);
  const auto expiry = message.find(AttributeType::lend_expiry);
  const auto from = message.find(AttributeType::username);
  const auto to = message.find(AttributeType::realm);
  if (!client || !transaction || transaction->size() != kTransactionBytes || !expiry ||
      expiry->size() != 8 || !from || !to) {
    return Errc::malformed;
  }
  Lend lend;
  PYRSIA_TRY(lend.client, decode_address(*client));
  if (lend.client.port == 0) return Errc::malformed;
  lend.cookie = read_u32(transaction->data());
  std::copy_n(transaction->begin() + 4, lend.transaction.size(), lend.transaction.begin());
  lend.source_port = read_u16(&(*transaction)[16]);
  lend.has_fingerprint = (read_u16(&(*transaction)[18]) & kFingerprintFlag) != 0;
  PYRSIA_TRY(auto asker, PeerId::from_bytes(*from));
  PYRSIA_TRY(auto asked, PeerId::from_bytes(*to));
  const auto milliseconds = std::uint64_t(read_u32(expiry->data())) << 32 | read_u32(&(*expiry)[4]);
  // No calendar goes further, and the duration in nanoseconds must not overflow.
  if (milliseconds > 9'000'000'000'000U) return Errc::malformed;
  const WallTime expires_at{std::chrono::milliseconds(milliseconds)};
  return LendMessage{lend, std::move(asker), std::move(asked), expires_at, header.transaction};
}

Result<> check_lend_signature(const Message& message, const PeerId& from) {
  const auto id = from.bytes();
  if (id.size() < 2 || id[0] != kIdentityHash) return Errc::not_supported;
  const auto key = PublicKey::from_protobuf(id.subspan(2));
  if (!key) return Errc::not_supported;
  auto walk = message.attributes();
  for (Attribute attribute; walk.next(attribute);) {
    if (attribute.type != AttributeType::lend_signature) continue;
    const auto before = message.bytes().first(kHeaderBytes + walk.offset());
    if (key->verify(signed_bytes(before), attribute.value)) return ok;
    return Errc::bad_signature;
  }
  return Errc::bad_signature;
}

}  // namespace pyrsia::stun
