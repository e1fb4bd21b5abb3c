#include "nat/stun/server_name.hpp"

#include <gtest/gtest.h>

namespace pyrsia::stun {
namespace {

/// "host port", "tls host port", and "ip" behind it for an address; empty: none.
std::string parsed(std::string_view text) {
  const auto server = parse_server_name(text);
  if (!server) return "";
  return (server->is_tls ? "tls " : "") + server->host + " " + std::to_string(server->port) +
         (server->ip ? " ip" : "");
}

TEST(StunServerName, IsAHostWithOrWithoutAPort) {
  EXPECT_EQ(parsed("stun.example.org"), "stun.example.org 3478");
  EXPECT_EQ(parsed("stun.example.org:19302"), "stun.example.org 19302");
  EXPECT_EQ(parsed("localhost"), "localhost 3478");
  EXPECT_EQ(parsed("192.0.2.1"), "192.0.2.1 3478 ip");
  EXPECT_EQ(parsed("192.0.2.1:53"), "192.0.2.1 53 ip");
  EXPECT_EQ(parsed("[2001:db8::1]"), "2001:db8::1 3478 ip");
  EXPECT_EQ(parsed("[2001:db8::1]:53"), "2001:db8::1 53 ip");
  EXPECT_EQ(parsed("2001:db8::1"), "2001:db8::1 3478 ip");
}

TEST(StunServerName, IsAUriOfRfc7064) {
  EXPECT_EQ(parsed("stun:example.org"), "example.org 3478");
  EXPECT_EQ(parsed("stun:example.org:8000"), "example.org 8000");
  EXPECT_EQ(parsed("stuns:example.org"), "tls example.org 5349");
  EXPECT_EQ(parsed("stuns:example.org:443"), "tls example.org 443");
  EXPECT_EQ(parsed("stun:192.0.2.1"), "192.0.2.1 3478 ip");
  EXPECT_EQ(parsed("stun:[2001:db8::1]:8000"), "2001:db8::1 8000 ip");
  EXPECT_EQ(parsed("stuns:[2001:db8::1]"), "tls 2001:db8::1 5349 ip");
  EXPECT_EQ(parsed("STUN:example.org"), "example.org 3478");
  EXPECT_EQ(parsed("Stuns:example.org"), "tls example.org 5349");
}

TEST(StunServerName, AHostMayBeCalledStun) {
  EXPECT_EQ(parsed("stun"), "stun 3478");
  EXPECT_EQ(parsed("stun:3478"), "stun 3478");
  EXPECT_EQ(parsed("stuns:443"), "stuns 443");
  EXPECT_EQ(parsed("stun:stun"), "stun 3478");
}

TEST(StunServerName, AnythingElseIsNone) {
  for (const char* bad : {"",
                          ":",
                          ":3478",
                          "stun:",
                          "stuns:",
                          "stun::3478",
                          "stun://example.org",
                          "http://x",
                          "a:b",
                          "example.org:",
                          "example.org:0",
                          "192.0.2.1:0",
                          "example.org:65536",
                          "example.org:-1",
                          "example.org:3478x",
                          "stun:example.org?transport=udp",
                          "stun:user@example.org",
                          "a b",
                          "a/b",
                          "192.0.2.1:99999",
                          "[2001:db8::1",
                          "[example.org]",
                          "[2001:db8::1]3478",
                          "-",
                          ".",
                          "a:1:2",
                          "b\xc3\xbc"
                          "cher.example"})
    EXPECT_EQ(parsed(bad), "") << bad;
  EXPECT_EQ(parsed(std::string(254, 'x')), "");
}

}  // namespace
}  // namespace pyrsia::stun
