#pragma once

#include "runtime/net.hpp"

namespace pyrsia::transport::quic {

/// Takes what arrives at the sockets of QUIC and is none of it: STUN, the padding of hole punches.
class DatagramSink {
 public:
  virtual ~DatagramSink() = default;
  /// `local`: where the socket is bound. False: it is not for this one either. May send at once.
  virtual bool on_datagram(const pyrsia::Endpoint& local, const ReceivedDatagram& datagram) = 0;
};

}  // namespace pyrsia::transport::quic
