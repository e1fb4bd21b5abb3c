#include "host/reachability.hpp"

#include <gtest/gtest.h>

#include <random>

namespace pyrsia::host {
namespace {

using namespace std::chrono_literals;
using autonat::Status;
using enum pyrsia::Reachability;

const auto kPublic = *Multiaddr::parse("/ip4/5.6.7.8/tcp/4001");
const auto kOther = *Multiaddr::parse("/ip4/5.6.7.8/tcp/4002");

PeerId peer(std::uint8_t number) {
  Bytes bytes{0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
  bytes.resize(38, number);
  return *PeerId::from_bytes(bytes);
}

autonat::ProbeResult result(Status status, std::uint8_t server = 1) {
  autonat::ProbeResult out{peer(server), IpAddress::v4({9, 9, server, 9}), status, "", {},
                           {kPublic}};
  if (status == Status::ok) out.address = kPublic;
  return out;
}

struct ReachabilityTest : testing::Test {
  ReachabilityTest() { tracker.set_candidates({{kPublic, "observed", 2}}, now); }

  std::optional<StatusChanged> add(Status status, std::uint8_t server = 1) {
    now += 10s;
    return tracker.add_result(result(status, server), true, now);
  }

  TimePoint now{};
  ReachabilityTracker tracker;
};

TEST_F(ReachabilityTest, FirstResultCountsAtOnce) {
  EXPECT_EQ(tracker.status(), unknown);
  const auto change = add(Status::dial_error);

  ASSERT_TRUE(change);
  EXPECT_EQ(change->old_status, unknown);
  EXPECT_EQ(change->new_status, unreachable);
  EXPECT_FALSE(change->address);
  EXPECT_EQ(tracker.confidence(), 0);
}

TEST_F(ReachabilityTest, SettledStatusNeedsFourContraryResults) {
  add(Status::ok);
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(add(Status::ok));
  EXPECT_EQ(tracker.confidence(), 3);

  for (int left = 2; left >= 0; --left) {
    EXPECT_FALSE(add(Status::dial_error));
    EXPECT_EQ(tracker.confidence(), left);
    EXPECT_EQ(tracker.status(), reachable);
  }
  const auto change = add(Status::dial_error);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->old_status, reachable);
  EXPECT_EQ(change->new_status, unreachable);
  EXPECT_EQ(tracker.confidence(), 0);
}

TEST_F(ReachabilityTest, RefusalsAndErrorsAreNoEvidence) {
  for (const auto status : {Status::dial_refused, Status::bad_request, Status::internal_error}) {
    EXPECT_FALSE(add(status));
    EXPECT_EQ(tracker.status(), unknown);
  }
  EXPECT_NE(tracker.report(now).reason.find("E_INTERNAL_ERROR"), std::string::npos);
}

TEST_F(ReachabilityTest, AnotherPublicAddressIsTakenOverSilently) {
  add(Status::ok);
  auto other = result(Status::ok);
  other.address = kOther;
  EXPECT_FALSE(tracker.add_result(other, true, now));
  EXPECT_EQ(tracker.public_address(), kOther);
}

TEST_F(ReachabilityTest, ProbesEveryTenSecondsUntilSettledThenEveryThirty) {
  add(Status::ok);
  EXPECT_EQ(tracker.next_probe(), now + 10s);
  add(Status::ok);
  add(Status::ok);
  EXPECT_EQ(tracker.next_probe(), now + 10s);
  add(Status::ok);
  EXPECT_EQ(tracker.next_probe(), now + 30s);
  // Nor later when somebody connects to us: old servers close a link that is silent for 40 s.
  tracker.add_inbound_connection(now);
  EXPECT_EQ(tracker.next_probe(), now + 30s);
}

TEST_F(ReachabilityTest, InboundConnectionWhileSettledAsPrivateHastensTheNextProbe) {
  for (int i = 0; i < 4; ++i) add(Status::dial_error);
  tracker.add_inbound_connection(now);
  EXPECT_EQ(tracker.next_probe(), now + 6s);
  EXPECT_NE(tracker.report(now).reason.find("1 connection came in"), std::string::npos);
}

TEST_F(ReachabilityTest, NewAddressWeakensAVerdictThatIsNotPublic) {
  for (int i = 0; i < 4; ++i) add(Status::dial_error);
  EXPECT_EQ(tracker.confidence(), 3);
  tracker.set_candidates({{kPublic, "observed", 2}, {kOther, "listen", 0}}, now);
  EXPECT_EQ(tracker.confidence(), 2);
  EXPECT_LE(*tracker.next_probe(), now + 10s);
}

TEST_F(ReachabilityTest, LostObserversAreNoEvidence) {
  add(Status::ok);
  EXPECT_FALSE(tracker.set_candidates({}, now));
  EXPECT_EQ(tracker.status(), reachable);
  EXPECT_EQ(tracker.report(now).addresses.size(), 1u);
}

TEST_F(ReachabilityTest, AnotherIpEndsTheVerdict) {
  add(Status::ok);
  const auto moved = *Multiaddr::parse("/ip4/6.6.6.6/tcp/4001");
  const auto change = tracker.set_candidates({{moved, "observed", 1}}, now);

  ASSERT_TRUE(change);
  EXPECT_EQ(change->new_status, unknown);
  EXPECT_EQ(tracker.next_probe(), now);
}

TEST_F(ReachabilityTest, GivenUpAnnouncementEndsTheVerdict) {
  tracker.set_candidates({{kPublic, "announced", 0}}, now);
  add(Status::ok);
  EXPECT_TRUE(tracker.set_candidates({}, now));
  EXPECT_EQ(tracker.status(), unknown);
}

TEST_F(ReachabilityTest, VerdictWithoutEvidenceExpires) {
  add(Status::ok);
  EXPECT_FALSE(tracker.tick(now + 15min));
  const auto change = tracker.tick(now + 15min + 1s);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->new_status, unknown);
  EXPECT_FALSE(tracker.tick(now + 1h));
}

TEST_F(ReachabilityTest, EachAddressHasAVerdictOfItsOwn) {
  tracker.set_candidates({{kPublic, "observed", 2}, {kOther, "listen", 0}}, now);
  auto failed = result(Status::dial_error);
  failed.asked = {kOther};
  tracker.add_result(failed, true, now);
  tracker.add_result(result(Status::ok, 2), true, now);

  const auto report = tracker.report(now);
  ASSERT_EQ(report.addresses.size(), 2u);
  EXPECT_EQ(report.addresses[0].address, kPublic);
  EXPECT_EQ(report.addresses[0].status, reachable);
  EXPECT_EQ(report.addresses[0].observers, 2u);
  EXPECT_EQ(report.addresses[1].status, unreachable);
  EXPECT_FALSE(tracker.may_advertise(kOther));
  EXPECT_TRUE(tracker.may_advertise(kPublic));
}

TEST_F(ReachabilityTest, ReasonsSayWhoSaidWhatWhen) {
  EXPECT_EQ(tracker.report(now).reason, "unknown: no server has answered a probe yet");
  add(Status::ok, 1);
  add(Status::ok, 2);
  const auto report = tracker.report(now + 12s);
  EXPECT_EQ(report.reason,
            "reachable: 2 boot peers in 2 different networks dialed /ip4/5.6.7.8/tcp/4001 back, "
            "last 12 s ago");
  EXPECT_EQ(report.age, 12s);
  add(Status::dial_error, 3);
  EXPECT_NE(tracker.report(now).reason.find("1 peer said otherwise since"), std::string::npos);
}

TEST_F(ReachabilityTest, SymmetricNatIsNamedAsTheCause) {
  add(Status::dial_error);
  tracker.take(NatMapping{false, false, PortMapping::endpoint_dependent, 2}, now);
  EXPECT_NE(tracker.report(now).reason.find("another port for each peer"), std::string::npos);
}

TEST_F(ReachabilityTest, NoServerCanFillTheTables) {
  for (int i = 0; i < 1000; ++i) {
    auto many = result(Status::ok, std::uint8_t(i));
    many.address = kPublic.with_port(std::uint16_t(1 + i));
    tracker.add_result(many, false, now += 1s);
  }
  EXPECT_LE(tracker.report(now).addresses.size(), 64u);
}

/// The rule of the original in its plainest form, to compare with.
struct Model {
  Reachability status = unknown;
  int confidence = 0;

  bool add(Reachability evidence) {
    if (evidence == status) {
      confidence = std::min(confidence + 1, 3);
      return false;
    }
    if (confidence > 0) {
      --confidence;
      return false;
    }
    status = evidence;
    return true;
  }
};

TEST(ReachabilityProperties, AnySequenceFollowsTheRule) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    ReachabilityTracker tracker;
    TimePoint now{};
    tracker.set_candidates({{kPublic, "observed", 1}}, now);
    Model model;
    int contrary = 0;  // In a row, since the verdict was last confirmed.
    for (int step = 0; step < 200; ++step) {
      now += std::chrono::seconds(random() % 60);
      const Status all[] = {Status::ok, Status::dial_error, Status::dial_refused,
                            Status::bad_request, Status::internal_error};
      const auto status = all[random() % 5];
      const auto before = tracker.confidence();
      const auto old_status = tracker.status();
      const auto change = tracker.add_result(result(status, std::uint8_t(random())), false, now);
      const bool is_evidence = status == Status::ok || status == Status::dial_error;
      const auto says = status == Status::ok ? reachable : unreachable;
      const bool is_flip = is_evidence && model.add(says);

      ASSERT_EQ(tracker.status(), model.status) << seed << " " << step;
      ASSERT_EQ(tracker.confidence(), model.confidence);
      ASSERT_EQ(change.has_value(), is_flip);
      if (is_flip) {
        ASSERT_EQ(before, 0);  // Never while there is confidence left.
      }
      if (!is_evidence) {
        ASSERT_EQ(tracker.status(), old_status);
      }
      if (is_evidence) contrary = says == old_status ? 0 : contrary + 1;
      if (is_flip) contrary = 0;
      ASSERT_LE(contrary, 3);
      ASSERT_EQ(tracker.public_address().has_value(), tracker.status() == reachable);
      if (step % 20 == 0) {
        ASSERT_FALSE(tracker.report(now).reason.empty());
      }
      ASSERT_GT(*tracker.next_probe(), now);
      ASSERT_FALSE(tracker.tick(now));
    }
  }
}

}  // namespace
}  // namespace pyrsia::host
