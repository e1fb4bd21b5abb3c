#include "host/nat64_route.hpp"

#include "multi/address_class.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>
#include <utility>

namespace pyrsia::host {
namespace {

constexpr Duration kLookupLimit = std::chrono::seconds(1);

/// A private IPv4 address leads nowhere without a router: bridges of containers have one. Where a
/// CLAT gives IPv4 (RFC 6877) there is such a route.
bool has_ipv6_only(Env& env) {
  const AddressClassifier classifier;
  const auto interfaces = env.interface_addresses();
  const auto has_global = [&](bool is_v6) {
    return std::ranges::any_of(interfaces, [&](const InterfaceAddress& each) {
      return each.ip.is_v6() == is_v6 && classifier.classify(each.ip) == AddressClass::global;
    });
  };
  const auto gateways = env.default_gateways();
  const auto is_v4 = [](const Gateway& each) { return each.ip.is_v4(); };
  return has_global(true) && !has_global(false) && std::ranges::none_of(gateways, is_v4);
}

}  // namespace

Task<> Nat64Route::learn(std::vector<AdvertisedNat64> advertised) {
  std::optional<nat::Nat64Prefix> prefix;
  is_unanswered_ = false;
  if (has_ipv6_only(env_)) {
    if (!advertised.empty()) {
      prefix = nat::Nat64Prefix{advertised.front().prefix, advertised.front().bits};
    } else {
      auto finding = nat::find_nat64(env_);
      auto found = co_await with_timeout(env_, kLookupLimit, std::move(finding));
      if (!found && found.error() == Errc::cancelled) co_return found.error();
      is_unanswered_ = !found;
      prefix = found ? *std::move(found) : prefix_;
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
