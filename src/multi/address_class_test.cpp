#include "multi/address_class.hpp"

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

using enum AddressClass;

const std::string kPeer = "/p2p/12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}
Multiaddr addr(std::string_view text) {
  return Multiaddr::parse(text).value();
}

TEST(AddressClass, SpecialRangesAreNamedWithTheirSource) {
  const auto entry = [](std::string_view text) {
    const auto range = special_range(ip(text));
    return range
               ? range->network + " " + std::string(range->name) + " " + std::string(range->source)
               : std::string();
  };
  EXPECT_EQ(entry("10.1.2.3"), "10.0.0.0/8 private use RFC 1918");
  EXPECT_EQ(entry("::ffff:10.1.2.3"), "10.0.0.0/8 private use RFC 1918");
  EXPECT_EQ(entry("100.64.0.1"), "100.64.0.0/10 shared address space of a carrier's NAT RFC 6598");
  EXPECT_EQ(entry("255.255.255.255"), "255.255.255.255/32 limited broadcast RFC 919");
  EXPECT_EQ(entry("fe80::1"), "fe80::/10 link local RFC 4291");
  EXPECT_EQ(entry("2001::1"), "2001::/32 Teredo RFC 4380");
  EXPECT_EQ(entry("2002::1"), "2002::/16 6to4, which nobody relays any more RFC 7526");
  EXPECT_EQ(entry("1.1.1.1"), "");
  EXPECT_EQ(entry("2a01:4f8::1"), "");
}

TEST(AddressClass, EveryNetworkHasItsOwn) {
  const std::vector<std::pair<std::string, AddressClass>> table{
      {"0.0.0.0", unusable},
      {"0.1.2.3", unusable},
      {"1.1.1.1", global},
      {"9.255.255.255", global},
      {"10.0.0.1", private_use},
      {"11.0.0.0", global},
      {"73.0.0.1", global},
      {"100.63.255.255", global},
      {"100.64.0.1", private_use},
      {"100.127.255.255", private_use},
      {"100.128.0.0", global},
      {"127.255.0.1", loopback},
      {"169.254.7.7", link_local},
      {"172.15.0.1", global},
      {"172.16.0.1", private_use},
      {"172.31.255.255", private_use},
      {"172.32.0.0", global},
      {"192.0.0.8", unusable},
      {"192.0.0.9", global},
      {"192.0.0.10", global},
      {"192.0.0.170", unusable},
      {"192.0.1.0", global},
      {"192.0.2.1", unusable},
      {"192.88.99.1", unusable},
      {"192.168.0.1", private_use},
      {"192.169.0.1", global},
      {"198.17.0.1", global},
      {"198.18.0.1", unusable},
      {"198.19.255.255", unusable},
      {"198.51.100.1", unusable},
      {"203.0.113.1", unusable},
      {"223.255.255.255", global},
      {"224.0.0.1", unusable},
      {"239.1.1.1", unusable},
      {"240.0.0.1", unusable},
      {"255.255.255.255", unusable},
      {"::", unusable},
      {"::1", loopback},
      {"::2", unusable},
      {"::ffff:10.0.0.1", private_use},
      {"::ffff:127.0.0.1", loopback},
      {"::ffff:1.1.1.1", global},
      {"64:ff9b::1.1.1.1", global},
      {"64:ff9b:1::1", global},
      {"64:ff9b:2::1", unusable},
      {"100::1", unusable},
      {"2000::1", global},
      {"2001::1", unusable},
      {"2001:1::1", global},
      {"2001:1::4", unusable},
      {"2001:2::1", unusable},
      {"2001:3::1", global},
      {"2001:4:112::1", global},
      {"2001:10::1", unusable},
      {"2001:20::1", global},
      {"2001:30::1", global},
      {"2001:200::1", global},
      {"2001:db8::1", unusable},
      {"2001:4860::8888", global},
      {"2002:0a00:1::1", unusable},
      {"2606:4700::1", global},
      {"3fff:fff::1", unusable},
      {"3fff:1000::1", global},
      {"4000::1", unusable},
      {"5f00::1", unusable},
      {"fbff::1", unusable},
      {"fc00::1", private_use},
      {"fdff::1", private_use},
      {"fe80::1", link_local},
      {"febf::1", link_local},
      {"fec0::1", unusable},
      {"ff02::1", unusable},
  };
  const AddressClassifier classifier;
  for (const auto& [text, expected] : table) {
    EXPECT_EQ(name(classifier.classify(ip(text))), name(expected)) << text;
  }
}

TEST(AddressClass, OfAnAddressIsThatOfItsFront) {
  const std::vector<std::pair<std::string, AddressClass>> table{
      {"/ip4/1.1.1.1/tcp/80", global},
      {"/ip4/10.0.0.1/udp/80/quic-v1", private_use},
      {"/ip6zone/eth0/ip6/fe80::1/tcp/1", link_local},
      {"/dns4/example.com/tcp/1", global},
      {"/dns/router/tcp/1", global},
      {"/dnsaddr/bootstrap.libp2p.io", global},
      {"/dns/localhost/tcp/1", loopback},
      {"/dns/a.LocalHost./tcp/1", loopback},
      {"/dns/printer.local/tcp/1", private_use},
      {"/dns/notlocal/tcp/1", global},
      {"/dns/nas.home.arpa/tcp/1", private_use},
      {"/dns/vm.internal/tcp/1", private_use},
      {"/dns/a.test/tcp/1", unusable},
      {"/dns/a.invalid/tcp/1", unusable},
      {"/dns/1.2.0.192.in-addr.arpa/tcp/1", unusable},
      {"/dns/a.ip6.arpa/tcp/1", unusable},
      {"/dns/a.onion/tcp/1", unusable},
      {"/dns/./tcp/1", unusable},
      {"/dns4/127.0.0.1/tcp/1", loopback},
      {"/dns6/fd00::1/tcp/1", private_use},
      {"/ip4/1.1.1.1/tcp/80" + kPeer + "/p2p-circuit", unusable},
      {kPeer, unusable},
      {"/memory/1", unusable},
      {"/unix/a", unusable},
      {"/tcp/80", unusable},
  };
  const AddressClassifier classifier;
  for (const auto& [text, expected] : table) {
    EXPECT_EQ(name(classifier.classify(addr(text))), name(expected)) << text;
  }
  EXPECT_EQ(classifier.classify(Multiaddr()), unusable);
}

TEST(AddressClass, TheScopeSaysWhatOthersCanUse) {
  const auto lan = addr("/ip4/192.168.1.1/tcp/1");
  const auto here = addr("/ip4/127.0.0.1/tcp/1");
  EXPECT_FALSE(AddressClassifier().is_usable_by_others(lan));
  EXPECT_TRUE(AddressClassifier(private_use).is_usable_by_others(lan));
  EXPECT_FALSE(AddressClassifier(private_use).is_usable_by_others(here));
  EXPECT_TRUE(AddressClassifier(loopback).is_usable_by_others(here));
  EXPECT_TRUE(AddressClassifier(loopback).is_usable_by_others(lan));
  EXPECT_FALSE(AddressClassifier(loopback).is_usable_by_others(ip("0.0.0.0")));
}

TEST(AddressClass, ALabMakesItsNetworksGlobal) {
  AddressClassifier classifier;
  classifier.treat_as_global(ip("203.0.113.0"), 24);
  classifier.treat_as_global(ip("fd00:1::"), 32);
  EXPECT_EQ(classifier.classify(ip("203.0.113.7")), global);
  EXPECT_EQ(classifier.classify(ip("::ffff:203.0.113.7")), global);
  EXPECT_EQ(classifier.classify(ip("203.0.114.7")), global);
  EXPECT_EQ(classifier.classify(ip("198.51.100.7")), unusable);
  EXPECT_EQ(classifier.classify(ip("fd00:1::7")), global);
  EXPECT_EQ(classifier.classify(ip("fd00:2::7")), private_use);
}

}  // namespace
}  // namespace pyrsia
