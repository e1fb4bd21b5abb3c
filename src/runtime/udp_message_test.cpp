#include "runtime/udp_message.hpp"

#include <gtest/gtest.h>
// time.h first: errqueue.h needs its timespec.
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <time.h>

#include <cstring>

namespace pyrsia {
namespace {

/// A message of the error queue, as the kernel makes it.
struct Told {
  std::optional<UdpError> read(int level, int type, const sock_extended_err& error,
                               const Endpoint& from) {
    alignas(cmsghdr) std::array<std::byte, 128> control{};
    const SocketAddress offender(from);
    msghdr message{};
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    auto* note = CMSG_FIRSTHDR(&message);
    note->cmsg_level = level;
    note->cmsg_type = type;
    note->cmsg_len = CMSG_LEN(sizeof error + offender.size());
    std::memcpy(CMSG_DATA(note), &error, sizeof error);
    std::memcpy(CMSG_DATA(note) + sizeof error, offender.data(), offender.size());
    message.msg_controllen = CMSG_SPACE(sizeof error + offender.size());
    return read_error(message, SocketAddress(to));
  }
  Endpoint to{IpAddress::v4({192, 0, 2, 1}), 3478};
};

sock_extended_err error_of(std::uint8_t origin, std::uint8_t type, std::uint8_t code) {
  sock_extended_err error{};
  error.ee_origin = origin;
  error.ee_type = type;
  error.ee_code = code;
  return error;
}

TEST(UdpErrorMessage, OfARouterWhereADatagramExpired) {
  Told told;
  const Endpoint router{IpAddress::v4({192, 168, 1, 1}), 0};
  auto error = error_of(SO_EE_ORIGIN_ICMP, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL);
  const auto v4 = told.read(IPPROTO_IP, IP_RECVERR, error, router);
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->kind, UdpError::Kind::expired);
  EXPECT_EQ(v4->from, router.ip);
  EXPECT_EQ(v4->to, told.to);
  const Endpoint other{*IpAddress::parse("2001:db8::1"), 0};
  error = error_of(SO_EE_ORIGIN_ICMP6, ICMP6_TIME_EXCEEDED, ICMP6_TIME_EXCEED_TRANSIT);
  const auto v6 = told.read(IPPROTO_IPV6, IPV6_RECVERR, error, other);
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->kind, UdpError::Kind::expired);
  EXPECT_EQ(v6->from, other.ip);
}

TEST(UdpErrorMessage, FragmentsThatNeverCameTogetherAreNoExpiredHop) {
  Told told;
  const Endpoint router{IpAddress::v4({192, 168, 1, 1}), 0};
  const auto error = error_of(SO_EE_ORIGIN_ICMP, ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME);
  EXPECT_EQ(told.read(IPPROTO_IP, IP_RECVERR, error, router)->kind, UdpError::Kind::other);
}

TEST(UdpErrorMessage, OfThisMachineItselfIsNone) {
  Told told;
  EXPECT_EQ(told.read(IPPROTO_IP, IP_RECVERR, error_of(SO_EE_ORIGIN_LOCAL, 0, 0), told.to),
            std::nullopt);
  EXPECT_EQ(told.read(IPPROTO_IP, IP_PKTINFO, error_of(SO_EE_ORIGIN_ICMP, 11, 0), told.to),
            std::nullopt);
  EXPECT_EQ(read_error(msghdr(), SocketAddress(told.to)), std::nullopt);
}

}  // namespace
}  // namespace pyrsia
