#pragma once

#include "runtime/net.hpp"

namespace pyrsia::transport::quic {

/// Takes what arrives at the sockets of QUIC and is none of it: STUN, the padding of hole punches.
class DatagramSink {
 public:
  virtual ~DatagramSink() = default;
  /// `local`: where the socket is bound. False: it is not for this one either. May send at once.
  virtual bool on_datagram(const pyrsia::Endpoint& local, const ReceivedDatagram& datagram) = 0;
  /// No more will come at once: the time to send what answers the last ones.
  virtual void on_batch_end(const pyrsia::Endpoint& /*local*/) {}
};

}  // namespace pyrsia::transport::quic
