#include "nat/stun/named_address.hpp"

#include "nat/stun/builder.hpp"
#include "nat/stun/client.hpp"
#include "nat/stun/moves.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::stun {
namespace {

IpAddress ip(const char* text) {
  return IpAddress::parse(text).value();
}

TEST(StunNamedAddress, NobodyIsMappedToWhatNoHostCanHave) {
  for (const char* never : {"0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "255.255.255.255",
                            "::", "ff02::1", "::ffff:224.0.0.1"}) {
    EXPECT_FALSE(can_be_mapped({ip(never), 1000}, ip("5.6.7.8"))) << never;
    EXPECT_FALSE(can_be_mapped({ip(never), 1000}, ip("127.0.0.1"))) << never;
  }
  EXPECT_FALSE(can_be_mapped({ip("9.9.9.9"), 0}, ip("5.6.7.8")));
  for (const char* loopback : {"127.0.0.1", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_FALSE(can_be_mapped({ip(loopback), 1000}, ip("5.6.7.8"))) << loopback;
    EXPECT_FALSE(can_be_mapped({ip(loopback), 1000}, ip("192.168.1.1"))) << loopback;
    EXPECT_TRUE(can_be_mapped({ip(loopback), 1000}, ip("127.0.0.1"))) << loopback;
    EXPECT_TRUE(can_be_mapped({ip(loopback), 1000}, ip("::1"))) << loopback;
  }
}

TEST(StunNamedAddress, AClientOfACarrierOrBehindANat64IsMappedAsItIs) {
  EXPECT_TRUE(can_be_mapped({ip("100.64.1.2"), 1000}, ip("5.6.7.8")));
  EXPECT_TRUE(can_be_mapped({ip("192.168.1.2"), 1000}, ip("192.168.1.1")));
  EXPECT_TRUE(can_be_mapped({ip("5.6.7.9"), 1000}, ip("64:ff9b::506:708")));
  EXPECT_TRUE(can_be_mapped({ip("2a00::1"), 1000}, ip("5.6.7.8")));
}

TEST(StunNamedAddress, AServerSendsNobodyCloserThanItselfIs) {
  const std::array<const char*, 4> kNearFirst{"127.0.0.1", "169.254.1.1", "192.168.1.1", "9.9.9.9"};
  const std::array<const char*, 4> kServers{"127.0.0.2", "169.254.1.2", "10.0.0.2", "5.6.7.8"};
  const std::array<const char*, 4> kServersV6{"::1", "fe80::2", "fd00::2", "2a00::2"};
  const std::array<const char*, 4> kNearFirstV6{"::1", "fe80::1", "fd00::1", "2a00::1"};
  for (std::size_t server = 0; server < 4; ++server) {
    for (std::size_t named = 0; named < 4; ++named) {
      const bool may = named >= server;
      EXPECT_EQ(may_be_named({ip(kNearFirst[named]), 3479}, ip(kServers[server])), may)
          << kServers[server] << " names " << kNearFirst[named];
      EXPECT_EQ(may_be_named({ip(kNearFirstV6[named]), 3479}, ip(kServersV6[server])), may)
          << kServersV6[server] << " names " << kNearFirstV6[named];
    }
  }
  EXPECT_FALSE(may_be_named({ip("100.64.1.2"), 3479}, ip("5.6.7.8")));
  EXPECT_TRUE(may_be_named({ip("10.0.0.2"), 3479}, ip("10.0.0.2")));
}

TEST(StunNamedAddress, NoServerSendsAnybodyToWhatNoHostHas) {
  for (const char* server : {"127.0.0.1", "192.168.1.1", "5.6.7.8", "192.0.2.1"}) {
    for (const char* never : {"0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"})
      EXPECT_FALSE(may_be_named({ip(never), 3479}, ip(server))) << server << " names " << never;
    EXPECT_FALSE(may_be_named({ip("9.9.9.9"), 0}, ip(server))) << server;
    EXPECT_FALSE(may_be_named({ip(server), 0}, ip(server))) << server;
  }
}

TEST(StunNamedAddress, AnIpv4AddressInsideOfAnIpv6OneIsSeenThrough) {
  for (const char* near : {"::ffff:127.0.0.1", "::ffff:192.168.1.1", "64:ff9b::c0a8:101",
                           "64:ff9b:1::c0a8:101", "fec0::1"})
    EXPECT_FALSE(may_be_named({ip(near), 3479}, ip("2a00::1"))) << near;
  EXPECT_TRUE(may_be_named({ip("64:ff9b::909:909"), 3479}, ip("64:ff9b::506:708")));
}

TEST(StunNamedAddress, InALabAddressesForDocumentationStandForTheInternet) {
  EXPECT_TRUE(may_be_named({ip("203.0.113.9"), 3479}, ip("192.0.2.1")));
  EXPECT_TRUE(may_be_named({ip("9.9.9.9"), 3479}, ip("192.0.2.1")));
  EXPECT_TRUE(may_be_named({ip("203.0.113.9"), 3479}, ip("9.9.9.9")));
  for (const char* near : {"127.0.0.1", "169.254.1.1", "192.168.1.1"})
    EXPECT_FALSE(may_be_named({ip(near), 3479}, ip("192.0.2.1"))) << near;
}

Result<Response> answer_with(const Endpoint& mapped, const char* server) {
  Header header;
  header.message_class = MessageClass::success;
  std::array<std::uint8_t, 64> out{};
  Builder builder(out, header);
  builder.add_xor_address(AttributeType::xor_mapped_address, mapped);
  const auto message = Message::parse(builder.bytes());
  if (!message) return message.error();
  return decode_response(*message, ip(server));
}

TEST(StunNamedAddress, AResponseWithAMappedAddressThatCannotBeIsNone) {
  EXPECT_EQ(answer_with({ip("9.9.9.9"), 0}, "5.6.7.8").error(), Errc::malformed);
  EXPECT_EQ(answer_with({ip("0.0.0.0"), 9}, "5.6.7.8").error(), Errc::malformed);
  EXPECT_EQ(answer_with({ip("127.0.0.1"), 9}, "5.6.7.8").error(), Errc::malformed);
  EXPECT_TRUE(answer_with({ip("127.0.0.1"), 9}, "127.0.0.1"));
  EXPECT_TRUE(answer_with({ip("9.9.9.9"), 9}, "64:ff9b::506:708"));
}

Response moved(const char* to) {
  Response response;
  response.error = 300;
  response.alternate_server = Endpoint{ip(to), 3478};
  return response;
}

TEST(StunMoves, NoAlternateServerIsCloserThanTheOneThatNamesIt) {
  for (const char* near : {"127.0.0.1", "169.254.1.1", "192.168.1.1", "224.0.0.1"}) {
    Moves moves({ip("5.6.7.8"), 3478});
    EXPECT_EQ(moves.next(moved(near)).error(), Errc::protocol_violation) << near;
  }
  Moves inside({ip("192.168.1.1"), 3478});
  EXPECT_TRUE(inside.next(moved("192.168.1.2")));
  EXPECT_TRUE(inside.next(moved("9.9.9.9")));
  // Now somebody of the Internet speaks, whoever sent us there.
  EXPECT_EQ(inside.next(moved("192.168.1.3")).error(), Errc::protocol_violation);
}

}  // namespace
}  // namespace pyrsia::stun
