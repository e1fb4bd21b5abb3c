#include <pyrsia/ip.hpp>

#include <arpa/inet.h>

#include <algorithm>
#include <cassert>

namespace pyrsia {

IpAddress IpAddress::v4(std::array<std::uint8_t, 4> bytes) {
  IpAddress ip;
  std::ranges::copy(bytes, ip.bytes_.begin());
  return ip;
}

IpAddress IpAddress::v6(std::array<std::uint8_t, 16> bytes) {
  IpAddress ip;
  ip.is_v6_ = true;
  ip.bytes_ = bytes;
  return ip;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> copy{};  // inet_pton() wants a zero at the end.
  if (text.size() >= copy.size()) return Errc::malformed;
  if (text.find('\0') != std::string_view::npos) return Errc::malformed;
  std::ranges::copy(text, copy.begin());
  IpAddress ip;
  ip.is_v6_ = text.find(':') != std::string_view::npos;
  if (inet_pton(ip.is_v6_ ? AF_INET6 : AF_INET, copy.data(), ip.bytes_.data()) != 1) {
    return Errc::malformed;
  }
  return ip;
}

bool IpAddress::is_unspecified() const {
  return bytes_ == std::array<std::uint8_t, 16>{};
}

bool IpAddress::is_loopback() const {
  if (!is_v6_) return bytes_[0] == 127;
  return bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto b) { return b == 0; });
}

IpAddress IpAddress::unmapped() const {
  static constexpr std::array<std::uint8_t, 12> kPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!is_v6_ || !std::equal(kPrefix.begin(), kPrefix.end(), bytes_.begin())) return *this;
  return v4({bytes_[12], bytes_[13], bytes_[14], bytes_[15]});
}

bool IpAddress::is_in(const IpAddress& network, unsigned bits) const {
  if (is_v6_ != network.is_v6_) return false;
  assert(bits <= 8 * bytes().size());
  const std::size_t whole = bits / 8;
  if (!std::equal(bytes_.begin(), bytes_.begin() + whole, network.bytes_.begin())) return false;
  if (bits % 8 == 0) return true;
  const unsigned mask = 0xffU << (8 - bits % 8) & 0xffU;
  return ((bytes_[whole] ^ network.bytes_[whole]) & mask) == 0;
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(is_v6_ ? AF_INET6 : AF_INET, bytes_.data(), text.data(), text.size());
  return text.data();
}

std::string Endpoint::to_string() const {
  const auto address = ip.is_v6() ? "[" + ip.to_string() + "]" : ip.to_string();
  return address + ":" + std::to_string(port);
}

}  // namespace pyrsia
