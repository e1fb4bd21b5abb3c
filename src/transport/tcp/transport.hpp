/// TCP, plain or under a WebSocket, secured by Noise or TLS, with yamux.
/// Spec: libp2p/specs, connections, websockets.
#pragma once

#include "mux/yamux/session.hpp"
#include "runtime/env.hpp"
#include "secure/noise/handshake.hpp"
#include "secure/tls/handshake.hpp"
#include "transport/transport.hpp"
#include "transport/ws/tls.hpp"
#include "wire/buffered_stream.hpp"

#include <pyrsia/key.hpp>
#include <pyrsia/metrics.hpp>

#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace pyrsia::transport::tcp {

struct Config {
  mux::yamux::Config yamux;
  /// What we speak, best first. As listener we take any of them, as dialer we propose the first
  /// and, if it is refused, dial again for the next.
  std::vector<std::string> securities = {std::string(secure::noise::kProtocol),
                                         std::string(secure::tls::kProtocol)};
};

struct Metrics {
  Counter dials_from_listen_port;
  Counter dials_from_ephemeral_port;
  Counter port_conflicts;  ///< Dials done again from an ephemeral port: the listener's was taken.
  Counter refused_securities;  ///< Dials that were done again with the next security protocol.
  Counter web_tls_handshakes;  ///< Below WebSockets, of both roles.
  Counter web_tls_failed;      ///< Of these.
  mux::yamux::Metrics yamux;
};

/// Dials leave from the port of a listener where one fits, so that peers see the address that
/// others can reach, and NATs make one mapping. Whether it came so is told by
/// Connection::is_port_shared. Below a WebSocket no port is shared: who sees that address could
/// not say what others reach at it.
/// A plain listener, one for WebSockets and one for secure ones may have the same endpoint: the
/// first byte tells who comes. The one opened first owns the socket; with it the others end.
/// Secure ones need a certificate, see set_certificate(). Listeners and their incoming connections
/// must not outlive it.
class Transport final : public transport::Transport {
 public:
  /// `env` must outlive it. What proves our identity is signed here, once: a static key and a
  /// certificate. `config` names at least one security protocol, and none that there is not.
  Transport(Env& env, const KeyPair& key, const Config& config);
  ~Transport() override;

  bool can_dial(const Multiaddr& address) const override;
  /// Errors, besides those of the base: `Errc::invalid_argument` for ourselves or an address that
  /// can_dial() refuses.
  Task<Connection> dial(Multiaddr address, PeerId peer, DialOptions options) override;
  bool can_listen(const Multiaddr& address) const override;
  Result<std::unique_ptr<Listener>> listen(const Multiaddr& address) override;

  /// Whom we trust when we dial secure WebSockets, from now on; before: the roots of the system.
  /// Errors: those of crypto::make_web_client().
  Result<> set_trust(const crypto::WebTrust& trust, std::string* detail) {
    return web_tls_.set_trust(trust, detail);
  }
  /// What secure WebSockets that we accept are shown from now on.
  void set_certificate(std::shared_ptr<const crypto::TlsContext> certificate) {
    web_tls_.set_certificate(std::move(certificate));
  }

  const Metrics& metrics() const { return metrics_; }

 private:
  class Accepting;
  class Sharing;
  class Accepted;
  enum class Kind : std::uint8_t { plain, websocket, secure_websocket };
  static constexpr std::size_t kKinds = 3;
  static Kind kind_of(const Multiaddr& address);
  static Kind kind_of(std::uint8_t first_byte);
  /// What a listener takes.
  using Kinds = std::bitset<kKinds>;
  /// A connection before it is secured.
  struct Link {
    std::unique_ptr<wire::BufferedStream> stream;
    Multiaddr local;
    Multiaddr remote;
    bool is_shared = false;
    std::string* detail = nullptr;  ///< Of whoever waits for the connection; or none.
  };

  Task<std::unique_ptr<TcpSocket>> connect(Endpoint remote, DialOptions options);
  Task<std::unique_ptr<TcpSocket>> connect_from(Endpoint remote, std::optional<Endpoint> local);
  std::optional<Endpoint> source_for(const Endpoint& remote);
  bool is_listen_port(const Endpoint& local) const;
  Link link_of(std::unique_ptr<TcpSocket> socket, Role role);
  Task<Connection> dial_once(const Multiaddr& address, DialOptions options, std::string security,
                             const PeerId& peer);
  Task<Link> open_websocket(Link link, Multiaddr address, std::string host_name);
  Task<Link> accept_web_tls(Link link);
  /// Finds out what came in, by its first byte.
  Task<Link> accept_kind(Link link, Kinds kinds);
  Task<Connection> accept_upgrade(Link link, Kinds kinds);
  /// To a connection with streams, by one of `securities`. No peer expected: any but ourselves
  /// will do.
  Task<Connection> upgrade(Link link, Role role, std::vector<std::string> securities,
                           std::optional<PeerId> expected);
  Task<secure::Secured> secure(std::unique_ptr<Stream> stream, Role role, std::string security,
                               std::optional<PeerId> expected, std::string* detail);
  /// Our security protocols, in the order in which to propose them to `peer`.
  std::vector<std::string> securities_for(const PeerId& peer) const;
  void remember(const PeerId& peer, const std::string& security);

  Env& env_;
  const PeerId local_peer_;
  const Config config_;
  const secure::noise::Identity noise_;
  const secure::tls::Identity tls_;
  ws::WebTls web_tls_;
  std::map<PeerId, std::string> securities_of_;  ///< Of peers that refused our first.
  std::vector<Accepting*> listeners_;            // Those that listen.
  Metrics metrics_;
};

}  // namespace pyrsia::transport::tcp
