// The words in which the mapper gives its reasons.
#include "nat/portmap/mapper.hpp"

#include <algorithm>

namespace pyrsia::portmap {
namespace {

bool is_carrier_grade(const IpAddress& ip) {
  return ip.is_v4() && ip.is_in(IpAddress::v4({100, 64, 0, 0}), 10);
}

}  // namespace

std::string_view name(MappingStatus::State state) {
  switch (state) {
    case MappingStatus::State::searching: return "searching";
    case MappingStatus::State::none: return "none";
    case MappingStatus::State::useless: return "useless";
    case MappingStatus::State::granted: return "granted";
    case MappingStatus::State::confirmed: return "confirmed";
    case MappingStatus::State::broken: return "broken";
  }
  return "";
}

Report Mapper::report() const {
  Report out;
  for (const auto& [local, path] : paths_) {
    for (const auto& router : path.routers)
      out.attempts.insert(out.attempts.end(), router->attempts().begin(), router->attempts().end());
    for (const auto& router : path.failed)
      out.attempts.insert(out.attempts.end(), router->attempts().begin(), router->attempts().end());
    for (const auto& [listener, lease] : path.leases)
      out.mappings.push_back(status_of(path, listener, lease));
  }
  if (!has_looked_ && out.mappings.empty()) {
    out.words = "looking for a router";
  } else if (paths_.empty()) {
    out.words = "no router to ask: this machine has no default route with a usable address";
  } else if (out.mappings.empty()) {
    out.words = "no port of ours faces a router";
  } else {
    const auto count = std::ranges::count_if(
        out.mappings, [](const MappingStatus& each) { return each.external.has_value(); });
    out.words = std::to_string(count) + " of " + std::to_string(out.mappings.size()) +
                (out.mappings.size() == 1 ? " port is" : " ports are") + " open outside";
  }
  return out;
}

MappingStatus Mapper::status_of(const Path& path, const Listener& listener,
                                const Lease& lease) const {
  using State = MappingStatus::State;
  MappingStatus out;
  out.listener = listener;
  out.external = external_of(lease);
  for (std::size_t i = 0; i < lease.legs.size() && i < path.routers.size(); ++i)
    out.routers.push_back(path.routers[i]->route().server);
  if (!lease.legs.empty()) {
    out.method = lease.legs.front().grant->method;
    const auto end = std::ranges::min(lease.legs, {}, &Leg::expires_at).expires_at;
    if (end != TimePoint::max()) out.lifetime_left = std::max(end - env_.now(), Duration(0));
  }
  if (lease.legs.empty()) {
    out.state = lease.failure.empty() ? State::searching : State::none;
  } else if (!out.external) {
    out.state = State::useless;
  } else if (!lease.verdict) {
    out.state = State::granted;
  } else {
    out.state = *lease.verdict ? State::confirmed : State::broken;
  }
  out.words = words_of(path, lease, out.state);
  return out;
}

std::string Mapper::words_of(const Path& path, const Lease& lease,
                             MappingStatus::State state) const {
  using State = MappingStatus::State;
  if (state == State::searching) return "asking " + path.network.gateway.ip.to_string();
  if (state == State::none) return lease.failure;
  const auto hops = std::min(lease.legs.size(), path.routers.size());
  std::string text;
  for (std::size_t i = 0; i < hops; ++i) {
    const auto& router = *path.routers[i];
    text += (i == 0 ? "" : ", ") + router.route().server.to_string() + " maps it to " +
            lease.legs[i].grant->external.to_string() + " by " +
            std::string(name(lease.legs[i].grant->method));
  }
  const auto external = lease.legs.back().grant->external;
  const auto last = hops == 0 ? path.network.gateway.ip : path.routers[hops - 1]->route().server;
  switch (state) {
    case State::useless:
      text += is_carrier_grade(external.ip) ? ", an address of the provider's own NAT (CGNAT)"
                                            : ", which is not public: another router is beyond";
      if (!lease.failure.empty()) return text + "; there: " + lease.failure;
      return text + ", and none beyond answers";
    case State::granted: return text + "; nobody has tried it from outside yet";
    case State::confirmed: return text + "; a dial-back came through";
    default: break;
  }
  text += "; a dial-back did not come through: ";
  if (observed_.empty()) return text + "something between there and us drops it";
  if (std::ranges::find(observed_, external.ip) != observed_.end()) {
    return text + "peers see us at that address, so it is " + last.to_string() +
           " that does not do what it says, or a firewall of this machine";
  }
  return text + "peers see us at " + observed_.front().to_string() +
         ", so another router is beyond " + last.to_string();
}

}  // namespace pyrsia::portmap
