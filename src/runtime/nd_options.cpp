#include "runtime/nd_options.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace pyrsia {
namespace {

constexpr std::uint8_t kPref64 = 38;
constexpr std::size_t kPref64Bytes = 16;
constexpr std::uint8_t kRouterAdvertisement = 134;
constexpr std::size_t kMaxOptions = 16;
/// By prefix length code. RFC 8781, 4.
constexpr std::array<unsigned, 6> kBits{96, 64, 56, 48, 40, 32};

void read_message(BytesView body, std::vector<AdvertisedNat64>& out) {
  nduseroptmsg head{};
  if (body.size() < sizeof head) return;
  std::memcpy(&head, body.data(), sizeof head);
  if (head.nduseropt_family != AF_INET6 || head.nduseropt_icmp_type != kRouterAdvertisement) return;
  auto options = body.subspan(sizeof head);
  options = options.first(std::min<std::size_t>(options.size(), head.nduseropt_opts_len));
  while (options.size() >= 2 && out.size() < kMaxOptions) {
    const std::size_t size = std::size_t(options[1]) * 8;
    if (size == 0 || size > options.size()) return;
    if (const auto read = read_pref64(options.first(size))) out.push_back(*read);
    options = options.subspan(size);
  }
}

}  // namespace

Result<AdvertisedNat64> read_pref64(BytesView option) {
  if (option.size() < 2) return Errc::malformed;
  if (option[0] != kPref64) return Errc::not_supported;
  if (option.size() != kPref64Bytes || option[1] != kPref64Bytes / 8) return Errc::malformed;
  const unsigned scaled = unsigned(option[2]) << 8 | option[3];
  const auto code = scaled & 7;
  if (code >= kBits.size()) return Errc::not_supported;
  AdvertisedNat64 out;
  out.bits = kBits[code];
  out.lifetime = std::chrono::seconds(scaled & ~7U);  // Counted in 8 s.
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(option.subspan(4, out.bits / 8), bytes.begin());
  out.prefix = IpAddress::v6(bytes);
  return out;
}

std::vector<AdvertisedNat64> read_nat64(BytesView bytes) {
  std::vector<AdvertisedNat64> out;
  while (bytes.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header{};
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > bytes.size()) break;
    if (header.nlmsg_type == RTM_NEWNDUSEROPT)
      read_message(bytes.first(header.nlmsg_len).subspan(NLMSG_HDRLEN), out);
    bytes = bytes.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), bytes.size()));
  }
  return out;
}

bool Nat64Prefixes::take(const AdvertisedNat64& advertised, TimePoint now) {
  const auto before = entries_.size();
  std::erase_if(entries_, [&](const Entry& entry) { return entry.until <= now; });
  bool has_changed = entries_.size() != before;
  const auto known = std::ranges::find_if(entries_, [&](const Entry& entry) {
    return entry.prefix == advertised.prefix && entry.bits == advertised.bits;
  });
  const bool is_known = known != entries_.end();
  const auto until = now + advertised.lifetime;
  if (advertised.lifetime == Duration(0)) {
    if (is_known) entries_.erase(known);
    return has_changed || is_known;
  }
  if (is_known) {
    known->until = until;
    return has_changed;
  }
  if (entries_.size() >= kMaxPrefixes)
    entries_.erase(std::ranges::min_element(entries_, {}, &Entry::until));
  entries_.push_back({advertised.prefix, advertised.bits, until});
  return true;
}

std::vector<AdvertisedNat64> Nat64Prefixes::good(TimePoint now) const {
  std::vector<AdvertisedNat64> out;
  for (const auto& entry : entries_)
    if (entry.until > now) out.push_back({entry.prefix, entry.bits, entry.until - now});
  return out;
}

}  // namespace pyrsia
