/// TCP, secured by Noise, with yamux. Spec: libp2p/specs, connections.
#pragma once

#include "mux/yamux/session.hpp"
#include "runtime/env.hpp"
#include "secure/noise/handshake.hpp"
#include "transport/transport.hpp"

#include <pyrsia/key.hpp>
#include <pyrsia/metrics.hpp>

#include <memory>
#include <vector>

namespace pyrsia::transport::tcp {

struct Metrics {
  Counter dials_from_listen_port;
  Counter dials_from_ephemeral_port;
  Counter port_conflicts;  ///< Dials done again from an ephemeral port: the listener's was taken.
  mux::yamux::Metrics yamux;
};

/// Dials leave from the port of a listener where one fits, so that peers see the address that
/// others can reach, and NATs make one mapping. Whether it came so is told by
/// Connection::is_port_shared. Listeners and their incoming connections must not outlive it.
class Transport final : public transport::Transport {
 public:
  /// `env` must outlive it. The signature of the static key is made here, once.
  Transport(Env& env, const KeyPair& key, const mux::yamux::Config& yamux);
  ~Transport() override;

  bool can_dial(const Multiaddr& address) const override;
  /// Errors, besides those of the base: `Errc::invalid_argument` for ourselves or an address that
  /// can_dial() refuses.
  Task<Connection> dial(Multiaddr address, PeerId peer, DialOptions options) override;
  bool can_listen(const Multiaddr& address) const override;
  Result<std::unique_ptr<Listener>> listen(const Multiaddr& address) override;

  const Metrics& metrics() const { return metrics_; }

 private:
  class Accepting;
  class Accepted;

  Task<std::unique_ptr<TcpSocket>> connect(Endpoint remote, DialOptions options);
  Task<std::unique_ptr<TcpSocket>> connect_from(Endpoint remote, std::optional<Endpoint> local);
  std::optional<Endpoint> source_for(const Endpoint& remote);
  bool is_listen_port(const Endpoint& local) const;
  /// From a fresh socket to a connection with streams. No peer expected: any but ourselves will do.
  Task<Connection> upgrade(std::unique_ptr<TcpSocket> socket, Role role,
                           std::optional<PeerId> expected);

  Env& env_;
  const PeerId local_peer_;
  const mux::yamux::Config yamux_;
  const secure::noise::Identity identity_;
  std::vector<const TcpListener*> listeners_;  // Those that listen.
  Metrics metrics_;
};

}  // namespace pyrsia::transport::tcp
