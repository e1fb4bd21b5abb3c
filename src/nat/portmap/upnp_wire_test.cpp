#include "nat/portmap/upnp_wire.hpp"

#include <gtest/gtest.h>

namespace pyrsia::portmap::upnp {
namespace {

const std::string kUrl = "http://192.168.1.1:5000/rootDesc.xml";

std::string service(const std::string& type, const std::string& control) {
  return "<service><serviceType>urn:schemas-upnp-org:service:" + type +
         "</serviceType><serviceId>urn:upnp-org:serviceId:X</serviceId><controlURL>" + control +
         "</controlURL><eventSubURL>/evt</eventSubURL><SCPDURL>/x.xml</SCPDURL></service>";
}

std::string description(const std::string& services, const std::string& base) {
  return "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\">" +
         (base.empty() ? "" : "<URLBase>" + base + "</URLBase>") +
         "<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>"
         "<deviceList><device><serviceList>" +
         services + "</serviceList></device></deviceList></device></root>";
}

Result<std::string> search_answer(const std::string& headers) {
  const auto text = "HTTP/1.1 200 OK\r\n" + headers + "\r\n";
  return read_search_answer(as_bytes(text));
}

TEST(UpnpWire, ASearchAnswerGivesTheUrl) {
  EXPECT_EQ(search_answer("CACHE-CONTROL: max-age=120\r\n"
                          "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
                          "location:" +
                          kUrl + "\r\n"),
            kUrl);
}

TEST(UpnpWire, OtherDevicesAndBadUrlsArePassedOver) {
  EXPECT_EQ(search_answer("ST: urn:schemas-upnp-org:device:MediaRenderer:1\r\nLOCATION: " + kUrl +
                          "\r\n"),
            Errc::not_supported);
  const std::string st = "ST: urn:schemas-upnp-org:service:WANIPConnection:1\r\nLOCATION: ";
  for (const auto* url :
       {"", "https://192.168.1.1/", "http://router.example/", "http://192.168.1.1@evil.example/",
        "ftp://192.168.1.1/", "http://192.168.1.1/ x"})
    EXPECT_EQ(search_answer(st + url + "\r\n"), Errc::malformed) << url;
  EXPECT_EQ(search_answer(st + "http://192.168.1.1/" + std::string(600, 'x') + "\r\n"),
            Errc::malformed);
  EXPECT_EQ(read_search_answer(Bytes(kMaxSsdpBytes + 1)).error(), Errc::too_large);
  EXPECT_EQ(read_search_answer(as_bytes("NOTIFY * HTTP/1.1\r\n\r\n")), Errc::not_supported);
}

TEST(UpnpWire, RelativeAbsoluteAndBasedControlUrlsAllWork) {
  const std::string type = "urn:schemas-upnp-org:service:WANIPConnection:1";
  const auto relative =
      read_description(description(service("WANIPConnection:1", "/ctl/IPConn"), ""), kUrl);
  ASSERT_TRUE(relative);
  ASSERT_EQ(relative->connections.size(), 1U);
  EXPECT_EQ(relative->connections[0], (Service{type, "http://192.168.1.1:5000/ctl/IPConn"}));
  const auto absolute = read_description(
      description(service("WANIPConnection:1", "http://192.168.1.1:80/c"), ""), kUrl);
  ASSERT_TRUE(absolute);
  EXPECT_EQ(absolute->connections[0].control_url, "http://192.168.1.1:80/c");
  const auto based = read_description(
      description(service("WANIPConnection:1", "/c"), "http://192.168.1.1:81/"), kUrl);
  ASSERT_TRUE(based);
  EXPECT_EQ(based->connections[0].control_url, "http://192.168.1.1:81/c");
}

TEST(UpnpWire, ADeviceSpeaksForItselfOnly) {
  EXPECT_EQ(
      read_description(description(service("WANIPConnection:1", "http://10.0.0.1/x"), ""), kUrl)
          .error(),
      Errc::malformed);
  EXPECT_EQ(
      read_description(description(service("WANIPConnection:1", "/c"), "http://8.8.8.8/"), kUrl)
          .error(),
      Errc::malformed);
}

TEST(UpnpWire, ATypeThatCouldSplitARequestIsNone) {
  for (const std::string type :
       {"WANIPConnection:1\r\nX: y", "WANIPConnection:1\"", "WANIPConnection:1#x",
        "WANIPConnection:1 ", "WANIPConnection:1&lt;", "WANIPConnection:1\x80"})
    EXPECT_FALSE(read_description(description(service(type, "/c"), ""), kUrl)) << type;
  for (const std::string type : {"WANIPv6FirewallControl:1\r\nX: y", "WANPPPConnection:1\""}) {
    const auto found = read_description(
        description(service("WANIPConnection:1", "/ip") + service(type, "/c"), ""), kUrl);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->connections.size(), 1U) << type;
    EXPECT_FALSE(found->firewall) << type;
  }
}

TEST(UpnpWire, AControlUrlThatCouldSplitARequestIsNone) {
  for (const std::string url : {"/c HTTP/1.1\r\nX: y", "/c x", "/c\x7f", "/c\tx"})
    EXPECT_FALSE(read_description(description(service("WANIPConnection:1", url), ""), kUrl)) << url;
}

TEST(UpnpWire, BothConnectionsAndTheFirewallAreFound) {
  const auto found = read_description(
      description(service("WANIPConnection:2", "/ip") + service("WANPPPConnection:1", "/ppp") +
                      service("WANIPv6FirewallControl:1", "/v6"),
                  ""),
      kUrl);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->connections.size(), 2U);
  EXPECT_EQ(found->connections[1].control_url, "http://192.168.1.1:5000/ppp");
  ASSERT_TRUE(found->firewall);
  EXPECT_EQ(found->firewall->control_url, "http://192.168.1.1:5000/v6");
}

TEST(UpnpWire, NestedEndlessAndHugeXmlIsRefused) {
  std::string deep;
  for (int i = 0; i < 10000; ++i) deep += "<a>";
  EXPECT_EQ(read_description(deep, kUrl).error(), Errc::malformed);
  EXPECT_EQ(read_description(std::string(kMaxDescriptionBytes + 1, 'x'), kUrl).error(),
            Errc::too_large);
  EXPECT_EQ(read_description("", kUrl).error(), Errc::malformed);
  const auto longer = std::string(5000, 'y');
  EXPECT_FALSE(read_description(description(service(longer, longer), longer), kUrl).has_value());
}

TEST(UpnpWire, AFaultGivesItsCode) {
  const auto values = read_answer(
      "<s:Envelope><s:Body><s:Fault><faultcode>s:Client</faultcode><detail><UPnPError>"
      "<errorCode>718</errorCode><errorDescription>ConflictInMappingEntry</errorDescription>"
      "</UPnPError></detail></s:Fault></s:Body></s:Envelope>");
  ASSERT_TRUE(values);
  EXPECT_EQ(values->at("errorCode"), "718");
}

TEST(UpnpWire, AnAnswerIsBounded) {
  std::string many = "<a>";
  for (int i = 0; i < 300; ++i)
    many += "<n" + std::to_string(i) + ">v</n" + std::to_string(i) + ">";
  const auto values = read_answer(many + "</a>");
  ASSERT_TRUE(values);
  EXPECT_LE(values->size(), 64U);
  EXPECT_EQ(read_answer(std::string(kMaxAnswerBytes + 1, 'x')).error(), Errc::too_large);
  const auto cut = read_answer("<a><NewX>" + std::string(1000, 'z') + "</NewX></a>");
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->at("NewX").size(), 127U);
}

TEST(UpnpWire, ArgumentsCannotEndTheirElement) {
  const Service target{"urn:x:1", "http://192.168.1.1/"};
  const auto body = write_call(target, "Do", {{"A", "<&>"}});
  EXPECT_NE(body.find("<A>&lt;&amp;&gt;</A>"), body.npos);
}

TEST(UpnpWire, ErrorsHaveAConsequence) {
  EXPECT_EQ(error_of(606), Errc::refused);
  EXPECT_EQ(error_of(401), Errc::not_supported);
  EXPECT_EQ(error_of(714), Errc::not_found);
  EXPECT_EQ(error_of(728), Errc::unavailable);
  EXPECT_EQ(meaning(12345), meaning(54321));
}

}  // namespace
}  // namespace pyrsia::portmap::upnp
