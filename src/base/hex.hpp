#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <string>
#include <string_view>

namespace pyrsia {

/// Two lower-case digits a byte.
std::string to_hex(BytesView bytes);

/// Digits of either case. Errors: `Errc::malformed` (odd count, another character).
Result<Bytes> from_hex(std::string_view text);

}  // namespace pyrsia
