#pragma once

#include "runtime/event.hpp"
#include "runtime/net.hpp"
#include "transport/quic/transport.hpp"

#include <deque>
#include <vector>

namespace pyrsia::host {

/// The UDP socket of a QUIC listener as somebody else sees it, who shares the port: receives what
/// give() hands over, and sends besides QUIC. Owned by whoever uses it; the transport must outlive
/// it.
class SharedSocket final : public UdpSocket {
 public:
  /// Datagrams that wait to be received; more are lost.
  static constexpr std::size_t kMaxWaiting = 64;

  /// `local`: where the listener's socket is bound.
  SharedSocket(Env& env, transport::quic::Transport& quic, const Endpoint& local);

  /// A datagram has arrived that is for us. False: too many wait.
  bool give(const ReceivedDatagram& datagram);

  Task<std::span<const ReceivedDatagram>> receive_batch() override;
  Result<std::size_t> send_batch(std::span<const OutgoingDatagram> datagrams) override;
  /// Errors: `Errc::not_supported`: what the socket does not take at once is lost.
  Task<> wait_writable() override;
  Endpoint local() const override { return local_; }
  void close() noexcept override;
  const UdpMetrics& metrics() const override { return metrics_; }

 private:
  struct Kept {
    ReceivedDatagram datagram;  ///< Its bytes are the next field's.
    Bytes bytes;
  };

  transport::quic::Transport& quic_;
  const Endpoint local_;
  bool is_closed_ = false;
  std::deque<Kept> waiting_;
  std::deque<Kept> taken_;
  std::vector<ReceivedDatagram> batch_;
  UdpMetrics metrics_;
  Event arrived_;
};

}  // namespace pyrsia::host
