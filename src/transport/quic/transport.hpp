/// QUIC version 1: encrypted, multiplexed, over UDP. Spec: RFC 9000, 9001, 9002; libp2p/specs,
/// quic.
#pragma once

#include "runtime/task_group.hpp"
#include "transport/quic/config.hpp"
#include "transport/quic/datagram_sink.hpp"
#include "transport/transport.hpp"

#include <pyrsia/log.hpp>

#include <memory>
#include <string_view>
#include <vector>

namespace pyrsia::transport::quic {

inline constexpr std::string_view kSecurity = "/tls/1.0.0";
inline constexpr std::string_view kMuxer = "quic-v1";

class Credentials;
class Port;
struct Shared;

/// Dials leave from the socket of a listener where one fits, so that peers see the address that
/// others can reach, and NATs make one mapping. Others may use the same socket, see
/// set_other_sink(). Connections, listeners and dials must not outlive it. To be stopped, where
/// anything was dialed or listened on.
class Transport final : public transport::Transport {
 public:
  /// `env` must outlive it. The certificate is made here, once.
  Transport(Env& env, const KeyPair& key, const Config& config, Logger log);
  Transport(Env& env, const KeyPair& key, const Config& config);  ///< Without a log.
  /// With a certificate that was made elsewhere.
  Transport(Env& env, const KeyPair& key, const Config& config, Credentials credentials,
            Logger log);
  ~Transport() override;

  bool can_dial(const Multiaddr& address) const override;
  /// The connection is usable before the peer has judged us, see Muxer::wait_confirmed().
  /// Errors: `Errc::timed_out`, `Errc::refused`, `Errc::unreachable`, `Errc::wrong_peer`,
  /// `Errc::bad_signature` and others of its certificate, `Errc::not_supported` (another version
  /// or protocol), `Errc::invalid_argument` (ourselves, or an address that can_dial() refuses),
  /// those of Env::udp_bind().
  Task<Connection> dial(Multiaddr address, PeerId peer, DialOptions options) override;
  bool can_listen(const Multiaddr& address) const override;
  Result<std::unique_ptr<Listener>> listen(const Multiaddr& address) override;
  Task<> stop() override;

  /// Gets what is not QUIC from now on; nullptr: nobody does. Must outlive the transport or be
  /// taken away.
  void set_other_sink(DatagramSink* sink);
  /// Where the sockets of our listeners are bound.
  std::vector<pyrsia::Endpoint> sockets() const;
  /// Sends from the listener's socket that is bound to `local`. Errors: `Errc::not_found`, those
  /// of UdpSocket::send_batch().
  Result<> send_from(const pyrsia::Endpoint& local, const OutgoingDatagram& datagram);
  /// The same of many, in one call; none is kept where the socket is full. How many of the first
  /// were sent.
  Result<std::size_t> send_batch_from(const pyrsia::Endpoint& local,
                                      std::span<const OutgoingDatagram> datagrams);

  const Metrics& metrics() const;
  /// Of all its sockets.
  UdpMetrics udp_metrics() const;
  /// Handshakes under way of those who came to us.
  std::size_t half_open_count() const;

 private:
  class Accepting;
  class Accepted;

  Result<std::shared_ptr<Port>> listening_port(const pyrsia::Endpoint& local) const;
  Result<std::shared_ptr<Port>> open_port(const pyrsia::Endpoint& local, bool is_for_one_dial);
  Result<std::shared_ptr<Port>> port_for(const pyrsia::Endpoint& remote,
                                         const DialOptions& options);
  Task<> serve(Port& port);
  Task<> watch_network();

  std::unique_ptr<Shared> shared_;
  std::vector<std::shared_ptr<Port>> ports_;
  bool is_stopping_ = false;
  bool is_watching_ = false;
  TaskGroup watching_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::transport::quic
