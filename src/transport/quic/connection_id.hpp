#pragma once

#include <pyrsia/bytes.hpp>

#include <ngtcp2/ngtcp2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace pyrsia::transport::quic {

/// Bytes of the connection ids that we give out; a short header does not say how many there are.
inline constexpr std::size_t kConnectionIdBytes = 8;

/// A connection id as a key. Spec: RFC 9000, 5.1.
class ConnectionId {
 public:
  explicit ConnectionId(BytesView bytes)
      : size_(static_cast<std::uint8_t>(std::min<std::size_t>(bytes.size(), NGTCP2_MAX_CIDLEN))) {
    std::copy_n(bytes.begin(), size_, bytes_.begin());
  }
  explicit ConnectionId(const ngtcp2_cid& cid) : ConnectionId(BytesView(cid.data, cid.datalen)) {}

  BytesView bytes() const { return {bytes_.data(), size_}; }
  ngtcp2_cid ngtcp2() const {
    ngtcp2_cid cid;
    ngtcp2_cid_init(&cid, bytes_.data(), size_);
    return cid;
  }
  bool operator==(const ConnectionId&) const = default;

  /// Keyed, so that peers, who choose some ids, cannot aim at one bucket.
  struct Hash {
    std::uint64_t key = 0;

    std::size_t operator()(const ConnectionId& id) const noexcept {
      std::array<std::uint64_t, 3> words{};
      std::memcpy(words.data(), id.bytes_.data(), id.bytes_.size());
      auto hash = key ^ id.size_;
      for (const auto word : words) {
        const auto product = static_cast<unsigned __int128>(hash ^ word) * kOdd;
        hash = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
      }
      return hash;
    }

   private:
    static constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
  };

 private:
  std::uint8_t size_;
  std::array<std::uint8_t, NGTCP2_MAX_CIDLEN> bytes_{};
};

/// By which a peer that has lost a connection's state ends it: a key like an id.
using ResetToken = ConnectionId;

}  // namespace pyrsia::transport::quic
