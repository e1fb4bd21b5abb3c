#include "protocols/nat_facts/wire.hpp"

#include "protocols/nat_facts/nat_facts.pb.h"

#include <algorithm>
#include <array>

namespace pyrsia::nat_facts {
namespace {

constexpr int kDependences = 3;
constexpr int kAllocations = 5;
constexpr int kPositions = 5;
/// Of a sequential allocation, up or down: ports have 16 bits.
constexpr int kMaxStep = 65535;
// The bits of ways_in.
constexpr std::uint32_t kUdp4 = 1;
constexpr std::uint32_t kTcp4 = 2;
constexpr std::uint32_t kUdp6 = 4;
constexpr std::uint32_t kTcp6 = 8;

template <class E>
int number(E value) {
  return static_cast<int>(value) + 1;
}

/// Errors: `Errc::malformed`: not one of the first `count`.
template <class E>
Result<> read_enum(bool is_there, int number, int count, std::optional<E>& out) {
  if (!is_there) return ok;
  if (number < 1 || number > count) return Errc::malformed;
  out = static_cast<E>(number - 1);
  return ok;
}

void read_flag(bool is_there, bool value, std::optional<bool>& out) {
  if (is_there) out = value;
}

Result<> read_ip(const std::string& bytes, std::optional<Endpoint>& out) {
  const auto view = as_bytes(bytes);
  if (view.size() == 4) {
    std::array<std::uint8_t, 4> v4{};
    std::ranges::copy(view, v4.begin());
    out = Endpoint{IpAddress::v4(v4), 0};
  } else if (view.size() == 16) {
    std::array<std::uint8_t, 16> v6{};
    std::ranges::copy(view, v6.begin());
    out = Endpoint{IpAddress::v6(v6), 0};
  } else {
    return Errc::malformed;
  }
  return ok;
}

Result<> read_udp(const pb::Facts& in, nat::UdpBehaviour& udp) {
  read_flag(in.has_udp_blocked(), in.udp_blocked(), udp.is_blocked);
  read_flag(in.has_udp_nat(), in.udp_nat(), udp.has_nat);
  read_flag(in.has_udp_mapping_varies(), in.udp_mapping_varies(), udp.mapping_varies);
  read_flag(in.has_udp_hairpin(), in.udp_hairpin(), udp.has_hairpin);
  if (in.has_udp_mapped_ip()) PYRSIA_TRY(read_ip(in.udp_mapped_ip(), udp.mapped));
  PYRSIA_TRY(read_enum(in.has_udp_mapping(), in.udp_mapping(), kDependences, udp.mapping));
  PYRSIA_TRY(read_enum(in.has_udp_filtering(), in.udp_filtering(), kDependences, udp.filtering));
  PYRSIA_TRY(read_enum(in.has_udp_allocation(), in.udp_allocation(), kAllocations, udp.allocation));
  if (!in.has_udp_allocation_step()) return ok;
  const auto step = in.udp_allocation_step();
  if (step < -kMaxStep || step > kMaxStep) return Errc::malformed;
  udp.allocation_step = step;
  return ok;
}

std::uint32_t bits_of(const nat::WaysIn& ways) {
  return (ways.udp_v4 ? kUdp4 : 0) | (ways.tcp_v4 ? kTcp4 : 0) | (ways.udp_v6 ? kUdp6 : 0) |
         (ways.tcp_v6 ? kTcp6 : 0);
}

Result<nat::WaysIn> ways_of(std::uint32_t bits) {
  if (bits > (kUdp4 | kTcp4 | kUdp6 | kTcp6)) return Errc::malformed;
  nat::WaysIn ways;
  ways.udp_v4 = (bits & kUdp4) != 0;
  ways.tcp_v4 = (bits & kTcp4) != 0;
  ways.udp_v6 = (bits & kUdp6) != 0;
  ways.tcp_v6 = (bits & kTcp6) != 0;
  return ways;
}

}  // namespace

Bytes encode(const nat::Report& report) {
  pb::Facts out;
  const auto& udp = report.udp;
  if (udp.is_blocked) out.set_udp_blocked(*udp.is_blocked);
  if (udp.has_nat) out.set_udp_nat(*udp.has_nat);
  if (udp.mapped)
    out.set_udp_mapped_ip(udp.mapped->ip.bytes().data(), udp.mapped->ip.bytes().size());
  if (udp.mapping_varies) out.set_udp_mapping_varies(*udp.mapping_varies);
  if (udp.mapping) out.set_udp_mapping(number(*udp.mapping));
  if (udp.filtering) out.set_udp_filtering(number(*udp.filtering));
  if (udp.allocation) out.set_udp_allocation(number(*udp.allocation));
  if (udp.allocation_step) out.set_udp_allocation_step(*udp.allocation_step);
  if (udp.has_hairpin) out.set_udp_hairpin(*udp.has_hairpin);
  const auto& tcp = report.tcp;
  if (tcp.is_blocked) out.set_tcp_blocked(*tcp.is_blocked);
  if (tcp.mapping) out.set_tcp_mapping(number(*tcp.mapping));
  if (tcp.mapping_varies) out.set_tcp_mapping_varies(*tcp.mapping_varies);
  if (report.position) out.set_position(number(*report.position));
  if (report.reachable != Reachability::unknown)
    out.set_reachable(report.reachable == Reachability::reachable);
  if (report.has_ipv6 == true && report.has_nat_v6) out.set_v6_nat(*report.has_nat_v6);
  if (report.ways_in) out.set_ways_in(bits_of(*report.ways_in));
  Bytes bytes(out.ByteSizeLong());
  out.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

Result<nat::Report> decode(BytesView bytes) {
  if (bytes.size() > kMaxMessageBytes) return Errc::too_large;
  pb::Facts in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Errc::malformed;
  nat::Report report;
  PYRSIA_TRY(read_udp(in, report.udp));
  read_flag(in.has_tcp_blocked(), in.tcp_blocked(), report.tcp.is_blocked);
  read_flag(in.has_tcp_mapping_varies(), in.tcp_mapping_varies(), report.tcp.mapping_varies);
  PYRSIA_TRY(read_enum(in.has_tcp_mapping(), in.tcp_mapping(), kDependences, report.tcp.mapping));
  PYRSIA_TRY(read_enum(in.has_position(), in.position(), kPositions, report.position));
  if (in.has_reachable())
    report.reachable = in.reachable() ? Reachability::reachable : Reachability::unreachable;
  if (in.has_v6_nat()) {
    report.has_ipv6 = true;
    report.has_nat_v6 = in.v6_nat();
  }
  if (in.has_ways_in()) {
    PYRSIA_TRY(report.ways_in, ways_of(in.ways_in()));
  }
  return report;
}

}  // namespace pyrsia::nat_facts
