#include "swarm/resolver.hpp"

#include "multi/websocket_address.hpp"
#include "swarm/dnsaddr.hpp"

#include <algorithm>

namespace pyrsia::swarm {
namespace {

struct Question {
  ResolvedAddress asked;
  int depth = 0;
};

IpFamily family_of(Protocol protocol) {
  if (protocol == Protocol::dns4) return IpFamily::v4;
  return protocol == Protocol::dns6 ? IpFamily::v6 : IpFamily::any;
}

/// What follows the first component.
BytesView tail_of(const Multiaddr& address) {
  const auto components = address.components();
  if (components.size() < 2) return {};
  const auto bytes = address.bytes();
  const auto head_end = components[0].value.data() + components[0].value.size();
  return bytes.subspan(std::size_t(head_end - bytes.data()));
}

Task<std::vector<ResolvedAddress>> resolve_name(Env& env, Multiaddr address, std::string name) {
  const auto family = family_of(address.components().front().protocol);
  PYRSIA_CO_TRY(const auto ips, co_await env.resolve(name, family));
  const auto named = multi::with_server_name(address, name);
  std::vector<ResolvedAddress> found;
  for (const auto& ip : ips) found.push_back({named.with_ip(ip), name});
  co_return found;
}

Task<std::vector<ResolvedAddress>> resolve_dnsaddr(Env& env, Multiaddr address, std::string name,
                                                   PeerId peer) {
  PYRSIA_CO_TRY(auto records, co_await env.resolve_txt("_dnsaddr." + name));
  records.resize(std::min(records.size(), ResolveBudget::kMaxRecords));
  std::vector<ResolvedAddress> found;
  for (const auto& record : records)
    if (auto answer = read_dnsaddr(record, tail_of(address), peer)) found.push_back({*answer, ""});
  co_return found;
}

}  // namespace

Task<std::vector<ResolvedAddress>> resolve(Env& env, Multiaddr address, PeerId peer,
                                           ResolveBudget& budget) {
  std::vector<ResolvedAddress> found;
  std::vector<Question> open;
  open.push_back({{std::move(address), ""}, 0});
  Error error = Errc::not_found;
  while (!open.empty()) {
    const auto question = std::move(open.back());
    open.pop_back();
    const auto& asked = question.asked.address;
    auto name = asked.dns_name();
    if (!name) {
      error = Errc::limit_reached;
      if (budget.addresses == 0) continue;
      --budget.addresses;
      found.push_back({asked.without_peer(), question.asked.name});
      continue;
    }
    if (budget.lookups == 0 || question.depth > ResolveBudget::kMaxDepth) {
      error = Errc::limit_reached;
      continue;
    }
    --budget.lookups;
    const auto is_nested = asked.components().front().protocol == Protocol::dnsaddr;
    auto lookup =
        is_nested ? resolve_dnsaddr(env, asked, *name, peer) : resolve_name(env, asked, *name);
    const auto answers = co_await std::move(lookup);
    if (!answers) {
      error = answers.error();
      if (error == Errc::cancelled) co_return error;
      continue;
    }
    // Backwards, as the last one is taken first: the order of the answer is kept.
    for (auto i = answers->size(); i-- > 0;)
      open.push_back({(*answers)[i], question.depth + int(is_nested)});
  }
  if (found.empty()) co_return error;
  co_return found;
}

}  // namespace pyrsia::swarm
