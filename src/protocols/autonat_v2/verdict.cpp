#include "protocols/autonat_v2/verdict.hpp"

#include <algorithm>

namespace pyrsia::autonat_v2 {
namespace {

/// The protocols of an address, as far as both ends see them alike.
std::vector<Protocol> kind_of(const Multiaddr& address) {
  std::vector<Protocol> kind;
  for (const auto& component : address.components()) {
    switch (component.protocol) {
      case Protocol::p2p:
      case Protocol::certhash:
      case Protocol::sni:
      case Protocol::ip6zone:
      case Protocol::http_path: break;
      case Protocol::wss:
        kind.push_back(Protocol::tls);
        kind.push_back(Protocol::ws);
        break;
      default: kind.push_back(component.protocol);
    }
  }
  return kind;
}

bool is_on_interface(const IpAddress& ip, const std::vector<InterfaceAddress>& interfaces) {
  return std::ranges::find(interfaces, ip, &InterfaceAddress::ip) != interfaces.end();
}

}  // namespace

bool is_consistent(const Asked& asked, const Multiaddr& claimed,
                   const swarm::ConnectionInfo& connection) {
  if (connection.direction != swarm::Direction::inbound) return false;
  if (connection.remote.is_relayed() || connection.id == asked.over) return false;
  if (connection.opened_at < asked.begin) return false;
  if (kind_of(connection.local) != kind_of(claimed)) return false;
  const auto ip = claimed.ip();
  if (!ip || !is_on_interface(*ip, asked.interfaces)) return true;
  return connection.local.ip() == ip && connection.local.port() == claimed.port();
}

Proof prove(const Asked& asked, const DialResponse& response, const ArrivedDialBack* dial_back) {
  Proof proof;
  if (response.status != ResponseStatus::ok) {
    proof.reason = std::string(name(response.status));
    return proof;
  }
  if (response.address_index >= asked.request.addresses.size()) {
    proof.reason = "the server answers for an address that it was not asked about";
    return proof;
  }
  proof.address = asked.request.addresses[response.address_index];
  const auto status = std::string(name(response.dial_status));
  if (response.dial_status == DialStatus::dial_error) {
    if (dial_back) {
      proof.reason = status + ", but the server's dial-back has arrived";
    } else {
      proof.verdict = Reachability::unreachable;
      proof.reason = status;
    }
  } else if (response.dial_status == DialStatus::unused) {
    proof.reason = "the server does not say how its dial ended";
  } else if (!dial_back) {
    proof.reason = status + ", but no dial-back has arrived";
  } else if (dial_back->is_by_open_way) {
    proof.reason = status + ", but the dial-back has come the way that our own packets had opened";
  } else if (!is_consistent(asked, *proof.address, dial_back->connection)) {
    proof.reason = status + ", but the dial-back has not arrived as it would at that address";
  } else {
    // With E_DIAL_BACK_ERROR too: the nonce is here, whatever the server has seen of that.
    proof.verdict = Reachability::reachable;
    proof.reason = status;
  }
  return proof;
}

}  // namespace pyrsia::autonat_v2
