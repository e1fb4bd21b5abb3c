#include "nat/behaviour/pair.hpp"

namespace pyrsia::nat {
namespace {

using enum Dependence;

/// Somebody can connect to it without any help.
bool is_open(const Report& report) {
  if (report.reachable == Reachability::reachable) return true;
  return report.udp.has_nat == false && report.udp.filtering == endpoint_independent;
}

bool is_blocked(const Report& report) {
  return report.udp.is_blocked != false && report.tcp.is_blocked == false;
}

/// One outer endpoint for all; also without any NAT.
std::optional<bool> is_easy(const UdpBehaviour& udp) {
  if (udp.has_nat == false) return true;
  if (udp.mapping) return *udp.mapping == endpoint_independent;
  if (udp.mapping_varies) return !*udp.mapping_varies;
  return std::nullopt;
}

/// Lets in what comes from another port than the one it sent to.
bool filters_loosely(const UdpBehaviour& udp) {
  return udp.filtering && *udp.filtering != address_and_port_dependent;
}

bool is_predictable(const UdpBehaviour& udp) {
  if (!udp.allocation) return false;
  return *udp.allocation == Allocation::sequential || *udp.allocation == Allocation::contiguous ||
         *udp.allocation == Allocation::preserved;
}

Prediction over_tcp(const Report& one, const Report& other) {
  if (!one.tcp.mapping || !other.tcp.mapping)
    return {std::nullopt, "UDP is blocked for one side, and how its NAT maps TCP is not known"};
  if (*one.tcp.mapping == endpoint_independent && *other.tcp.mapping == endpoint_independent)
    return {Path::punch_tcp,
            "UDP is blocked for one side, but both keep one outer port for TCP: "
            "simultaneous connects meet"};
  return {Path::relay, "UDP is blocked for one side, and the other NAT maps TCP anew each time"};
}

/// One side keeps its outer endpoint, the other changes it.
Prediction easy_with_hard(const UdpBehaviour& easy, const UdpBehaviour& hard) {
  if (filters_loosely(easy))
    return {Path::punch,
            "one NAT changes its port, but the other one lets in any port of an address that was "
            "contacted"};
  if (!easy.filtering)
    return {std::nullopt, "one NAT changes its port, and how the other one filters is not known"};
  if (is_predictable(hard))
    return {Path::punch_by_prediction,
            "one NAT changes its port in an order that can be guessed, and the other filters by "
            "port"};
  return {Path::relay,
          "one NAT takes a random port for each peer, and the other lets in only the port that it "
          "sent to"};
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
  if (is_open(one) || is_open(other))
    return {Path::direct, "one side can be connected to by everybody"};
  if (is_blocked(one) || is_blocked(other)) return over_tcp(one, other);
  const auto one_easy = is_easy(one.udp);
  const auto other_easy = is_easy(other.udp);
  if (!one_easy || !other_easy) return {std::nullopt, "how a NAT maps is not known"};
  const bool same_network = one.udp.mapped && other.udp.mapped && one.udp.has_nat == true &&
                            one.udp.mapped->ip == other.udp.mapped->ip;
  if (same_network && one.position != Position::carrier_nat)
    return {Path::direct, "both are behind the same NAT: they meet by their inner addresses"};
  if (same_network && one.udp.has_hairpin != true)
    return {Path::relay,
            "both are behind the same carrier's NAT, which does not turn packets around"};
  if (*one_easy && *other_easy)
    return {Path::punch, "both keep one outer port for all peers: packets sent at once meet"};
  if (*one_easy) return easy_with_hard(one.udp, other.udp);
  if (*other_easy) return easy_with_hard(other.udp, one.udp);
  if (is_predictable(one.udp) && is_predictable(other.udp))
    return {Path::punch_by_prediction,
            "both NATs change their ports, but both in an order that can be guessed"};
  return {Path::relay, "both NATs change their ports, at least one of them at random"};
}

}  // namespace pyrsia::nat
