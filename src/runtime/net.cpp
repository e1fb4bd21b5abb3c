#include "runtime/net.hpp"

#include <algorithm>

namespace pyrsia {

void UdpMetrics::add(const UdpMetrics& other) {
  receive_calls.add(other.receive_calls.value());
  send_calls.add(other.send_calls.value());
  received.add(other.received.value());
  sent.add(other.sent.value());
  truncated.add(other.truncated.value());
  segments_refused.add(other.segments_refused.value());
}

Task<Datagram> UdpSocket::receive(std::span<std::uint8_t> out) {
  if (batch_.empty()) {
    PYRSIA_CO_TRY(batch_, co_await receive_batch());
  }
  const auto& next = batch_.front();
  std::copy_n(next.bytes.begin(), std::min(next.bytes.size(), out.size()), out.begin());
  Datagram datagram;
  datagram.from = next.from;
  datagram.size = next.bytes.size();
  batch_ = batch_.subspan(1);
  co_return datagram;
}

Result<> UdpSocket::send(const Endpoint& to, BytesView bytes) {
  OutgoingDatagram datagram;
  datagram.to = to;
  datagram.bytes = bytes;
  PYRSIA_TRY(send_batch({&datagram, 1}));
  return ok;
}

Task<UdpError> UdpSocket::receive_error() {
  co_return Errc::not_supported;
}

}  // namespace pyrsia
