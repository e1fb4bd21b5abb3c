#include "nat/behaviour/pair.hpp"

namespace pyrsia::nat {
namespace {

using enum Dependence;

/// Of the family that its facts about UDP and TCP are of.
bool is_v6(const Report& report) {
  const auto& seen_at = report.udp.mapped ? report.udp.mapped : report.tcp.mapped;
  return seen_at && seen_at->ip.is_v6();
}

/// The router itself has the public address, and opens ports of ours when it is asked to.
bool has_port_opened(const Report& report) {
  return report.gateway.is_mapped == true && report.position == Position::home_nat;
}

bool has_no_filter(const UdpBehaviour& udp) {
  return udp.has_nat == false && udp.filtering == endpoint_independent;
}

bool is_blocked(const Report& report) {
  if (report.udp.is_blocked) return *report.udp.is_blocked;
  return report.tcp.is_blocked == false || report.has_tls == true;
}

/// Over what strangers get in. What peers have tried counts for more than what was measured.
WaysIn ways_into(const Report& report) {
  if (report.reachable == Reachability::unreachable) return {};
  const bool is_reached = report.reachable == Reachability::reachable;
  if (is_reached && report.ways_in) return *report.ways_in;
  WaysIn ways;
  if (is_blocked(report)) {
    (is_v6(report) ? ways.tcp_v6 : ways.tcp_v4) = is_reached;
  } else {  // Of TCP nothing is known.
    (is_v6(report) ? ways.udp_v6 : ways.udp_v4) =
        is_reached || has_no_filter(report.udp) || has_port_opened(report);
  }
  return ways;
}

/// Where nothing is known, IPv4 gets out and IPv6 does not.
bool gets_out(const Report& report, bool over_v6, bool over_udp) {
  if (over_v6 != is_v6(report)) return over_v6 && report.has_ipv6 == true;
  return over_udp ? !is_blocked(report) : report.tcp.is_blocked != true;
}

bool gets_to(const Report& from, const Report& to) {
  const auto ways = ways_into(to);
  return (ways.udp_v4 && gets_out(from, false, true)) ||
         (ways.tcp_v4 && gets_out(from, false, false)) ||
         (ways.udp_v6 && gets_out(from, true, true)) ||
         (ways.tcp_v6 && gets_out(from, true, false));
}

/// A firewall there may be: it lets in who was sent to.
bool has_plain_v6(const Report& report) {
  return report.has_ipv6 == true && report.has_nat_v6 == false;
}

/// One outer endpoint for all; also without any NAT.
std::optional<bool> is_easy(const UdpBehaviour& udp) {
  if (udp.has_nat == false) return true;
  if (udp.mapping) return *udp.mapping == endpoint_independent;
  if (udp.mapping_varies) return !*udp.mapping_varies;
  return std::nullopt;
}

/// The same for TCP, where few servers show the whole of it.
std::optional<bool> is_easy_for_tcp(const Report& report) {
  if (report.udp.has_nat == false) return true;
  if (report.tcp.mapping) return *report.tcp.mapping == endpoint_independent;
  if (report.tcp.mapping_varies == true) return false;
  return std::nullopt;
}

Prediction over_tcp(const Report& one, const Report& other) {
  const auto one_easy = is_easy_for_tcp(one);
  const auto other_easy = is_easy_for_tcp(other);
  if (one_easy == false || other_easy == false)
    return {Path::relay, "UDP is blocked for one side, and a NAT maps TCP anew each time"};
  if (!one_easy || !other_easy)
    return {std::nullopt, "UDP is blocked for one side, and how a NAT maps TCP is not known"};
  return {Path::punch_tcp,
          "UDP is blocked for one side, but both keep one outer port for TCP: "
          "simultaneous connects meet"};
}

/// One side keeps its outer endpoint, the other changes it.
Prediction easy_with_hard(const UdpBehaviour& easy, const UdpBehaviour& hard) {
  if (!easy.filtering)
    return {std::nullopt, "one NAT changes its port, and how the other one filters is not known"};
  if (*easy.filtering != address_and_port_dependent)
    return {Path::punch,
            "one NAT changes its port, but the other one lets in any port of an address that was "
            "contacted"};
  const auto can_guess = is_predictable(hard);
  if (!can_guess)
    return {std::nullopt,
            "one NAT changes its port, in which order is not known, and the other filters by port"};
  if (*can_guess)
    return {Path::punch_by_prediction,
            "one NAT changes its port in an order that can be guessed, and the other filters by "
            "port"};
  return {Path::relay,
          "one NAT takes a random port for each peer, and the other lets in only the port that it "
          "sent to"};
}

Prediction hard_with_hard(const UdpBehaviour& one, const UdpBehaviour& other) {
  const auto one_guess = is_predictable(one);
  const auto other_guess = is_predictable(other);
  if (one_guess == false || other_guess == false)
    return {Path::relay, "both NATs change their ports, at least one of them at random"};
  if (!one_guess || !other_guess)
    return {std::nullopt, "both NATs change their ports, in which order is not known"};
  return {Path::punch_by_prediction,
          "both NATs change their ports, but both in an order that can be guessed"};
}

Prediction over_udp(const UdpBehaviour& one, const UdpBehaviour& other) {
  const auto one_easy = is_easy(one);
  const auto other_easy = is_easy(other);
  if (!one_easy || !other_easy) return {std::nullopt, "how a NAT maps is not known"};
  if (*one_easy && *other_easy)
    return {Path::punch, "both keep one outer port for all peers: packets sent at once meet"};
  if (*one_easy) return easy_with_hard(one, other);
  if (*other_easy) return easy_with_hard(other, one);
  return hard_with_hard(one, other);
}

bool share_outer_ip(const Report& one, const Report& other) {
  return one.udp.mapped && other.udp.mapped && one.udp.has_nat == true &&
         other.udp.has_nat == true && one.udp.mapped->ip == other.udp.mapped->ip;
}

/// One outer address: of one home, or of a carrier for many. Nothing: packets are turned around
/// there, so the two are as good as elsewhere.
std::optional<Prediction> behind_one_nat(const Report& one, const Report& other) {
  if (one.position == Position::home_nat || other.position == Position::home_nat)
    return Prediction{Path::direct,
                      "both are behind the same router: they meet by their inner addresses"};
  const bool is_carrier =
      one.position == Position::carrier_nat || other.position == Position::carrier_nat;
  const bool is_refused = one.udp.has_hairpin == false || other.udp.has_hairpin == false;
  if (is_carrier && is_refused)
    return Prediction{Path::relay,
                      "both are behind the same carrier's NAT, which does not turn packets around"};
  if (is_refused || (!one.udp.has_hairpin && !other.udp.has_hairpin))
    return Prediction{std::nullopt,
                      "both have one outer address: whether that is one home's or a carrier's NAT, "
                      "and whether it turns packets around, is not known"};
  return std::nullopt;
}

/// Over the family that was probed in full.
Prediction over_first_family(const Report& one, const Report& other) {
  if (is_v6(one) != is_v6(other))
    return {std::nullopt, "one side was probed over IPv4 and the other over IPv6"};
  if (share_outer_ip(one, other))
    if (auto told = behind_one_nat(one, other)) return *std::move(told);
  if (is_blocked(one) || is_blocked(other)) return over_tcp(one, other);
  return over_udp(one.udp, other.udp);
}

}  // namespace

std::string_view name(Path path) {
  switch (path) {
    case Path::direct: return "direct";
    case Path::punch: return "punch";
    case Path::punch_by_prediction: return "punch_by_prediction";
    case Path::punch_tcp: return "punch_tcp";
    case Path::relay: return "relay";
  }
  return "";
}

Prediction predict(const Report& one, const Report& other) {
  if (gets_to(one, other) || gets_to(other, one))
    return {Path::direct, "one side can be connected to by the other, without any help"};
  auto told = over_first_family(one, other);
  const bool is_good = told.path == Path::direct || told.path == Path::punch;
  if (!is_good && has_plain_v6(one) && has_plain_v6(other))
    return {Path::punch, "both have IPv6, without a NAT: packets sent at once meet"};
  return told;
}

}  // namespace pyrsia::nat
