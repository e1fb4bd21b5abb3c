#include "nat/portmap/pcp_refusals.hpp"

#include <gtest/gtest.h>

namespace pyrsia::portmap::pcp {
namespace {

using namespace std::chrono_literals;

const IpAddress kServer = IpAddress::v4({192, 168, 1, 1});

Request asking_for(std::uint16_t port) {
  Request request;
  request.opcode = Opcode::map;
  request.lifetime_seconds = 7200;
  request.client = IpAddress::v4({192, 168, 1, 2});
  request.mapping.emplace();
  request.mapping->protocol = 6;
  request.mapping->internal_port = port;
  return request;
}

Response refusing(std::uint32_t seconds) {
  Response response;
  response.opcode = Opcode::map;
  response.result = ResultCode::no_resources;
  response.lifetime_seconds = seconds;
  return response;
}

EpochSample at(Duration now) {
  using std::chrono::duration_cast, std::chrono::seconds;
  return {static_cast<std::uint32_t>(duration_cast<seconds>(now).count()), TimePoint(now)};
}

TEST(PcpRefusals, HoldForTheLifetimeOfTheError) {
  Refusals refusals;
  const auto request = asking_for(1);
  EXPECT_EQ(refusals.of(kServer, request, TimePoint(0s)), std::nullopt);
  refusals.add(kServer, request, refusing(30), at(10s));
  EXPECT_EQ(refusals.of(kServer, request, TimePoint(39s)), ResultCode::no_resources);
  EXPECT_EQ(refusals.of(kServer, request, TimePoint(40s)), std::nullopt);
  refusals.add(kServer, request, refusing(0), at(12s));
  EXPECT_EQ(refusals.of(kServer, request, TimePoint(13s)), std::nullopt);
}

TEST(PcpRefusals, HoldForHalfAnHourAtMost) {
  Refusals refusals;
  refusals.add(kServer, asking_for(1), refusing(UINT32_MAX), at(0s));
  EXPECT_TRUE(refusals.of(kServer, asking_for(1), TimePoint(29min)));
  EXPECT_FALSE(refusals.of(kServer, asking_for(1), TimePoint(30min)));
}

TEST(PcpRefusals, AreOfTheSameQuestionToTheSameServerOnly) {
  Refusals refusals;
  const auto request = asking_for(1);
  refusals.add(kServer, request, refusing(30), at(0s));
  auto suggesting = request;
  suggesting.mapping->external.port = 7;
  EXPECT_TRUE(refusals.of(kServer, suggesting, TimePoint(1s)));
  EXPECT_FALSE(refusals.of(kServer, asking_for(2), TimePoint(1s)));
  EXPECT_FALSE(refusals.of(IpAddress::v4({10, 0, 0, 1}), request, TimePoint(1s)));
  auto other = request;
  other.mapping->protocol = 17;
  EXPECT_FALSE(refusals.of(kServer, other, TimePoint(1s)));
  other = request;
  other.lifetime_seconds = 0;
  EXPECT_FALSE(refusals.of(kServer, other, TimePoint(1s)));
  other = request;
  other.client = IpAddress::v4({192, 168, 1, 3});
  EXPECT_FALSE(refusals.of(kServer, other, TimePoint(1s)));
}

TEST(PcpRefusals, EndWithARestartAndNotWithAnHonestClock) {
  Refusals refusals;
  const auto request = asking_for(1);
  refusals.add(kServer, request, refusing(1800), at(100s));
  refusals.heard(kServer, at(160s));
  refusals.heard(IpAddress::v4({10, 0, 0, 1}), {0, TimePoint(160s)});
  EXPECT_TRUE(refusals.of(kServer, request, TimePoint(160s)));
  refusals.heard(kServer, {3, TimePoint(170s)});
  EXPECT_FALSE(refusals.of(kServer, request, TimePoint(170s)));
}

TEST(PcpRefusals, AreBounded) {
  Refusals refusals;
  for (std::uint16_t port = 1; port <= kMaxRefusals + 1; ++port)
    refusals.add(kServer, asking_for(port), refusing(100U + port), at(0s));
  EXPECT_FALSE(refusals.of(kServer, asking_for(1), TimePoint(1s)));
  EXPECT_TRUE(refusals.of(kServer, asking_for(2), TimePoint(1s)));
  EXPECT_TRUE(refusals.of(kServer, asking_for(kMaxRefusals + 1), TimePoint(1s)));
}

}  // namespace
}  // namespace pyrsia::portmap::pcp
