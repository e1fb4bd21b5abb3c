/// STUN messages: reading. Spec: RFC 8489, 5 and 14; RFC 5780, 7 (NAT behaviour discovery);
/// RFC 3489, 11 for what old clients send and expect.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <array>
#include <cstdint>
#include <optional>

namespace pyrsia::stun {

inline constexpr std::size_t kHeaderBytes = 20;
inline constexpr std::uint32_t kMagicCookie = 0x2112a442;
/// Of a message that we read or write. Our limit: a PADDING that must be cut into fragments on any
/// path of 1500 bytes fits, and a receive buffer stays small.
inline constexpr std::size_t kMaxMessageBytes = 2048;

enum class MessageClass : std::uint8_t { request = 0, indication = 1, success = 2, error = 3 };

/// Any 12-bit number may arrive.
enum class Method : std::uint16_t {
  binding = 0x001,
  /// Ours, for members that lend each other an address: see lend.hpp.
  lend = 0xf1d,
};

/// Any number may arrive. Below 0x8000 who does not know it must refuse the message.
enum class AttributeType : std::uint16_t {
  mapped_address = 0x0001,
  response_address = 0x0002,  ///< RFC 3489
  change_request = 0x0003,    ///< RFC 5780
  source_address = 0x0004,    ///< RFC 3489
  changed_address = 0x0005,   ///< RFC 3489
  username = 0x0006,
  message_integrity = 0x0008,
  error_code = 0x0009,
  unknown_attributes = 0x000a,
  realm = 0x0014,
  nonce = 0x0015,
  message_integrity_sha256 = 0x001c,
  password_algorithm = 0x001d,
  userhash = 0x001e,
  xor_mapped_address = 0x0020,
  padding = 0x0026,        ///< RFC 5780
  response_port = 0x0027,  ///< RFC 5780
  password_algorithms = 0x8002,
  alternate_domain = 0x8003,
  software = 0x8022,
  alternate_server = 0x8023,
  cache_timeout = 0x8027,  ///< RFC 5780
  fingerprint = 0x8028,
  response_origin = 0x802b,  ///< RFC 5780
  other_address = 0x802c,    ///< RFC 5780
  // Ours, in messages of Method::lend only.
  lend_expiry = 0xf001,
  lend_transaction = 0xf002,
  lend_signature = 0xf003,
};

constexpr bool must_be_understood(AttributeType type) {
  return static_cast<std::uint16_t>(type) < 0x8000;
}

using TransactionId = std::array<std::uint8_t, 12>;

struct Header {
  MessageClass message_class = MessageClass::request;
  Method method = Method::binding;
  /// Of RFC 3489 these four bytes are part of the transaction id.
  std::uint32_t cookie = kMagicCookie;
  TransactionId transaction{};

  /// The sender follows RFC 3489: no XOR-MAPPED-ADDRESS, no FINGERPRINT.
  bool is_legacy() const { return cookie != kMagicCookie; }
  bool operator==(const Header&) const = default;
};

struct Attribute {
  AttributeType type{};
  BytesView value;  ///< Without padding. Points into the message.
};

/// True if a datagram begins like a STUN message of today and is as long as it says: what the
/// others that share a port with us never look like. Spec: RFC 7983, RFC 8489, 6.3.
bool looks_like_stun(BytesView datagram);

/// The size of the whole message that begins with `header`. Errors: `Errc::malformed` (not STUN),
/// `Errc::too_large`. For streams. Spec: RFC 8489, 6.2.2.
Result<std::size_t> message_size(std::span<const std::uint8_t, kHeaderBytes> header);

/// A message that was checked as a whole: its attributes fit, and where it has a FINGERPRINT that
/// is right and the last of them. A view: the bytes must outlive it.
class Message {
 public:
  /// Walks over the attributes that count: after MESSAGE-INTEGRITY only
  /// MESSAGE-INTEGRITY-SHA256 and FINGERPRINT, after that one only FINGERPRINT.
  /// Spec: RFC 8489, 14.5 and 14.6.
  class Walk {
   public:
    explicit Walk(BytesView body) : rest_(body) {}
    /// False at the end.
    bool next(Attribute& attribute);
    /// Where the attribute that next() returned last begins in the body.
    std::size_t offset() const { return offset_; }

   private:
    BytesView rest_;
    std::size_t offset_ = 0;
    std::size_t next_offset_ = 0;
    bool saw_integrity_ = false;
    bool saw_sha256_ = false;
  };

  /// Errors: `Errc::malformed`, `Errc::too_large`, `Errc::bad_signature` (FINGERPRINT).
  static Result<Message> parse(BytesView bytes);

  const Header& header() const { return header_; }
  BytesView bytes() const { return bytes_; }
  BytesView body() const { return bytes_.subspan(kHeaderBytes); }
  Walk attributes() const { return Walk(body()); }
  /// The first of that type; the others are ignored. Spec: RFC 8489, 14.
  std::optional<BytesView> find(AttributeType type) const;
  bool has(AttributeType type) const { return find(type).has_value(); }
  bool has_fingerprint() const { return has(AttributeType::fingerprint); }

 private:
  Message(const Header& header, BytesView bytes) : header_(header), bytes_(bytes) {}

  Header header_;
  BytesView bytes_;
};

/// What FINGERPRINT holds for the `bytes` before it. Their length field counts it already.
std::uint32_t fingerprint_of(BytesView bytes);

}  // namespace pyrsia::stun
