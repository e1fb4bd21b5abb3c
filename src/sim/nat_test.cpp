#include "sim/nat.hpp"

#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <array>
#include <tuple>

namespace pyrsia::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::array kDependences{Dependence::endpoint_independent, Dependence::address_dependent,
                                  Dependence::address_and_port_dependent};
constexpr std::array kAllocations{PortAllocation::preserve, PortAllocation::sequential,
                                  PortAllocation::random};

const Endpoint kInner = at("192.168.1.2", 5000);
const Endpoint kPeer = at("1.1.1.1", 100);
const Endpoint kPeerOtherPort = at("1.1.1.1", 101);
const Endpoint kOther = at("2.2.2.2", 100);

Packet packet(Protocol protocol, const Endpoint& from, const Endpoint& to) {
  Packet made;
  made.protocol = protocol;
  made.from = from;
  made.to = to;
  return made;
}

/// A box with what a prober does: see where packets leave from, and who may answer.
struct Box {
  explicit Box(NatConfig config) : table(with_address(std::move(config)), std::mt19937_64(7)) {}

  static NatConfig with_address(NatConfig config) {
    config.external = {IpAddress::parse("5.5.5.5").value()};
    return config;
  }

  Endpoint leaves(const Endpoint& from, const Endpoint& to, TimePoint now = {}) {
    auto made = packet(protocol, from, to);
    EXPECT_TRUE(table.translate_outbound(made, now));
    return made.from;
  }
  /// Where a packet to `to` comes in; nothing: it does not.
  std::optional<Endpoint> enters(const Endpoint& from, const Endpoint& to, TimePoint now = {}) {
    auto made = packet(protocol, from, to);
    if (table.translate_inbound(made, now) != NatTable::Verdict::pass) return std::nullopt;
    return made.to;
  }

  Protocol protocol = Protocol::udp;
  NatTable table;
};

using Kind = std::tuple<Dependence, Dependence, PortAllocation, Protocol>;

class NatKinds : public testing::TestWithParam<Kind> {
 protected:
  static NatConfig config() {
    NatConfig chosen;
    chosen.mapping = std::get<0>(GetParam());
    chosen.filtering = std::get<1>(GetParam());
    chosen.allocation = std::get<2>(GetParam());
    return chosen;
  }
};

TEST_P(NatKinds, BehaveToAProberAsTheyAreNamed) {
  const auto& [mapping, filtering, allocation, protocol] = GetParam();
  Box box(config());
  box.protocol = protocol;

  const auto first = box.leaves(kInner, kPeer);
  const auto other_port = box.leaves(kInner, kPeerOtherPort);
  const auto other_ip = box.leaves(kInner, kOther);
  EXPECT_EQ(box.leaves(kInner, kPeer), first);
  EXPECT_EQ(first.ip.to_string(), "5.5.5.5");

  EXPECT_EQ(other_port == first, mapping != Dependence::address_and_port_dependent);
  EXPECT_EQ(other_ip == first, mapping == Dependence::endpoint_independent);

  if (allocation == PortAllocation::preserve) {
    EXPECT_EQ(first.port, kInner.port);
    EXPECT_EQ(box.leaves(at("192.168.1.3", 6000), kPeer).port, 6000);
  } else if (allocation == PortAllocation::sequential) {
    EXPECT_EQ(first.port, 1024);
    EXPECT_EQ(box.leaves(at("192.168.1.3", 6000), kPeer).port,
              mapping == Dependence::endpoint_independent ? 1025
              : mapping == Dependence::address_dependent  ? 1026
                                                          : 1027);
  } else {
    const auto next = box.leaves(at("192.168.1.3", 6000), kPeer).port;
    EXPECT_GT(std::abs(next - first.port), 1);
  }
}

TEST_P(NatKinds, LetInOnlyWhomTheirFilterAllows) {
  const auto& [mapping, filtering, allocation, protocol] = GetParam();
  Box box(config());
  box.protocol = protocol;
  const auto outer = box.leaves(kInner, kPeer);

  EXPECT_EQ(box.enters(kPeer, outer), kInner);
  EXPECT_EQ(box.enters(kPeerOtherPort, outer).has_value(),
            filtering != Dependence::address_and_port_dependent);
  EXPECT_EQ(box.enters(kOther, outer).has_value(), filtering == Dependence::endpoint_independent);
  EXPECT_FALSE(box.enters(kPeer, {outer.ip, std::uint16_t(outer.port + 1)}));
}

INSTANTIATE_TEST_SUITE_P(All, NatKinds,
                         testing::Combine(testing::ValuesIn(kDependences),
                                          testing::ValuesIn(kDependences),
                                          testing::ValuesIn(kAllocations),
                                          testing::Values(Protocol::tcp, Protocol::udp)));

TEST(Nat, ATakenPortIsNotPreserved) {
  Box box(NatConfig{});
  EXPECT_EQ(box.leaves(kInner, kPeer).port, 5000);
  EXPECT_EQ(box.leaves(at("192.168.1.3", 5000), kPeer).port, 5001);
}

TEST(Nat, AMappingEndsAfterItsLifetimeWithoutOutboundPackets) {
  Box box(NatConfig{});
  const auto outer = box.leaves(kInner, kPeer);
  EXPECT_TRUE(box.enters(kPeer, outer, TimePoint(119s)));
  EXPECT_FALSE(box.enters(kPeer, outer, TimePoint(120s)));  // What came in did not refresh it.
  box.leaves(kInner, kPeer, TimePoint(200s));
  box.leaves(kInner, kPeer, TimePoint(300s));
  EXPECT_TRUE(box.enters(kPeer, outer, TimePoint(419s)));
  EXPECT_FALSE(box.enters(kPeer, outer, TimePoint(420s)));
}

TEST(Nat, AFilterForgetsARemoteThatIsNotSpokenToThoughTheMappingLives) {
  Box box(NatConfig{});
  const auto outer = box.leaves(kInner, kPeer);
  box.leaves(kInner, kOther, TimePoint(100s));
  EXPECT_TRUE(box.enters(kOther, outer, TimePoint(150s)));
  EXPECT_FALSE(box.enters(kPeer, outer, TimePoint(150s)));
}

TEST(Nat, AnExpiredPortIsGivenToAnother) {
  NatConfig config;
  config.mapping = Dependence::address_and_port_dependent;
  Box box(config);
  const auto outer = box.leaves(kInner, kPeer);
  const auto now = TimePoint(10min);
  EXPECT_EQ(box.leaves(at("192.168.1.3", 5000), kOther, now), outer);
  EXPECT_FALSE(box.enters(kPeer, outer, now));
  EXPECT_EQ(box.leaves(kInner, kPeer, now).port, 5001);
}

TEST(Nat, TcpMappingsHaveALifetimeOfTheirOwnThatBothSidesRefresh) {
  NatConfig config;
  config.tcp_lifetime = 1h;
  Box box(config);
  box.protocol = Protocol::tcp;
  const auto outer = box.leaves(kInner, kPeer);
  EXPECT_TRUE(box.enters(kPeer, outer, TimePoint(59min)));
  EXPECT_TRUE(box.enters(kPeer, outer, TimePoint(118min)));
  EXPECT_FALSE(box.enters(kPeer, outer, TimePoint(178min)));
}

TEST(Nat, InboundPacketsMayRefreshUdpToo) {
  NatConfig config;
  config.inbound_refreshes_udp = true;
  Box box(config);
  const auto outer = box.leaves(kInner, kPeer);
  EXPECT_TRUE(box.enters(kPeer, outer, TimePoint(100s)));
  EXPECT_TRUE(box.enters(kPeer, outer, TimePoint(200s)));
}

TEST(Nat, AForwardedPortIsOpenToAllAndGivenToNobody) {
  Box box(NatConfig{});
  box.table.add_forward({Protocol::udp, 5000, at("192.168.1.9", 53)});
  EXPECT_EQ(box.enters(kOther, at("5.5.5.5", 5000)), at("192.168.1.9", 53));
  EXPECT_EQ(box.leaves(at("192.168.1.9", 53), kOther), at("5.5.5.5", 5000));
  EXPECT_EQ(box.leaves(kInner, kPeer).port, 5001);
}

TEST(Nat, AnUnsolicitedSynIsDroppedOrRefused) {
  for (const bool refuses : {false, true}) {
    NatConfig config;
    config.refuses_tcp = refuses;
    Box box(config);
    auto syn = packet(Protocol::tcp, kPeer, at("5.5.5.5", 80));
    syn.syn = true;
    EXPECT_EQ(box.table.translate_inbound(syn, TimePoint()),
              refuses ? NatTable::Verdict::refuse : NatTable::Verdict::drop);
    auto stray = packet(Protocol::tcp, kPeer, at("5.5.5.5", 80));
    EXPECT_EQ(box.table.translate_inbound(stray, TimePoint()), NatTable::Verdict::drop);
  }
}

TEST(Nat, AFullTableTakesNoMoreUntilSomethingExpires) {
  NatConfig config;
  config.max_mapping_count = 2;
  Box box(config);
  box.leaves(at("192.168.1.2", 1), kPeer);
  box.leaves(at("192.168.1.2", 2), kPeer);
  auto third = packet(Protocol::udp, at("192.168.1.2", 3), kPeer);
  EXPECT_FALSE(box.table.translate_outbound(third, TimePoint(1s)));
  EXPECT_TRUE(box.table.translate_outbound(third, TimePoint(10min)));
  EXPECT_EQ(box.table.mapping_count(), 1U);
}

TEST(Nat, WithoutAnOuterAddressItIsAFirewall) {
  NatConfig config;
  NatTable firewall(config, std::mt19937_64(1));
  auto out = packet(Protocol::udp, at("7.7.7.7", 5000), kPeer);
  EXPECT_TRUE(firewall.translate_outbound(out, TimePoint()));
  EXPECT_EQ(out.from, at("7.7.7.7", 5000));
  auto back = packet(Protocol::udp, kPeer, at("7.7.7.7", 5000));
  EXPECT_EQ(firewall.translate_inbound(back, TimePoint()), NatTable::Verdict::pass);
  auto stranger = packet(Protocol::udp, kOther, at("7.7.7.7", 5000));
  EXPECT_EQ(firewall.translate_inbound(stranger, TimePoint()), NatTable::Verdict::drop);
}

TEST(Nat, ARebootForgetsAllMappings) {
  Box box(NatConfig{});
  const auto outer = box.leaves(kInner, kPeer);
  box.table.forget();
  EXPECT_FALSE(box.enters(kPeer, outer));
}

}  // namespace
}  // namespace pyrsia::sim
