#include "host/scope.hpp"

#include <pyrsia/config.hpp>

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

const std::string kPeer = "/p2p/12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A";

Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

/// What is wrong with `config`; empty if nothing is.
std::string fault_of(const Config& config) {
  std::string detail;
  const auto valid = validate(config, &detail);
  EXPECT_EQ(valid.has_value(), detail.empty());
  if (!valid) EXPECT_EQ(valid.error(), Errc::invalid_argument);
  EXPECT_EQ(validate(config, nullptr).has_value(), valid.has_value());
  return detail;
}

TEST(ConfigValidate, TheDefaultsAreGood) {
  EXPECT_EQ(fault_of({}), "");
}

TEST(ConfigValidate, EachFaultIsNamedWithFieldAndValue) {
  Config config;
  config.listen = {addr("/dns4/example.org/tcp/1")};
  EXPECT_EQ(fault_of(config),
            "listen: /dns4/example.org/tcp/1: is not /ip4|ip6/…/tcp/<port>[/ws|/tls/ws] or "
            "…/udp/<port>/quic-v1");
  config.listen = {addr("/ip4/0.0.0.0/udp/0/quic-v1"), addr("/ip4/0.0.0.0/udp/1")};
  EXPECT_EQ(fault_of(config),
            "listen: /ip4/0.0.0.0/udp/1: is not /ip4|ip6/…/tcp/<port>[/ws|/tls/ws] or "
            "…/udp/<port>/quic-v1");
  config = {};
  config.peers = {addr("/ip4/1.2.3.4/tcp/1")};
  EXPECT_EQ(fault_of(config), "peer: /ip4/1.2.3.4/tcp/1: does not end in /p2p/<peer id>");
  config = {};
  config.probe_servers = {addr(kPeer)};
  EXPECT_EQ(fault_of(config), "probe: " + kPeer + ": has no address in front of /p2p");
  config = {};
  config.bootstrap_urls = {"ftp://example.org"};
  EXPECT_EQ(fault_of(config),
            "bootstrap-url: ftp://example.org: does not begin with http:// or https://");
  config = {};
  config.global_networks = {"10.0.0.0/33"};
  EXPECT_EQ(fault_of(config),
            "global-network: 10.0.0.0/33: is not an IP network such as 73.0.0.0/24");
  config = {};
  config.security = {"noise", "plaintext"};
  EXPECT_EQ(fault_of(config), "security: plaintext: is neither noise nor tls");
  config.security = {"tls", "noise", "tls"};
  EXPECT_EQ(fault_of(config), "security: tls: is named twice");
  config.security = {};
  EXPECT_EQ(fault_of(config), "security: : names nothing");
}

TEST(ConfigValidate, AnAnnouncementMustBeOfUseToOthers) {
  for (const auto* bad :
       {"/ip4/1.2.3.4/tcp/0", "/ip4/0.0.0.0/tcp/44000", "/ip6/::/tcp/44000", "/ip4/1.2.3.4"}) {
    Config config;
    config.announce = {addr(bad)};
    EXPECT_NE(fault_of(config), "") << bad;
  }
  Config config;
  config.announce = {addr("/dns4/node.example.org/tcp/44000"), addr("/ip4/1.2.3.4/tcp/1" + kPeer)};
  EXPECT_EQ(fault_of(config), "");
}

TEST(ConfigValidate, TimesWithoutALengthAreRefused) {
  Config config;
  config.autonat.retry_interval = Duration(0);
  EXPECT_NE(fault_of(config), "");
  config = {};
  config.autonat.refresh_interval = -std::chrono::seconds(1);
  EXPECT_NE(fault_of(config), "");
}

TEST(ConfigValidate, ADialBackMustEndWhileTheClientWaits) {
  Config config;
  EXPECT_EQ(fault_of(config), "");
  config.autonat.dial_back_budget = std::chrono::seconds(14);
  EXPECT_EQ(fault_of(config), "");
  config.autonat.dial_back_budget = std::chrono::seconds(15);
  EXPECT_NE(fault_of(config).find("dial_back_budget"), std::string::npos);
}

TEST(ParseNetwork, TakesAddressAndLengthOnly) {
  EXPECT_TRUE(parse_network("10.0.0.0/8"));
  EXPECT_TRUE(parse_network("2001:db8::/128"));
  for (const auto* bad : {"", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x",
                          "10.0.0.0/33", "2001:db8::/129", "x/8", "10.0.0.0/99999999999"})
    EXPECT_FALSE(parse_network(bad)) << bad;
}

TEST(MakeClassifier, TheScopeIsTheNarrowestClassThatCounts) {
  Config config;
  const auto usable = [&](const char* text) {
    return make_classifier(config).is_usable_by_others(addr(text));
  };
  EXPECT_TRUE(usable("/ip4/1.2.3.4/tcp/1"));
  EXPECT_FALSE(usable("/ip4/192.168.1.2/tcp/1"));
  config.scope = AddressScope::private_use;
  EXPECT_TRUE(usable("/ip4/192.168.1.2/tcp/1"));
  EXPECT_FALSE(usable("/ip4/127.0.0.1/tcp/1"));
  config.scope = AddressScope::loopback;
  EXPECT_TRUE(usable("/ip4/127.0.0.1/tcp/1"));
  config.scope = AddressScope::global;
  config.global_networks = {"192.168.1.0/24"};
  EXPECT_TRUE(usable("/ip4/192.168.1.2/tcp/1"));
  EXPECT_FALSE(usable("/ip4/192.168.2.2/tcp/1"));
}

}  // namespace
}  // namespace pyrsia
