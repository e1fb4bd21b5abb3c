/// STUN at the UDP ports of QUIC. Spec: RFC 9443, RFC 8489.
#pragma once

#include "host/observed_addresses.hpp"
#include "host/shared_socket.hpp"
#include "nat/stun/client.hpp"
#include "nat/stun/server.hpp"

#include <pyrsia/config.hpp>
#include <pyrsia/log.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace pyrsia::host {

struct SharedPortsMetrics {
  Counter rounds;      ///< Of asking.
  Counter answers;     ///< Of STUN servers, with an address in them.
  Counter no_answers;  ///< Servers that did not answer, or not with an address.
  Counter unresolved;  ///< Servers whose name had no address, or nobody said which.
  Counter lost;        ///< Answers that came too many at once.
};

/// Takes what arrives at the sockets of QUIC and is STUN: answers requests, where that is on, and
/// asks STUN servers from there, so that it is known where the very sockets are seen. Owned by the
/// host; the transport must outlive it.
class SharedPorts final : private transport::quic::DatagramSink {
 public:
  struct Callbacks {
    /// Further servers that may be asked now.
    std::function<std::vector<Endpoint>()> servers;
    /// Before something is sent to an address.
    std::function<void(const IpAddress& ip)> on_contact;
    std::function<void(const StunWord& word)> on_word;
  };
  /// Servers that are asked in one round, for each socket.
  static constexpr std::size_t kMaxServers = 8;

  SharedPorts(Env& env, const StunConfig& config, bool asks, transport::quic::Transport& quic,
              Callbacks callbacks, Logger log);
  ~SharedPorts() override;

  void start();
  /// Errors: none.
  Task<> stop();
  /// Sockets, servers or the network may be others: asks at once. Not more often than every second.
  void reconsider();

  const SharedPortsMetrics& metrics() const { return metrics_; }
  const stun::ClientMetrics& client_metrics() const { return client_metrics_; }
  /// Of the server, by name, for export; empty where none is on.
  std::map<std::string, std::uint64_t> server_counters() const;

 private:
  struct Side {
    std::unique_ptr<SharedSocket> answering;  ///< The server's, who only sends.
    SharedSocket* asking = nullptr;           ///< Owned by the client.
    std::unique_ptr<stun::Client> client;
  };

  bool on_datagram(const Endpoint& local, const ReceivedDatagram& datagram) override;
  void on_batch_end(const Endpoint& local) override;

  Side& side_at(const Endpoint& local);
  Task<> run();
  Task<> ask_everybody();
  Task<> ask(stun::Client& client, Endpoint server);
  Task<std::vector<Endpoint>> servers();
  /// Told once, until it has an address again.
  void tell_unresolved(const std::string& name, const Error& error);
  /// Ends what belongs to sockets that are no more.
  Task<> clear_sides(const std::vector<Endpoint>& sockets);

  Env& env_;
  StunConfig config_;
  bool asks_;
  transport::quic::Transport& quic_;
  Callbacks callbacks_;
  Logger log_;
  SharedPortsMetrics metrics_;
  stun::ClientMetrics client_metrics_;
  std::optional<stun::Server> server_;
  std::map<Endpoint, Side> sides_;  ///< By where the socket is bound; bounded by our listeners.
  /// Of sockets that are no more; they end before they go.
  std::vector<std::unique_ptr<stun::Client>> gone_;
  std::size_t answers_of_round_ = 0;
  std::set<std::string> unresolved_;  ///< Names that this was told of; bounded by the settings.
  Event wanted_;
  TaskGroup asking_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::host
