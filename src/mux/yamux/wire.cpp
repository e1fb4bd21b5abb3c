#include "mux/yamux/wire.hpp"

#include <boost/endian/conversion.hpp>

namespace pyrsia::mux::yamux {
namespace {

constexpr std::uint8_t kVersion = 0;

}  // namespace

HeaderBytes encode(const Header& header) {
  HeaderBytes bytes;
  bytes[0] = kVersion;
  bytes[1] = std::uint8_t(header.type);
  boost::endian::store_big_u16(&bytes[2], header.flags);
  boost::endian::store_big_u32(&bytes[4], header.stream_id);
  boost::endian::store_big_u32(&bytes[8], header.length);
  return bytes;
}

Result<Header> decode(std::span<const std::uint8_t, kHeaderBytes> bytes) {
  if (bytes[0] != kVersion || bytes[1] > std::uint8_t(Type::go_away)) return Errc::malformed;
  Header header;
  header.type = Type(bytes[1]);
  header.flags = boost::endian::load_big_u16(&bytes[2]);
  header.stream_id = boost::endian::load_big_u32(&bytes[4]);
  header.length = boost::endian::load_big_u32(&bytes[8]);
  return header;
}

}  // namespace pyrsia::mux::yamux
