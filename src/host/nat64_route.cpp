#include "host/nat64_route.hpp"

#include "multi/address_class.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>
#include <utility>

namespace pyrsia::host {
namespace {

constexpr Duration kLookupLimit = std::chrono::seconds(1);

/// Addresses of a CLAT (RFC 6877) count as any other: there IPv4 works.
bool has_ipv6_only(std::span<const InterfaceAddress> interfaces) {
  const AddressClassifier classifier;
  const auto is_of_use = [&](const InterfaceAddress& each) {
    return classifier.classify(each.ip) >= AddressClass::private_use;
  };
  const auto is_v4 = [&](const auto& each) { return each.ip.is_v4() && is_of_use(each); };
  const auto is_v6 = [&](const auto& each) { return each.ip.is_v6() && is_of_use(each); };
  return std::ranges::any_of(interfaces, is_v6) && std::ranges::none_of(interfaces, is_v4);
}

}  // namespace

Task<> Nat64Route::learn(std::vector<AdvertisedNat64> advertised) {
  std::optional<nat::Nat64Prefix> prefix;
  if (has_ipv6_only(env_.interface_addresses())) {
    if (!advertised.empty()) {
      prefix = nat::Nat64Prefix{advertised.front().prefix, advertised.front().bits};
    } else {
      auto finding = nat::find_nat64(env_);
      auto found = co_await with_timeout(env_, kLookupLimit, std::move(finding));
      if (!found && found.error() == Errc::cancelled) co_return found.error();
      if (found) prefix = *std::move(found);
    }
  }
  if (prefix && prefix != prefix_)
    log_.info("IPv4 is reached through a NAT64", {{"prefix", prefix->to_string()}});
  prefix_ = prefix;
  co_return ok;
}

std::optional<IpAddress> Nat64Route::synthesize(const IpAddress& v4) const {
  if (!prefix_) return std::nullopt;
  return nat::synthesize(*prefix_, v4);
}

}  // namespace pyrsia::host
