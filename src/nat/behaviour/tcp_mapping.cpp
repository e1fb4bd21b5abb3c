#include "nat/behaviour/tcp_mapping.hpp"

#include "nat/behaviour/discovery.hpp"
#include "nat/stun/stream_client.hpp"
#include "runtime/timeout.hpp"

#include <memory>
#include <vector>

namespace pyrsia::nat {
namespace {

/// One connection, kept open: a mapping may end with its connection.
struct Seen {
  std::unique_ptr<TcpSocket> socket;
  std::optional<stun::Response> response;  ///< Of success.

  std::optional<Endpoint> mapped() const {
    return response ? std::optional(response->mapped) : std::nullopt;
  }
};

Task<> look(Env& env, Endpoint local, Endpoint remote, Seen& seen) {
  TcpConnectOptions options;
  options.local = local;
  PYRSIA_CO_TRY(seen.socket, co_await env.tcp_connect(remote, options));
  const auto transaction = stun::random_transaction(env);
  PYRSIA_CO_TRY(auto response, co_await stun::ask_stream(*seen.socket, remote, transaction));
  if (!response.error) seen.response = std::move(response);
  co_return ok;
}

}  // namespace

TcpBehaviour tcp_behaviour_of(const std::optional<Endpoint>& first,
                              const std::optional<Endpoint>& other_port,
                              const std::optional<Endpoint>& other_both) {
  TcpBehaviour tcp;
  if (!first) return tcp;
  tcp.is_blocked = false;
  tcp.mapped = first;
  const bool varies = (other_port && other_port != first) || (other_both && other_both != first);
  // What two ports of one address see alike may still depend on the address.
  if (varies || other_both) tcp.mapping_varies = varies;
  if (!other_port || !other_both) return tcp;
  using enum Dependence;
  if (other_port != first) {
    tcp.mapping = address_and_port_dependent;
  } else {
    tcp.mapping = other_both == first ? endpoint_independent : address_dependent;
  }
  return tcp;
}

Task<TcpBehaviour> probe_tcp(Env& env, Endpoint server, std::optional<Endpoint> other,
                             std::optional<Nat64Prefix> nat64, Duration limit) {
  Endpoint local{server.ip.is_v6() ? IpAddress::v6_any() : IpAddress::v4_any(), 0};
  std::vector<Endpoint> remotes{server};
  std::vector<Seen> seen(3);
  for (std::size_t i = 0; i < remotes.size(); ++i) {
    auto looking = look(env, local, remotes[i], seen[i]);
    const auto looked = co_await with_timeout(env, limit, std::move(looking));
    if (!looked && looked.error() == Errc::cancelled) co_return looked.error();
    if (i > 0) continue;
    if (!seen[0].response) break;
    local.port = seen[0].socket->local().port;
    if (!other) other = other_address_of(*seen[0].response, server, nat64);
    if (other) remotes.insert(remotes.end(), {Endpoint{server.ip, other->port}, *other});
  }
  auto tcp = tcp_behaviour_of(seen[0].mapped(), seen[1].mapped(), seen[2].mapped());
  if (seen[0].response) tcp.local = seen[0].socket->local();
  co_return tcp;
}

}  // namespace pyrsia::nat
