#pragma once

#include <cstddef>

namespace pyrsia::transport::quic {

/// How much a server may send to an address that nobody has proved to be the client's: always less
/// than three times what has come from there, headers included, whoever counts. RFC 9000, 8.1,
/// allows three times, and counts payloads.
class AddressBudget {
 public:
  void received(std::size_t datagram_bytes) { received_bytes_ += datagram_bytes; }
  void sent(std::size_t datagram_bytes) { spent_bytes_ += kHeaderBytes + datagram_bytes; }
  /// The largest datagram that may leave now, in bytes; 0: none.
  std::size_t room() const {
    const auto limit = kFactor * received_bytes_;
    const auto spent = spent_bytes_ + kHeaderBytes;
    return limit > spent ? limit - spent - 1 : 0;
  }

 private:
  static constexpr std::size_t kFactor = 3;
  /// Ethernet, IPv6 and UDP have 62. What comes is counted without.
  static constexpr std::size_t kHeaderBytes = 64;

  std::size_t received_bytes_ = 0;
  std::size_t spent_bytes_ = 0;
};

}  // namespace pyrsia::transport::quic
