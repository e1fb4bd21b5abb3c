#include "host/nat64_route.hpp"

#include "runtime/timeout.hpp"

#include <utility>

namespace pyrsia::host {
namespace {

constexpr Duration kLookupLimit = std::chrono::seconds(1);

}  // namespace

Task<> Nat64Route::learn(std::vector<AdvertisedNat64> advertised) {
  std::optional<nat::Nat64Prefix> prefix;
  is_unanswered_ = false;
  if (nat::has_ipv6_only(env_)) {
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
