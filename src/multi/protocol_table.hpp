/// The protocols of multiaddrs and the two forms of their values.
/// Spec: multiformats/multiaddr, protocols.csv.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/multiaddr.hpp>
#include <pyrsia/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace pyrsia::multi {

struct ProtocolInfo {
  static constexpr int kVariable = -1;

  Protocol code;
  std::string_view name;
  int value_bytes;  ///< 0: has no value; kVariable: its length stands in front.
};

/// Null if there is none. `ipfs` is another name of `p2p`.
const ProtocolInfo* find_protocol(std::uint64_t code);
const ProtocolInfo* find_protocol(std::string_view name);

/// The binary form of a value written as text, without length. Errors: `Errc::malformed`.
Result<std::string> parse_value(Protocol protocol, std::string_view text);

/// True if `value` is one of `protocol`, of the right length if that is fixed. Names hold
/// printable ASCII only, so that no text of an address can confuse a log or a document.
bool is_valid_value(Protocol protocol, BytesView value);

/// The canonical text of a valid value.
std::string value_text(Protocol protocol, BytesView value);

}  // namespace pyrsia::multi
