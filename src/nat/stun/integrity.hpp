/// MESSAGE-INTEGRITY and the keys behind it. Spec: RFC 8489, 9, 14.5 and 14.6.
/// User names and passwords are used as they are: preparing them (RFC 8265) is the caller's part.
#pragma once

#include "nat/stun/attributes.hpp"
#include "nat/stun/message.hpp"

#include <array>
#include <string_view>

namespace pyrsia::stun {

/// Of the long-term mechanism. Of the short-term one the key is the password.
Bytes long_term_key(PasswordAlgorithm algorithm, std::string_view username, std::string_view realm,
                    std::string_view password);
/// USERHASH.
std::array<std::uint8_t, 32> userhash(std::string_view username, std::string_view realm);

/// Over the message up to the attribute; its length is taken as if it ended with it.
std::array<std::uint8_t, 20> integrity_of(BytesView before, BytesView key);
std::array<std::uint8_t, 32> integrity_sha256_of(BytesView before, BytesView key);

/// Checks MESSAGE-INTEGRITY-SHA256 (whole, or cut to 16 bytes at least) if the message has it,
/// else MESSAGE-INTEGRITY. Errors: `Errc::not_found` (it has neither), `Errc::malformed`,
/// `Errc::bad_signature`.
Result<> check_integrity(const Message& message, BytesView key);

}  // namespace pyrsia::stun
