/// Answers to packets that belong to no connection, which leave no state here: whoever sends from a
/// false address costs us nothing, and his victim less than he spent. Spec: RFC 9000, 5.2.2,
/// 6, 8.1, 10.3.
#pragma once

#include "runtime/net.hpp"
#include "transport/quic/config.hpp"

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <array>
#include <optional>

namespace pyrsia::transport::quic {

/// None is longer.
using StatelessPacket = std::array<std::uint8_t, 512>;

/// RFC 9000, 10.3: what looks like a packet, with a token at its end.
inline constexpr std::size_t kMinResetBytes = 21;

/// Each makes a packet in `out` and returns it; empty: there is no answer.
BytesView make_version_negotiation(Env& env, const ngtcp2_version_cid& packet,
                                   StatelessPacket& out);
/// `new_id` is what the client shall call us then.
BytesView make_retry(Env& env, const Secrets& secrets, const ngtcp2_pkt_hd& header,
                     const pyrsia::Endpoint& client, const ngtcp2_cid& new_id,
                     StatelessPacket& out);
/// `key` is that of the socket. Shorter than the packet of `size` bytes that it answers, so that
/// two servers cannot go on for ever.
BytesView make_reset(Env& env, BytesView key, BytesView connection_id, std::size_t size,
                     StatelessPacket& out);
/// A CONNECTION_CLOSE with a transport error code.
BytesView make_refusal(const ngtcp2_pkt_hd& header, std::uint64_t code, StatelessPacket& out);

inline constexpr std::uint64_t kConnectionRefused = 0x02;
inline constexpr std::uint64_t kInvalidToken = 0x0b;

/// The connection id of the client's first packet, if `header` brings a token of ours for `client`.
std::optional<ngtcp2_cid> read_retry_token(Env& env, const Secrets& secrets,
                                           const ngtcp2_pkt_hd& header,
                                           const pyrsia::Endpoint& client);
bool is_retry_token(const ngtcp2_pkt_hd& header);

using AddressToken = std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN>;

/// By which we know the IP of `client` again in another connection. Spec: RFC 9000, 8.1.3.
BytesView make_address_token(const Env& env, const Secrets& secrets, const pyrsia::Endpoint& client,
                             AddressToken& out);
/// True if `header` brings such a token that we made for the IP of `client`, not long ago.
bool has_address_token(const Env& env, const Secrets& secrets, const ngtcp2_pkt_hd& header,
                       const pyrsia::Endpoint& client);

/// So many answers a second.
class StatelessLimit {
 public:
  bool allows(TimePoint now, std::size_t per_second);

 private:
  TimePoint second_began_{};
  std::size_t count_ = 0;
};

}  // namespace pyrsia::transport::quic
