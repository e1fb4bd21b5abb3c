#pragma once

#include "runtime/env.hpp"
#include "runtime/event.hpp"
#include "sim/packet.hpp"

#include <deque>
#include <map>
#include <memory>
#include <string>

namespace pyrsia::sim {

class SimHost;

/// What a socket has not read yet; more is lost.
inline constexpr std::size_t kUdpQueueBytes = std::size_t(256) << 10;
inline constexpr std::size_t kMaxUdpErrors = 64;

/// One bound port: the queue between the stack and the socket.
struct UdpPort {
  UdpPort(Env& env, const Endpoint& at, const UdpOptions& wishes)
      : local(at), options(wishes), arrived(env.executor()), error_arrived(env.executor()) {}

  Endpoint local;
  UdpOptions options;
  std::deque<Packet> queue;
  std::size_t queued_bytes = 0;
  bool is_closed = false;
  Event arrived;
  std::deque<UdpError> errors;
  Event error_arrived;
};

/// The UDP of one host. Owned by its host.
class UdpStack {
 public:
  explicit UdpStack(SimHost& host) : host_(host) {}
  UdpStack(const UdpStack&) = delete;
  UdpStack& operator=(const UdpStack&) = delete;
  ~UdpStack() { close_all(); }

  Result<std::unique_ptr<UdpSocket>> bind(const Endpoint& local, const UdpOptions& options);
  void receive(Packet packet);
  /// Somebody tells of a datagram from here.
  void receive_error(const Packet& error);
  /// Pending calls end with `Errc::closed`.
  void close_all();
  std::string describe() const;

  // For sockets.
  Result<> send(const UdpPort& port, const OutgoingDatagram& datagram);
  bool operation_fails();
  void close(UdpPort& port);
  /// Leads to this stack until close_all().
  std::weak_ptr<UdpStack*> link() const { return link_; }

 private:
  std::shared_ptr<UdpPort> port_for(const Endpoint& local) const;

  SimHost& host_;
  std::shared_ptr<UdpStack*> link_ = std::make_shared<UdpStack*>(this);
  std::map<Endpoint, std::shared_ptr<UdpPort>> ports_;
};

}  // namespace pyrsia::sim
