#include "nat/portmap/pcp_refusals.hpp"

#include "nat/portmap/epoch.hpp"

#include <algorithm>

namespace pyrsia::portmap::pcp {

Refusals::Kind Refusals::kind_of(const IpAddress& server, const Request& request) {
  const auto& mapping = *request.mapping;
  return {server,
          request.client,
          request.opcode,
          mapping.protocol,
          mapping.internal_port,
          mapping.remote,
          request.options.third_party,
          request.lifetime_seconds == 0};
}

void Refusals::add(const IpAddress& server, const Request& request, const Response& response,
                   const EpochSample& sample) {
  const auto kind = kind_of(server, request);
  std::erase_if(refusals_,
                [&](const Refusal& each) { return each.until <= sample.at || each.kind == kind; });
  if (response.lifetime_seconds == 0) return;
  if (refusals_.size() == kMaxRefusals)
    refusals_.erase(std::ranges::min_element(refusals_, {}, &Refusal::until));
  const Duration lifetime = std::chrono::seconds(response.lifetime_seconds);
  refusals_.push_back(
      {kind, response.result, sample.at + std::min(lifetime, kMaxErrorLifetime), sample});
}

std::optional<ResultCode> Refusals::of(const IpAddress& server, const Request& request,
                                       TimePoint now) const {
  const auto kind = kind_of(server, request);
  const auto found = std::ranges::find(refusals_, kind, &Refusal::kind);
  if (found == refusals_.end() || now >= found->until) return std::nullopt;
  return found->result;
}

void Refusals::heard(const IpAddress& server, const EpochSample& sample) {
  std::erase_if(refusals_, [&](const Refusal& each) {
    EpochWatch watch;
    return each.kind.server == server && watch.add(each.sample) && !watch.add(sample);
  });
}

}  // namespace pyrsia::portmap::pcp
