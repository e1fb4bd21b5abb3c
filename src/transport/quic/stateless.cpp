#include "transport/quic/stateless.hpp"

#include "transport/quic/path.hpp"

#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>

namespace pyrsia::transport::quic {
namespace {

/// Ten seconds are enough for two round trips.
constexpr ngtcp2_duration kTokenLifetime = 10 * NGTCP2_SECONDS;
/// Our limit: a NAT may give the address to somebody else.
constexpr ngtcp2_duration kAddressTokenLifetime = 24 * 3600 * NGTCP2_SECONDS;
constexpr std::size_t kMaxResetBytes = 43;

BytesView packet_of(const StatelessPacket& out, ngtcp2_ssize size) {
  return BytesView(out).first(size > 0 ? static_cast<std::size_t>(size) : 0);
}

/// Of a clock that goes on when the machine starts anew: those tokens outlive us.
std::uint64_t wall_timestamp(const Env& env) {
  return static_cast<std::uint64_t>(Duration(env.wall_now().time_since_epoch()).count());
}

}  // namespace

BytesView make_version_negotiation(Env& env, const ngtcp2_version_cid& packet,
                                   StatelessPacket& out) {
  // Longer ids than version 1 has could make the answer long; nobody uses them.
  if (packet.dcidlen > NGTCP2_MAX_CIDLEN || packet.scidlen > NGTCP2_MAX_CIDLEN) return {};
  std::uint8_t unused = 0;
  env.random({&unused, 1});
  // The second is one that nobody will ever speak: clients must not rely on the list.
  const std::array<std::uint32_t, 2> versions = {NGTCP2_PROTO_VER_V1, 0x1a2a3a4a};
  return packet_of(out, ngtcp2_pkt_write_version_negotiation(
                            out.data(), out.size(), unused, packet.scid, packet.scidlen,
                            packet.dcid, packet.dcidlen, versions.data(), versions.size()));
}

BytesView make_retry(Env& env, const Secrets& secrets, const ngtcp2_pkt_hd& header,
                     const pyrsia::Endpoint& client, const ngtcp2_cid& new_id,
                     StatelessPacket& out) {
  const SocketAddress address(client);
  std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2> token;
  const auto size = ngtcp2_crypto_generate_retry_token2(
      token.data(), secrets.token.data(), secrets.token.size(), header.version, address.data(),
      address.size(), &new_id, &header.dcid, timestamp_of(env.now()));
  if (size < 0) return {};
  return packet_of(
      out, ngtcp2_crypto_write_retry(out.data(), out.size(), header.version, &header.scid, &new_id,
                                     &header.dcid, token.data(), static_cast<std::size_t>(size)));
}

BytesView make_reset(Env& env, BytesView key, BytesView connection_id, std::size_t size,
                     StatelessPacket& out) {
  if (size <= kMinResetBytes) return {};
  ngtcp2_cid cid;
  ngtcp2_cid_init(&cid, connection_id.data(), connection_id.size());
  std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN> token;
  if (ngtcp2_crypto_generate_stateless_reset_token(token.data(), key.data(), key.size(), &cid) != 0)
    return {};
  const auto length = std::min(size - 1, kMaxResetBytes);
  std::array<std::uint8_t, kMaxResetBytes> random;
  env.random(random);
  return packet_of(out, ngtcp2_pkt_write_stateless_reset(out.data(), length, token.data(),
                                                         random.data(), length - token.size()));
}

BytesView make_refusal(const ngtcp2_pkt_hd& header, std::uint64_t code, StatelessPacket& out) {
  return packet_of(
      out, ngtcp2_crypto_write_connection_close(out.data(), out.size(), header.version,
                                                &header.scid, &header.dcid, code, nullptr, 0));
}

bool is_retry_token(const ngtcp2_pkt_hd& header) {
  return header.tokenlen > 0 && header.token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2;
}

std::optional<ngtcp2_cid> read_retry_token(Env& env, const Secrets& secrets,
                                           const ngtcp2_pkt_hd& header,
                                           const pyrsia::Endpoint& client) {
  const SocketAddress address(client);
  ngtcp2_cid original;
  const int result = ngtcp2_crypto_verify_retry_token2(
      &original, header.token, header.tokenlen, secrets.token.data(), secrets.token.size(),
      header.version, address.data(), address.size(), &header.dcid, kTokenLifetime,
      timestamp_of(env.now()));
  if (result != 0) return std::nullopt;
  return original;
}

BytesView make_address_token(const Env& env, const Secrets& secrets, const pyrsia::Endpoint& client,
                             AddressToken& out) {
  const SocketAddress address(client);
  const auto size =
      ngtcp2_crypto_generate_regular_token(out.data(), secrets.token.data(), secrets.token.size(),
                                           address.data(), address.size(), wall_timestamp(env));
  return BytesView(out).first(size > 0 ? static_cast<std::size_t>(size) : 0);
}

bool has_address_token(const Env& env, const Secrets& secrets, const ngtcp2_pkt_hd& header,
                       const pyrsia::Endpoint& client) {
  if (header.tokenlen == 0 || header.token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_REGULAR) return false;
  const SocketAddress address(client);
  return ngtcp2_crypto_verify_regular_token(header.token, header.tokenlen, secrets.token.data(),
                                            secrets.token.size(), address.data(), address.size(),
                                            kAddressTokenLifetime, wall_timestamp(env)) == 0;
}

bool StatelessLimit::allows(TimePoint now, std::size_t per_second) {
  if (now - second_began_ >= std::chrono::seconds(1)) {
    second_began_ = now;
    count_ = 0;
  }
  return ++count_ <= per_second;
}

}  // namespace pyrsia::transport::quic
