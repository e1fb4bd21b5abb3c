#include "crypto/certificate.hpp"

#include "crypto/certificate_signature.hpp"
#include "crypto/der.hpp"
#include "crypto/evp_key.hpp"
#include "crypto/secret.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace pyrsia::crypto {
namespace {

constexpr std::string_view kSignaturePrefix = "libp2p-tls-handshake:";
/// 1.3.6.1.4.1.53594.1.1
constexpr std::array<std::uint8_t, 10> kExtensionOid = {0x2b, 0x06, 0x01, 0x04, 0x01,
                                                        0x83, 0xa2, 0x5a, 0x01, 0x01};
constexpr std::array<std::uint8_t, 3> kOrganizationOid = {0x55, 0x04, 0x0a};
constexpr std::array<std::uint8_t, 1> kVersion3 = {2};
constexpr std::uint8_t kIssuerUniqueId = 0x81;
constexpr std::uint8_t kSubjectUniqueId = 0x82;
constexpr std::size_t kSerialBytes = 8;

using Seconds = std::chrono::sys_seconds;  // 4096 is beyond what WallTime can hold.

Bytes signed_bytes(BytesView key_info) {
  const auto prefix = as_bytes(kSignaturePrefix);
  Bytes bytes(prefix.begin(), prefix.end());
  bytes.insert(bytes.end(), key_info.begin(), key_info.end());
  return bytes;
}

/// The text of a fault beside its code.
Errc refuse(CertificateFault& fault, CertificateFault text, Errc code) {
  fault = text;
  return code;
}

/// `count` decimal digits; nothing if one of them is none.
std::optional<int> number(BytesView digits) {
  int value = 0;
  for (const auto digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    value = value * 10 + (digit - '0');
  }
  return value;
}

/// UTCTime as YYMMDDhhmmssZ, GeneralizedTime as YYYYMMDDhhmmssZ (RFC 5280, 4.1.2.5).
Result<Seconds> read_time(der::Reader& reader) {
  PYRSIA_TRY(const auto element, reader.next());
  const bool is_short = element.tag == der::kUtcTime;
  if (!is_short && element.tag != der::kGeneralizedTime) return Errc::malformed;
  const std::size_t year_digits = is_short ? 2 : 4;
  auto text = element.content;
  if (text.size() != year_digits + 11 || text.back() != 'Z') return Errc::malformed;
  auto year = number(text.first(year_digits));
  text = text.subspan(year_digits);
  std::array<int, 5> rest{};  // Month, day, hours, minutes, seconds.
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const auto value = number(text.subspan(2 * i, 2));
    if (!value) return Errc::malformed;
    rest[i] = *value;
  }
  if (!year) return Errc::malformed;
  if (is_short) *year += *year < 50 ? 2000 : 1900;
  const auto month = std::chrono::month(static_cast<unsigned>(rest[0]));
  const auto day = std::chrono::day(static_cast<unsigned>(rest[1]));
  const std::chrono::year_month_day date{std::chrono::year(*year), month, day};
  if (!date.ok() || rest[2] > 23 || rest[3] > 59 || rest[4] > 59) return Errc::malformed;
  return std::chrono::sys_days(date) + std::chrono::hours(rest[2]) + std::chrono::minutes(rest[3]) +
         std::chrono::seconds(rest[4]);
}

/// What of a certificate matters here.
struct Parsed {
  BytesView signed_part;  // TBSCertificate
  BytesView algorithm;
  BytesView signature;
  Seconds not_before;
  Seconds not_after;
  BytesView key_info;    // SubjectPublicKeyInfo
  BytesView extensions;  // A sequence of them.
};

Result<Parsed> parse_signed_part(BytesView content, BytesView outer_algorithm,
                                 CertificateFault& fault) {
  Parsed parsed;
  parsed.algorithm = outer_algorithm;
  der::Reader reader(content);
  PYRSIA_TRY(const auto version, reader.next(der::context(0)));
  if (!std::ranges::equal(version.content, der::element(der::kInteger, {kVersion3}))) {
    return refuse(fault, "not a certificate of version 3", Errc::not_supported);
  }
  PYRSIA_TRY(const auto serial, reader.next(der::kInteger));
  if (serial.content.empty()) return Errc::malformed;
  PYRSIA_TRY(const auto algorithm, reader.next(der::kSequence));
  if (!std::ranges::equal(algorithm.whole, outer_algorithm)) {
    return refuse(fault, "two different signature algorithms", Errc::malformed);
  }
  PYRSIA_TRY(reader.next(der::kSequence));  // Issuer.
  PYRSIA_TRY(const auto validity, reader.next(der::kSequence));
  der::Reader times(validity.content);
  PYRSIA_TRY(parsed.not_before, read_time(times));
  PYRSIA_TRY(parsed.not_after, read_time(times));
  if (!times.is_empty()) return Errc::malformed;
  PYRSIA_TRY(reader.next(der::kSequence));  // Subject.
  PYRSIA_TRY(const auto key_info, reader.next(der::kSequence));
  parsed.key_info = key_info.whole;
  if (reader.next_tag() == kIssuerUniqueId || reader.next_tag() == kSubjectUniqueId) {
    return refuse(fault, "a unique id, which is forbidden", Errc::protocol_violation);
  }
  if (reader.is_empty()) return parsed;
  PYRSIA_TRY(const auto extensions, reader.next(der::context(3)));
  if (!reader.is_empty()) return Errc::malformed;
  der::Reader inside(extensions.content);
  PYRSIA_TRY(const auto list, inside.next(der::kSequence));
  if (!inside.is_empty()) return Errc::malformed;
  parsed.extensions = list.content;
  return parsed;
}

Result<Parsed> parse(BytesView der, CertificateFault& fault) {
  der::Reader outside(der);
  PYRSIA_TRY(const auto certificate, outside.next(der::kSequence));
  if (!outside.is_empty()) return Errc::malformed;
  der::Reader reader(certificate.content);
  PYRSIA_TRY(const auto signed_part, reader.next(der::kSequence));
  PYRSIA_TRY(const auto algorithm, reader.next(der::kSequence));
  PYRSIA_TRY(const auto signature, reader.next(der::kBitString));
  if (!reader.is_empty()) return Errc::malformed;
  if (signature.content.empty() || signature.content[0] != 0) return Errc::malformed;
  PYRSIA_TRY(auto parsed, parse_signed_part(signed_part.content, algorithm.whole, fault));
  parsed.signed_part = signed_part.whole;
  parsed.signature = signature.content.subspan(1);
  return parsed;
}

/// The libp2p extension among all of them.
Result<BytesView> find_extension(BytesView extensions, CertificateFault& fault) {
  std::optional<BytesView> found;
  der::Reader list(extensions);
  while (!list.is_empty()) {
    PYRSIA_TRY(const auto extension, list.next(der::kSequence));
    der::Reader reader(extension.content);
    PYRSIA_TRY(const auto id, reader.next(der::kOid));
    bool is_critical = false;
    if (reader.next_tag() == der::kBoolean) {
      PYRSIA_TRY(const auto critical, reader.next());
      if (critical.content.size() != 1) return Errc::malformed;
      is_critical = critical.content[0] != 0;
    }
    PYRSIA_TRY(const auto value, reader.next(der::kOctetString));
    if (!reader.is_empty()) return Errc::malformed;
    if (std::ranges::equal(id.content, kExtensionOid)) {
      if (found) return refuse(fault, "two libp2p extensions", Errc::protocol_violation);
      found = value.content;
    } else if (is_critical) {
      return refuse(fault, "an unknown critical extension", Errc::protocol_violation);
    }
  }
  if (!found) return refuse(fault, "no libp2p extension", Errc::protocol_violation);
  return *found;
}

/// The host key, if it vouches for the key of the certificate.
Result<PublicKey> check_extension(BytesView extension, BytesView key_info,
                                  CertificateFault& fault) {
  der::Reader outside(extension);
  PYRSIA_TRY(const auto signed_key, outside.next(der::kSequence));
  der::Reader reader(signed_key.content);
  PYRSIA_TRY(const auto message, reader.next(der::kOctetString));
  PYRSIA_TRY(const auto signature, reader.next(der::kOctetString));
  if (!outside.is_empty() || !reader.is_empty()) return Errc::malformed;
  auto host_key = PublicKey::from_protobuf(message.content);
  if (!host_key) {
    fault = "a host key that we cannot use";
    return host_key.error();
  }
  if (!host_key->verify(signed_bytes(key_info), signature.content)) {
    return refuse(fault, "a wrong signature of the host key", Errc::bad_signature);
  }
  return host_key;
}

/// All that can be seen without a signature.
struct Formed {
  Parsed parsed;
  BytesView extension;
};

Result<Formed> check_form(BytesView der, WallTime now, CertificateFault& fault) {
  if (der.size() > kMaxCertificateBytes) {
    return refuse(fault, "too large", Errc::too_large);
  }
  fault = "not a certificate in DER";
  PYRSIA_TRY(const auto parsed, parse(der, fault));
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  if (second < parsed.not_before) {
    return refuse(fault, "not yet valid", Errc::protocol_violation);
  }
  if (second > parsed.not_after) return refuse(fault, "expired", Errc::protocol_violation);
  fault = "extensions that do not parse";
  PYRSIA_TRY(const auto extension, find_extension(parsed.extensions, fault));
  return Formed{parsed, extension};
}

Result<PublicKey> check_signatures(const Formed& formed, CertificateFault& fault) {
  const auto& parsed = formed.parsed;
  fault = "a key or signature scheme that we do not take";
  PYRSIA_TRY(const bool is_self_signed, verify_signature(parsed.key_info, parsed.algorithm,
                                                         parsed.signed_part, parsed.signature));
  if (!is_self_signed) return refuse(fault, "a wrong self-signature", Errc::bad_signature);
  fault = "a libp2p extension that does not parse";
  PYRSIA_TRY(auto host_key, check_extension(formed.extension, parsed.key_info, fault));
  fault = {};
  return host_key;
}

}  // namespace

Certificate::~Certificate() {
  wipe(key_pkcs8);
}

CertificateSigner::CertificateSigner(const Certificate& certificate)
    : key_(evp_from_private_info(certificate.key_pkcs8)) {}

Bytes CertificateSigner::sign(BytesView digest) const {
  return evp_sign_digest(key_.get(), digest);
}

Certificate make_certificate(const KeyPair& host_key) {
  using der::element;
  const auto key = generate_p256_key();
  const auto key_info = evp_public_data(key.get());
  const auto message = host_key.public_key().to_protobuf();
  const auto vouching = host_key.sign(signed_bytes(key_info));
  const auto signed_key = element(der::kSequence, {element(der::kOctetString, {message}),
                                                   element(der::kOctetString, {vouching})});
  const auto extension = element(der::kSequence, {element(der::kOid, {kExtensionOid}),
                                                  element(der::kOctetString, {signed_key})});

  std::array<std::uint8_t, kSerialBytes> serial{};
  fill_random(serial);
  serial[0] = std::uint8_t((serial[0] & 0x3f) | 0x40);  // Positive, and never shorter.
  const auto organization = element(
      der::kSequence,
      {element(der::kOid, {kOrganizationOid}), element(der::kUtf8String, {as_bytes("libp2p")})});
  const auto name = element(der::kSequence, {element(der::kSet, {organization})});
  const auto validity =
      element(der::kSequence, {element(der::kUtcTime, {as_bytes("750101000000Z")}),
                               element(der::kGeneralizedTime, {as_bytes("40960101000000Z")})});
  const auto version = element(der::context(0), {element(der::kInteger, {kVersion3})});
  const auto extensions = element(der::context(3), {element(der::kSequence, {extension})});
  const auto signed_part =
      element(der::kSequence, {version, element(der::kInteger, {serial}), kEcdsaSha256, name,
                               validity, name, key_info, extensions});
  constexpr std::array<std::uint8_t, 1> kNoUnusedBits = {0};
  const auto signature =
      element(der::kBitString, {kNoUnusedBits, evp_sign(key.get(), signed_part)});
  return {element(der::kSequence, {signed_part, kEcdsaSha256, signature}),
          evp_private_info(key.get())};
}

Result<PublicKey> verify_certificate(BytesView der, WallTime now, CertificateFault& fault) {
  PYRSIA_TRY(const auto formed, check_form(der, now, fault));
  return check_signatures(formed, fault);
}

Result<PublicKey> verify_certificate(BytesView der, WallTime now) {
  CertificateFault fault;
  return verify_certificate(der, now, fault);
}

Result<PublicKey> VerifiedCertificates::verify(std::span<const BytesView> chain, WallTime now,
                                               CertificateFault& fault) {
  if (chain.size() != 1) {
    return refuse(fault, chain.empty() ? "no certificate" : "several certificates",
                  Errc::protocol_violation);
  }
  const auto der = chain.front();
  // What depends on the time is looked at each time.
  PYRSIA_TRY(const auto formed, check_form(der, now, fault));
  Bytes bytes(der.begin(), der.end());
  if (const auto found = known_.find(bytes); found != known_.end()) {
    fault = {};
    return found->second;
  }
  PYRSIA_TRY(const auto key, check_signatures(formed, fault));
  if (known_.size() >= kMaxKnown) {
    known_.erase(order_.front());
    order_.pop_front();
  }
  order_.push_back(known_.emplace(std::move(bytes), key).first);
  return key;
}

}  // namespace pyrsia::crypto
