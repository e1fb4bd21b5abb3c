#include "host/shared_socket.hpp"

namespace pyrsia::host {

SharedSocket::SharedSocket(Env& env, transport::quic::Transport& quic, const Endpoint& local)
    : quic_(quic), local_(local), arrived_(env.executor()) {}

bool SharedSocket::give(const ReceivedDatagram& datagram) {
  if (is_closed_ || waiting_.size() >= kMaxWaiting) return false;
  waiting_.push_back({datagram, Bytes(datagram.bytes.begin(), datagram.bytes.end())});
  metrics_.received.add();
  arrived_.notify();
  return true;
}

Task<std::span<const ReceivedDatagram>> SharedSocket::receive_batch() {
  while (waiting_.empty() && !is_closed_) PYRSIA_CO_TRY(co_await arrived_.wait());
  if (is_closed_) co_return Errc::closed;
  metrics_.receive_calls.add();
  taken_ = std::exchange(waiting_, {});
  batch_.clear();
  for (auto& kept : taken_) {
    kept.datagram.bytes = kept.bytes;
    batch_.push_back(kept.datagram);
  }
  co_return std::span<const ReceivedDatagram>(batch_);
}

Result<std::size_t> SharedSocket::send_batch(std::span<const OutgoingDatagram> datagrams) {
  if (is_closed_) return Errc::closed;
  metrics_.send_calls.add();
  PYRSIA_TRY(const auto sent, quic_.send_batch_from(local_, datagrams));
  metrics_.sent.add(sent);
  return sent;
}

Task<> SharedSocket::wait_writable() {
  co_return Errc::not_supported;
}

void SharedSocket::close() noexcept {
  is_closed_ = true;
  arrived_.notify();
}

}  // namespace pyrsia::host
