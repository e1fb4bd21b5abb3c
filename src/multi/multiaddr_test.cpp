#include "base/hex.hpp"
#include "multi/protocol_table.hpp"
#include "multi/websocket_address.hpp"

#include <pyrsia/multiaddr.hpp>

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia {
namespace {

const std::string kPeer = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";
const std::string kOther = "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG";
const std::string kPeerHex =
    "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";

Multiaddr addr(std::string_view text) {
  return Multiaddr::parse(text).value();
}
PeerId peer(std::string_view text) {
  return PeerId::parse(text).value();
}

// Vectors: multiformats/multiaddr and go-multiaddr, tests.
TEST(Multiaddr, AgreesWithTheVectors) {
  const std::vector<std::pair<std::string, std::string>> vectors{
      {"/ip4/192.0.2.42/tcp/443", "04c000022a0601bb"},
      {"/ip4/127.0.0.1/udp/1234", "047f000001910204d2"},
      {"/ip4/127.0.0.1/tcp/4321", "047f0000010610e1"},
      {"/ip4/127.0.0.1/udp/1234/quic-v1", "047f000001910204d2cd03"},
      {"/ip4/127.0.0.1/udp/1234/ip4/127.0.0.1/tcp/4321", "047f000001910204d2047f0000010610e1"},
      {"/ip4/127.0.0.1/ipcidr/16", "047f0000012b10"},
      {"/ip6/2001:8a0:7ac5:4201:3ac9:86ff:fe31:7095/tcp/8000",
       "29200108a07ac542013ac986fffe317095061f40"},
      {"/ip6zone/x/ip6/fe80::1", "2a017829fe800000000000000000000000000001"},
      {"/dns/example.com", "350b6578616d706c652e636f6d"},
      {"/dnsaddr/ipfs.io", "3807697066732e696f"},
      {"/ip4/127.0.0.1/tcp/9090/http/p2p-webrtc-direct", "047f000001062382e0039402"},
      {"/unix/a/b/c/d/e", "90030a2f612f622f632f642f65"},
      {"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
       "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4cc139ed7e30304d2"},
      {"/p2p/" + kPeer, "a50326" + kPeerHex},
      {"/ip4/127.0.0.1/tcp/443/tls/sni/example.com/http/http-path/foo",
       "047f0000010601bbc003c1030b6578616d706c652e636f6de003e10303666f6f"},
      {"/ip4/127.0.0.1/tcp/443/tls/http/http-path/tmp%2Fbar",
       "047f0000010601bbc003e003e10307746d702f626172"},
      {"/memory/4", "89060000000000000004"},
  };
  for (const auto& [text, hex] : vectors) {
    const auto parsed = Multiaddr::parse(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(to_hex(parsed->bytes()), hex) << text;
    EXPECT_EQ(parsed->to_string(), text);
    EXPECT_EQ(Multiaddr::from_bytes(parsed->bytes()).value(), *parsed) << text;
  }
}

TEST(Multiaddr, EveryProtocolSurvivesARoundTrip) {
  const std::string hash = "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g";
  for (const auto& text : std::vector<std::string>{
           "/dns4/boot.example/tcp/44000/p2p/" + kPeer,
           "/dns6/boot.example/tcp/44000/tls/ws",
           "/ip4/1.2.3.4/tcp/80/tls/sni/a.b/ws",
           "/ip4/1.2.3.4/tcp/80/wss",
           "/ip4/1.2.3.4/tcp/80/noise",
           "/ip4/1.2.3.4/udp/80/quic",
           "/ip4/1.2.3.4/udp/80/quic-v1/webtransport/certhash/" + hash + "/certhash/" + hash,
           "/ip4/1.2.3.4/udp/80/webrtc-direct/certhash/" + hash + "/p2p/" + kPeer,
           "/ip4/1.2.3.4/tcp/80/p2p/" + kOther + "/p2p-circuit/webrtc/p2p/" + kPeer,
           "/memory/18446744073709551615",
           "/ip6/::ffff:1.2.3.4/tcp/1",
           "/unix/run/a b.sock",
           "/ip4/1.2.3.4/tcp/80/http/http-path/a%20b%25",
       }) {
    const auto parsed = Multiaddr::parse(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->to_string(), text);
    EXPECT_EQ(Multiaddr::from_bytes(parsed->bytes()).value(), *parsed) << text;
  }
}

TEST(Multiaddr, OtherSpellingsBecomeTheCanonicalOne) {
  const auto cid = peer(kPeer).to_cid_string();
  EXPECT_EQ(addr("/ipfs/" + kPeer).to_string(), "/p2p/" + kPeer);
  EXPECT_EQ(addr("/p2p/" + cid).to_string(), "/p2p/" + kPeer);
  EXPECT_EQ(addr("/ip4/1.2.3.4/tcp/80/").to_string(), "/ip4/1.2.3.4/tcp/80");
  EXPECT_EQ(addr("/ip6/2001:DB8::0:1/tcp/080").to_string(), "/ip6/2001:db8::1/tcp/80");
  EXPECT_EQ(addr("/http-path/%61%2f").to_string(), "/http-path/a%2F");
  EXPECT_EQ(addr("/certhash/f1202aabb").to_string(), "/certhash/uEgKquw");
}

TEST(Multiaddr, RefusesBadText) {
  for (const auto& text : std::vector<std::string>{
           "",
           "/",
           "//",
           "ip4",
           "ip4/1.2.3.4",
           "/ip4",
           "/ip4/",
           "/ip4//tcp/1",
           "//ip4/1.2.3.4",
           "/ip4/1.2.3.4//tcp/1",
           "/ip4/::1",
           "/ip4/nonsense",
           "/ip4/::/ipcidr/256",
           "/ip4/1.2.3.4/ipcidr/256",
           "/ip6",
           "/ip6/1.2.3.4",
           "/ip6/fe80::1%eth0",
           "/ip6zone",
           "/ip6zone/",
           "/ip6zone//ip6/fe80::1",
           "/udp",
           "/tcp",
           "/sctp",
           "/udp/65536",
           "/tcp/65536",
           "/tcp/-1",
           "/tcp/+1",
           "/tcp/1a",
           "/tcp/ 1",
           "/quic/65536",
           "/dns",
           "/dns/",
           "/dns4/a b",
           "/dns4/a\n",
           "/onion3/vww6ybal:80",
           "/onion3/9ww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:80",
           "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd",
           "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:",
           "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:0",
           "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:65536",
           "/udp/1234/sctp",
           "/ip4/127.0.0.1/tcp",
           "/ip4/127.0.0.1/p2p",
           "/ip4/127.0.0.1/p2p/tcp",
           "/p2p-circuit/50",
           "/unix",
           "/unix/",
           "/ip4/1.2.3.4/tcp/80/unix",
           "/certhash",
           "/certhash/b2uaraocy6yrdblb4sfptaddgimjmmp",
           "/certhash/xyz",
           "/http-path/",
           "/http-path/a%2",
           "/http-path/a%zz",
           "/memory/18446744073709551616",
           "/memory/x",
           "/p2p/" + kPeer + "x",
           "/IP4/1.2.3.4"}) {
    EXPECT_EQ(Multiaddr::parse(text).error(), Errc::malformed) << text;
  }
}

TEST(Multiaddr, RefusesBadBytes) {
  for (const auto& hex : std::vector<std::string>{
           "", "04", "04c00002", "0600", "8400c000022a", "00", "ffff", "a503", "a50300",
           "a5031220aabb", "350b6578616d", "3500", "35012f", "3501ff", "a503a600" + kPeerHex,
           "900301"
           "61",
           "9003022f61"
           "0601bb",
           "d203021200", "80"}) {
    EXPECT_EQ(Multiaddr::from_bytes(from_hex(hex).value()).error(), Errc::malformed) << hex;
  }
}

TEST(Multiaddr, HasALimit) {
  std::string text;
  for (int i = 0; i < 146; ++i) text += "/ip4/1.2.3.4/p2p-circuit";
  EXPECT_EQ(addr(text).bytes().size(), 146 * 7);
  EXPECT_EQ(Multiaddr::parse(text + "/ip4/1.2.3.4/p2p-circuit").error(), Errc::too_large);
  EXPECT_EQ(Multiaddr::parse(std::string(100'000, '/')).error(), Errc::too_large);
  const Bytes bytes(Multiaddr::kMaxBytes + 1, 0xff);
  EXPECT_EQ(Multiaddr::from_bytes(bytes).error(), Errc::too_large);
}

/// `part` as often as an address has room for it.
Bytes filled_with(const Multiaddr& part) {
  Bytes bytes;
  const auto fits = [&] { return bytes.size() + part.bytes().size() <= Multiaddr::kMaxBytes; };
  for (const auto bare = part.bytes(); fits();) bytes.insert(bytes.end(), bare.begin(), bare.end());
  return bytes;
}

TEST(Multiaddr, TheTextOfTheLongestAddressesIsReadAsWell) {
  std::vector<Multiaddr> parts{
      addr("/ip4/255.255.255.255"),
      addr("/ip6/1111:1111:1111:1111:1111:1111:1111:1111"),
      addr("/ipcidr/255"),
      addr("/udp/65535"),
      addr("/memory/18446744073709551615"),
      addr("/dnsaddr/x"),
      addr("/ip6zone/x"),
      addr("/http-path/%00"),
      addr("/p2p/" + kPeer),
      addr("/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g"),
      addr("/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:65535")};
  for (std::uint64_t code = 0; code < 1000; ++code) {
    const auto* info = multi::find_protocol(code);
    if (info && info->value_bytes == 0) parts.push_back(addr("/" + std::string(info->name)));
  }
  EXPECT_GT(parts.size(), 20U);
  std::size_t longest = 0;
  for (const auto& part : parts) {
    const auto address = Multiaddr::from_bytes(filled_with(part));
    ASSERT_TRUE(address) << part.to_string();
    const auto text = address->to_string();
    EXPECT_EQ(Multiaddr::parse(text).value(), *address) << part.to_string();
    longest = std::max(longest, text.size());
  }
  EXPECT_EQ(longest, 9 * Multiaddr::kMaxBytes);
  EXPECT_EQ(Multiaddr::parse("/ip4/1.2.3.4" + std::string(longest, '/')).error(), Errc::too_large);
}

TEST(Multiaddr, IsMadeFromAnEndpoint) {
  const Endpoint v4{IpAddress::parse("192.0.2.1").value(), 80};
  const Endpoint v6{IpAddress::parse("2001:db8::1").value(), 65535};
  EXPECT_EQ(Multiaddr::tcp(v4).to_string(), "/ip4/192.0.2.1/tcp/80");
  EXPECT_EQ(Multiaddr::udp(v6).to_string(), "/ip6/2001:db8::1/udp/65535");
  EXPECT_EQ(Multiaddr::tcp(v4).endpoint(), v4);
  EXPECT_EQ(Multiaddr::udp(v6).endpoint(), v6);
}

TEST(Multiaddr, APeerAtTheEndComesAndGoes) {
  const auto bare = addr("/ip4/192.0.2.1/tcp/80");
  const auto full = addr("/ip4/192.0.2.1/tcp/80/p2p/" + kPeer);
  EXPECT_EQ(bare.peer_id(), std::nullopt);
  EXPECT_EQ(full.peer_id(), peer(kPeer));
  EXPECT_EQ(bare.with_peer(peer(kPeer)), full);
  EXPECT_EQ(full.with_peer(peer(kPeer)), full);
  EXPECT_EQ(full.with_peer(peer(kOther)).peer_id(), peer(kOther));
  EXPECT_EQ(full.with_peer(peer(kOther)).without_peer(), bare);
  EXPECT_EQ(full.without_peer(), bare);
  EXPECT_EQ((full + addr("/p2p/" + kPeer)).without_peer(), bare);
  EXPECT_TRUE(addr("/p2p/" + kPeer).without_peer().empty());
  const auto circuit = addr("/ip4/192.0.2.1/tcp/80/p2p/" + kPeer + "/p2p-circuit");
  EXPECT_EQ(circuit.peer_id(), std::nullopt);
  EXPECT_EQ(circuit.without_peer(), circuit);
  EXPECT_EQ(full + addr("/p2p-circuit"), circuit);
}

TEST(Multiaddr, TellsWhatStandsInFront) {
  const auto zone = addr("/ip6zone/eth0/ip6/fe80::1/tcp/80");
  EXPECT_EQ(zone.ip(), IpAddress::parse("fe80::1").value());
  EXPECT_EQ(zone.endpoint()->port, 80);
  EXPECT_EQ(addr("/ip6zone/eth0/ip4/1.2.3.4").ip(), std::nullopt);
  EXPECT_EQ(addr("/ip6zone/eth0").ip(), std::nullopt);
  EXPECT_EQ(addr("/dns4/a.b/tcp/80").ip(), std::nullopt);
  EXPECT_EQ(addr("/dns4/a.b/tcp/80").endpoint(), std::nullopt);
  EXPECT_EQ(addr("/dns4/a.b/tcp/80").dns_name(), "a.b");
  EXPECT_EQ(addr("/dns4/a.b/tcp/80").port(), 80);
  EXPECT_EQ(addr("/ip4/1.2.3.4").dns_name(), std::nullopt);
  EXPECT_EQ(addr("/ip4/1.2.3.4").endpoint(), std::nullopt);
  EXPECT_EQ(addr("/ip4/1.2.3.4").port(), std::nullopt);
  EXPECT_EQ(Multiaddr().ip(), std::nullopt);
  EXPECT_EQ(Multiaddr().dns_name(), std::nullopt);
  EXPECT_EQ(Multiaddr().peer_id(), std::nullopt);
  EXPECT_EQ(Multiaddr().to_string(), "");
}

TEST(Multiaddr, OnlyIpAndTcpIsPlainTcp) {
  EXPECT_TRUE(addr("/ip4/1.2.3.4/tcp/80").is_plain_tcp());
  EXPECT_TRUE(addr("/ip6/::1/tcp/80/p2p/" + kPeer).is_plain_tcp());
  for (const auto& text : std::vector<std::string>{
           "/ip4/1.2.3.4", "/ip4/1.2.3.4/udp/80", "/dns/a/tcp/80", "/ip4/1.2.3.4/tcp/80/ws",
           "/ip6zone/x/ip6/fe80::1/tcp/80", "/ip4/1.2.3.4/tcp/80/p2p/" + kPeer + "/p2p-circuit"}) {
    EXPECT_FALSE(addr(text).is_plain_tcp()) << text;
  }
  EXPECT_FALSE(Multiaddr().is_plain_tcp());
}

TEST(Multiaddr, TransportsAreToldByAllOfTheirComponents) {
  EXPECT_TRUE(addr("/ip4/1.2.3.4/udp/80/quic-v1").is_quic_v1());
  EXPECT_TRUE(addr("/ip6/::1/udp/80/quic-v1/p2p/" + kPeer).is_quic_v1());
  EXPECT_EQ(Multiaddr::quic_v1({IpAddress::v4({1, 2, 3, 4}), 80}),
            addr("/ip4/1.2.3.4/udp/80/quic-v1"));
  for (const auto& text : std::vector<std::string>{
           "/ip4/1.2.3.4/udp/80", "/ip4/1.2.3.4/udp/80/quic", "/dns/a/udp/80/quic-v1",
           "/ip4/1.2.3.4/udp/80/quic-v1/webtransport", "/ip4/1.2.3.4/tcp/80/quic-v1"}) {
    EXPECT_FALSE(addr(text).is_quic_v1()) << text;
  }
  for (const auto& text :
       std::vector<std::string>{"/ip4/1.2.3.4/tcp/80/ws", "/ip4/1.2.3.4/tcp/80/ws/http-path/a",
                                "/ip4/1.2.3.4/tcp/80/ws/p2p/" + kPeer}) {
    EXPECT_TRUE(addr(text).is_websocket()) << text;
    EXPECT_FALSE(addr(text).is_secure_websocket()) << text;
  }
  for (const auto& text :
       std::vector<std::string>{"/ip4/1.2.3.4/tcp/80/wss", "/ip6/::1/tcp/80/tls/ws",
                                "/ip4/1.2.3.4/tcp/80/tls/sni/a.example/ws"}) {
    EXPECT_TRUE(addr(text).is_websocket()) << text;
    EXPECT_TRUE(addr(text).is_secure_websocket()) << text;
  }
  for (const auto& text :
       std::vector<std::string>{"/ip4/1.2.3.4/tcp/80", "/ip4/1.2.3.4/tcp/80/tls", "/dns/a/tcp/1/ws",
                                "/ip4/1.2.3.4/udp/80/ws", "/ip4/1.2.3.4/tcp/80/ws/ws"}) {
    EXPECT_FALSE(addr(text).is_websocket()) << text;
    EXPECT_FALSE(addr(text).is_secure_websocket()) << text;
  }
}

TEST(WebsocketAddress, HasOneSpellingAndOneName) {
  EXPECT_EQ(multi::with_tls_spelled_out(addr("/ip4/1.2.3.4/tcp/80/wss/p2p/" + kPeer)),
            addr("/ip4/1.2.3.4/tcp/80/tls/ws/p2p/" + kPeer));
  EXPECT_EQ(multi::with_tls_spelled_out(addr("/dns/a/tcp/1/ws")), addr("/dns/a/tcp/1/ws"));
  const auto named = [](const std::string& text) {
    return multi::with_server_name(addr(text), "b.example").to_string();
  };
  EXPECT_EQ(named("/dns4/a/tcp/1/wss/http-path/x"),
            "/dns4/a/tcp/1/tls/sni/b.example/ws/http-path/x");
  EXPECT_EQ(named("/ip4/1.2.3.4/tcp/1/tls/ws"), "/ip4/1.2.3.4/tcp/1/tls/sni/b.example/ws");
  for (const auto* text : {"/ip4/1.2.3.4/tcp/1/tls/sni/a.example/ws", "/ip4/1.2.3.4/tcp/1/ws",
                           "/ip4/1.2.3.4/tcp/1/tls", "/ip4/1.2.3.4/tcp/1"})
    EXPECT_EQ(named(text), text);
  EXPECT_EQ(multi::server_name(addr("/ip4/1.2.3.4/tcp/1/tls/sni/a.example/ws")), "a.example");
  EXPECT_EQ(multi::server_name(addr("/ip4/1.2.3.4/tcp/1/tls/ws")), std::nullopt);
  // No room for what it would become.
  const auto full =
      "/ip4/1.2.3.4/tcp/1/wss/http-path/" + std::string(Multiaddr::kMaxBytes - 14, 'x');
  EXPECT_EQ(multi::with_tls_spelled_out(addr(full)), addr(full));
  EXPECT_EQ(named(full), full);
}

TEST(Multiaddr, IpAndPortCanBeReplaced) {
  const auto ip = IpAddress::parse("2001:db8::1").value();
  EXPECT_EQ(addr("/ip4/0.0.0.0/tcp/0/ws").with_ip(ip).to_string(), "/ip6/2001:db8::1/tcp/0/ws");
  EXPECT_EQ(addr("/dns/a/tcp/1").with_ip(ip).to_string(), "/ip6/2001:db8::1/tcp/1");
  EXPECT_EQ(addr("/ip6zone/x/ip6/fe80::1/tcp/1").with_ip(ip).to_string(), "/ip6/2001:db8::1/tcp/1");
  EXPECT_EQ(addr("/ip4/0.0.0.0/tcp/0/p2p-circuit/tcp/1").with_port(65000).to_string(),
            "/ip4/0.0.0.0/tcp/65000/p2p-circuit/tcp/1");
  EXPECT_EQ(addr("/ip4/0.0.0.0").with_port(1).to_string(), "/ip4/0.0.0.0");
}

TEST(Multiaddr, ComponentsPointIntoIt) {
  const auto address = addr("/ip4/1.2.3.4/tcp/80/noise");
  const auto parts = address.components();
  ASSERT_EQ(parts.size(), 3);
  EXPECT_EQ(parts[1].protocol, Protocol::tcp);
  EXPECT_EQ(to_hex(parts[1].value), "0050");
  EXPECT_TRUE(parts[2].value.empty());
  EXPECT_TRUE(address.has(Protocol::noise));
  EXPECT_FALSE(address.is_relayed());
}

}  // namespace
}  // namespace pyrsia
