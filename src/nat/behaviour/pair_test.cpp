#include "nat/behaviour/pair.hpp"

#include "sim/nat_kinds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace pyrsia::nat {
namespace {

using enum Dependence;

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}

// What a probe finds behind the kinds of the simulation is tested in survey_test.cpp.

Dependence known(sim::Dependence dependence) {
  return static_cast<Dependence>(dependence);
}

Allocation known(sim::PortAllocation allocation) {
  switch (allocation) {
    case sim::PortAllocation::preserve: return Allocation::preserved;
    case sim::PortAllocation::contiguous: return Allocation::contiguous;
    case sim::PortAllocation::sequential: return Allocation::sequential;
    case sim::PortAllocation::parity: return Allocation::parity;
    case sim::PortAllocation::random: return Allocation::random;
  }
  return Allocation::random;
}

/// What a probe says behind `kind`, seen from outside at `outer_ip`.
Report behind(const sim::NatKind& kind, const IpAddress& outer_ip) {
  Report report;
  report.tcp.is_blocked = false;
  report.tcp.mapped = Endpoint{outer_ip, 4000};
  report.tcp.mapping = known(kind.config.mapping);
  report.udp.is_blocked = kind.config.blocks_udp;
  if (kind.config.blocks_udp) return report;
  report.udp.mapped = report.tcp.mapped;
  report.udp.has_nat = kind.translates;
  report.udp.mapping = report.tcp.mapping;
  report.udp.mapping_varies = report.udp.mapping != endpoint_independent;
  report.udp.filtering = known(kind.config.filtering);
  if (kind.translates) report.udp.allocation = known(kind.config.allocation);
  return report;
}

const IpAddress kHere = ip("203.0.113.1");
const IpAddress kThere = ip("198.51.100.1");

Report here(std::string_view kind) {
  return behind(*sim::find_nat_kind(kind), kHere);
}
Report there(std::string_view kind) {
  return behind(*sim::find_nat_kind(kind), kThere);
}

/// A host behind a NAT box that punches as well as one can: it sends to where a STUN server has
/// seen the other, or to the next ports if those can be guessed, and to where it has heard from.
struct Puncher {
  Puncher(const sim::NatKind& kind, const IpAddress& outer_ip, unsigned seed)
      : table(config_of(kind, outer_ip), std::mt19937_64(seed)) {
    own = {kind.translates ? ip("192.168.1.2") : outer_ip, 5000};
    seen_at = leave({ip("192.0.2.1"), 3478});
    step = kind.config.port_step;
    is_guessed = kind.config.mapping != sim::Dependence::endpoint_independent &&
                 kind.config.allocation != sim::PortAllocation::random &&
                 kind.config.allocation != sim::PortAllocation::parity;
  }
  static sim::NatConfig config_of(const sim::NatKind& kind, const IpAddress& outer_ip) {
    auto config = kind.config;
    if (kind.translates) config.external = {outer_ip};
    return config;
  }
  /// Where a packet to `remote` comes from.
  Endpoint leave(const Endpoint& remote) {
    sim::Packet packet;
    packet.from = own;
    packet.to = remote;
    return table.translate_outbound(packet, TimePoint()) ? packet.from : Endpoint();
  }
  bool enters(const Endpoint& from, const Endpoint& to) {
    sim::Packet packet;
    packet.from = from;
    packet.to = to;
    return table.translate_inbound(packet, TimePoint()) == sim::NatTable::Verdict::pass &&
           packet.to == own;
  }
  std::vector<Endpoint> targets(const Puncher& other) const {
    std::vector<Endpoint> out;
    if (!other.is_guessed) out.push_back(other.seen_at);
    for (int i = 1; other.is_guessed && i <= 8; ++i) {
      const auto port = static_cast<std::uint16_t>(other.seen_at.port + i * other.step);
      out.push_back({other.seen_at.ip, port});
    }
    out.insert(out.end(), heard.begin(), heard.end());
    return out;
  }

  sim::NatTable table;
  Endpoint own;
  Endpoint seen_at;
  std::uint16_t step = 1;
  bool is_guessed = false;
  std::set<Endpoint> heard;  ///< Where packets came from.
};

/// A packet of the one gets to the other, and the answer back.
bool meet(const sim::NatKind& one_kind, const sim::NatKind& other_kind, unsigned seed) {
  Puncher one(one_kind, kHere, seed);
  Puncher other(other_kind, kThere, seed + 1000);
  for (int round = 0; round < 5; ++round) {
    for (auto* const sender : {&one, &other}) {
      auto& receiver = sender == &one ? other : one;
      for (const auto& target : sender->targets(receiver)) {
        const auto from = sender->leave(target);
        if (!receiver.enters(from, target)) continue;
        receiver.heard.insert(from);
        if (sender->enters(target, from) && receiver.leave(from) == target) return true;
      }
    }
  }
  return false;
}

// Nothing is promised that does not hold, and nothing given up that would. Six tries each: by
// chance a random port may be met.
TEST(Pair, IsRightAboutAllKindsOfNat) {
  int promised = 0;
  int given_up = 0;
  for (const auto& one : sim::nat_kinds()) {
    for (const auto& other : sim::nat_kinds()) {
      if (one.config.blocks_udp || other.config.blocks_udp) continue;  // Nothing to simulate.
      SCOPED_TRACE(std::string(one.name) + " with " + std::string(other.name));
      const auto told = predict(behind(one, kHere), behind(other, kThere));
      ASSERT_TRUE(told.path);
      int met = 0;
      for (unsigned seed = 0; seed < 6; ++seed) met += meet(one, other, seed) ? 1 : 0;
      if (*told.path == Path::relay) {
        EXPECT_LE(met, 1);
        ++given_up;
      } else {
        EXPECT_EQ(met, 6);
        ++promised;
      }
    }
  }
  EXPECT_GT(promised, given_up);
  EXPECT_GT(given_up, 30);
}

// The pairs that were measured in the lab with real kernels.
TEST(Pair, AgreesWithTheLab) {
  const std::string_view cones[] = {"full-cone", "restricted-cone", "port-restricted"};
  for (const auto one : cones)
    for (const auto other : cones) EXPECT_EQ(predict(here(one), there(other)).path, Path::punch);
  const auto path = [](std::string_view one, std::string_view other) {
    return predict(here(one), there(other)).path;
  };
  EXPECT_EQ(path("full-cone", "symmetric"), Path::punch);
  EXPECT_EQ(path("restricted-cone", "symmetric"), Path::punch);
  EXPECT_EQ(path("port-restricted", "symmetric"), Path::relay);
  EXPECT_EQ(path("symmetric", "symmetric"), Path::relay);
  EXPECT_EQ(path("port-restricted", "symmetric-sequential"), Path::punch_by_prediction);
  EXPECT_EQ(path("symmetric-sequential", "symmetric-step-2"), Path::punch_by_prediction);
  EXPECT_EQ(path("open-firewall", "symmetric"), Path::direct);
  EXPECT_EQ(path("open-firewall", "udp-blocked"), Path::punch_tcp);
  EXPECT_EQ(path("port-restricted", "udp-blocked"), Path::punch_tcp);
  EXPECT_EQ(path("symmetric", "udp-blocked"), Path::relay);
}

/// `check(one, other)` for all pairs of kinds, at two places.
template <class Check>
void for_all_pairs(const Check& check) {
  for (const auto& one : sim::nat_kinds()) {
    for (const auto& other : sim::nat_kinds()) {
      SCOPED_TRACE(std::string(one.name) + " with " + std::string(other.name));
      check(behind(one, kHere), behind(other, kThere));
    }
  }
}

std::optional<Path> path_of(const Report& one, const Report& other) {
  const auto told = predict(one, other);
  EXPECT_FALSE(told.why.empty());
  EXPECT_EQ(predict(other, one).path, told.path);
  EXPECT_EQ(predict(other, one).why, told.why);
  return told.path;
}

bool is_better_than_prediction(const std::optional<Path>& path) {
  return path == Path::direct || path == Path::punch;
}

TEST(Pair, IsTheSameFromBothSides) {
  for_all_pairs([](const Report& one, const Report& other) {
    EXPECT_TRUE(path_of(one, other));
    (void)path_of(one, Report());
  });
  EXPECT_EQ(path_of(Report(), Report()), std::nullopt);
}

TEST(Pair, Ipv6OfBothMeetsWhateverIpv4Does) {
  for_all_pairs([](Report one, Report other) {
    const auto without = path_of(one, other);
    one.has_ipv6 = true;
    one.has_nat_v6 = false;
    EXPECT_EQ(path_of(one, other), without);  // One side alone is of no use.
    other.has_ipv6 = false;
    EXPECT_EQ(path_of(one, other), without);
    other.has_ipv6 = true;
    EXPECT_EQ(path_of(one, other), without);  // Is there a NAT? Not known.
    other.has_nat_v6 = true;
    EXPECT_EQ(path_of(one, other), without);
    other.has_nat_v6 = false;
    EXPECT_TRUE(is_better_than_prediction(path_of(one, other)));
  });
}

TEST(Pair, BehindOneRouterTheyMeetInside) {
  for_all_pairs([](Report one, Report other) {
    if (one.udp.has_nat != true || other.udp.has_nat != true) return;
    other.udp.mapped->ip = one.udp.mapped->ip;
    EXPECT_EQ(path_of(one, other), std::nullopt);  // Of one home, or of a carrier's many?
    one.position = Position::home_nat;
    EXPECT_EQ(path_of(one, other), Path::direct);
    other.position = Position::double_nat;  // A second router in the same home.
    EXPECT_EQ(path_of(one, other), Path::direct);
    one.position = Position::double_nat;  // And now each behind one of its own.
    EXPECT_EQ(path_of(one, other), std::nullopt);
  });
}

TEST(Pair, BehindOneCarriersNatItMustTurnPacketsAround) {
  for_all_pairs([](Report one, Report other) {
    if (one.udp.has_nat != true || other.udp.has_nat != true) return;
    const auto apart = path_of(one, other);
    other.udp.mapped->ip = one.udp.mapped->ip;
    one.position = other.position = Position::carrier_nat;
    EXPECT_EQ(path_of(one, other), std::nullopt);
    one.udp.has_hairpin = true;
    EXPECT_EQ(path_of(one, other), apart);
    other.udp.has_hairpin = false;
    EXPECT_EQ(path_of(one, other), Path::relay);
    one.has_ipv6 = other.has_ipv6 = true;
    one.has_nat_v6 = other.has_nat_v6 = false;
    EXPECT_EQ(path_of(one, other), Path::punch);
  });
}

TEST(Pair, APortThatTheRouterOpensIsAWayInForUdp) {
  for_all_pairs([](Report one, const Report& other) {
    const auto without = path_of(one, other);
    one.gateway.is_mapped = true;  // By an inner router, for all we know.
    EXPECT_EQ(path_of(one, other), without);
    one.position = Position::double_nat;
    EXPECT_EQ(path_of(one, other), without);
    one.position = Position::home_nat;
    if (one.udp.is_blocked == false && other.udp.is_blocked == false) {
      EXPECT_EQ(path_of(one, other), Path::direct);
    } else {
      EXPECT_EQ(path_of(one, other), without);
    }
    one.reachable = Reachability::unreachable;  // Peers have tried.
    one.gateway.is_mapped = false;
    const auto refused = path_of(one, other);
    one.gateway.is_mapped = true;
    EXPECT_EQ(path_of(one, other), refused);
  });
}

TEST(Pair, WhoIsReachedOverOneFamilyIsReachedByWhoHasIt) {
  for_all_pairs([](Report one, Report other) {
    one.reachable = Reachability::unreachable;
    const auto without = path_of(one, other);
    one.reachable = Reachability::reachable;
    one.ways_in = WaysIn{.udp_v6 = true};
    EXPECT_EQ(path_of(one, other), without);
    other.has_ipv6 = true;
    EXPECT_EQ(path_of(one, other), Path::direct);
    one.ways_in = WaysIn{.tcp_v4 = true};
    EXPECT_EQ(path_of(one, other), Path::direct);
  });
}

TEST(Pair, WithoutUdpOnlyTcpIsAWayIn) {
  auto one = here("symmetric");
  const auto blocked = there("udp-blocked");
  one.reachable = Reachability::reachable;
  EXPECT_EQ(path_of(one, blocked), Path::relay);  // Over what? Not known.
  one.ways_in = WaysIn{.udp_v4 = true};
  EXPECT_EQ(path_of(one, blocked), Path::relay);
  one.ways_in = WaysIn{.udp_v4 = true, .tcp_v4 = true};
  EXPECT_EQ(path_of(one, blocked), Path::direct);
  auto reached = blocked;  // It can only be over TCP.
  reached.reachable = Reachability::reachable;
  EXPECT_EQ(path_of(reached, blocked), Path::direct);
}

TEST(Pair, WhatPeersHaveTriedCountsForMoreThanWhatWasMeasured) {
  auto open = here("open-firewall");
  open.reachable = Reachability::unreachable;
  EXPECT_EQ(path_of(open, there("port-restricted")), Path::punch);
  EXPECT_EQ(path_of(open, there("udp-blocked")), Path::punch_tcp);
}

TEST(Pair, WhoHasIpv6OnlyMeetsNobodyWhoHasIpv4Only) {
  auto v6 = here("firewall");
  v6.udp.mapped = Endpoint{ip("2001:db8::1"), 4000};
  v6.has_ipv6 = true;
  v6.has_nat_v6 = false;
  auto v4 = there("full-cone");
  EXPECT_EQ(path_of(v6, v4), std::nullopt);
  v4.reachable = Reachability::reachable;
  v4.ways_in = WaysIn{.udp_v4 = true};
  EXPECT_EQ(path_of(v6, v4), std::nullopt);
  v4.has_ipv6 = true;
  v4.has_nat_v6 = false;
  EXPECT_EQ(path_of(v6, v4), Path::punch);
}

TEST(Pair, WhatIsNotKnownIsNotGuessed) {
  EXPECT_EQ(path_of(Report(), here("full-cone")), std::nullopt);
  const auto without = [](std::string_view kind, auto UdpBehaviour::* fact) {
    auto report = here(kind);
    (report.udp.*fact).reset();
    return report;
  };
  const auto symmetric = there("symmetric");
  EXPECT_EQ(path_of(without("port-restricted", &UdpBehaviour::filtering), symmetric), std::nullopt);
  const auto in_some_order = without("symmetric", &UdpBehaviour::allocation);
  EXPECT_EQ(path_of(in_some_order, there("port-restricted")), std::nullopt);
  EXPECT_EQ(path_of(in_some_order, there("symmetric-sequential")), std::nullopt);
  EXPECT_EQ(path_of(in_some_order, symmetric), Path::relay);  // The other one is enough for that.
  auto blocked = here("udp-blocked");
  blocked.tcp.mapping.reset();
  EXPECT_EQ(path_of(blocked, there("port-restricted")), std::nullopt);
  EXPECT_EQ(path_of(blocked, symmetric), Path::relay);
  blocked.tcp = TcpBehaviour();
  EXPECT_EQ(path_of(blocked, there("port-restricted")), std::nullopt);
}

// The verdict on one side alone promises no more than its pair with the commonest other NAT holds.
TEST(Pair, AgreesWithTheVerdictOnOneSide) {
  for (const auto& kind : sim::nat_kinds()) {
    SCOPED_TRACE(kind.name);
    const auto report = behind(kind, kHere);
    const auto path = path_of(report, there("port-restricted"));
    switch (advise(report).verdict) {
      case Verdict::direct: EXPECT_TRUE(is_better_than_prediction(path)); break;
      case Verdict::degraded: EXPECT_EQ(path, Path::punch_by_prediction); break;
      case Verdict::udp_blocked: EXPECT_EQ(path, Path::punch_tcp); break;
      default: EXPECT_EQ(path, Path::relay);
    }
  }
}

}  // namespace
}  // namespace pyrsia::nat
