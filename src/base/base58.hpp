/// Numbers in a base that is no power of two: base58btc, the text form of peer ids, and base36.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace pyrsia {

/// Longest text that is decoded. The work is quadratic; our limit, because a peer id has at most
/// 72 characters in any base.
inline constexpr std::size_t kMaxRadixChars = 256;

/// base58btc: a leading zero byte is a '1'.
std::string to_base58(BytesView bytes);

/// Errors: `Errc::malformed`, `Errc::too_large`.
Result<Bytes> from_base58(std::string_view text);

/// Lower-case base36, read in either case; a leading zero byte is a '0'.
/// Errors: `Errc::malformed`, `Errc::too_large`.
Result<Bytes> from_base36(std::string_view text);

}  // namespace pyrsia
