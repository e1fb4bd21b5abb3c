#include "secure/noise/handshake.hpp"

#include "crypto/secret.hpp"
#include "crypto/x25519.hpp"
#include "secure/noise/channel.hpp"
#include "secure/noise/state.hpp"
#include "secure/noise/wire.hpp"

#include <algorithm>
#include <string_view>

namespace pyrsia::secure::noise {
namespace {

constexpr std::string_view kSignaturePrefix = "noise-libp2p-static-key:";
/// Largest message that we read in a handshake. Our limit: an RSA-8192 key takes 2.2 KiB.
constexpr std::size_t kMaxHandshakeBytes = 16 * 1024;

Bytes signed_bytes(const PublicBytes& static_public) {
  const auto prefix = as_bytes(kSignaturePrefix);
  Bytes bytes(prefix.begin(), prefix.end());
  bytes.insert(bytes.end(), static_public.begin(), static_public.end());
  return bytes;
}

Task<Bytes> read_message(Stream& stream) {
  std::array<std::uint8_t, 2> length;
  PYRSIA_CO_TRY(co_await read_exactly(stream, length));
  const auto size = std::size_t(length[0] << 8 | length[1]);
  if (size > kMaxHandshakeBytes) co_return Errc::too_large;
  Bytes message(size);
  if (size > 0) PYRSIA_CO_TRY(co_await read_exactly(stream, message));
  co_return message;
}

Task<> write_message(Stream& stream, Bytes message) {
  const std::array<std::uint8_t, 2> length = {std::uint8_t(message.size() >> 8),
                                              std::uint8_t(message.size())};
  const std::array<BytesView, 2> parts = {length, message};
  co_return co_await stream.write_all_parts(parts);
}

/// Who the peer proved to be.
struct Proof {
  PublicKey key;
  PeerId peer;
  std::vector<std::string> muxers;
};

Result<Proof> check(BytesView message, const PublicBytes& peer_static,
                    const std::optional<PeerId>& expected) {
  PYRSIA_TRY(auto payload, decode(message));
  PYRSIA_TRY(auto key, PublicKey::from_protobuf(payload.identity_key));
  if (!key.verify(signed_bytes(peer_static), payload.identity_signature))
    return Errc::bad_signature;
  auto peer = key.peer_id();
  if (expected && peer != *expected) return Errc::wrong_peer;
  return Proof{std::move(key), std::move(peer), std::move(payload.muxers)};
}

/// The first entry of the initiator's list that the responder also has; empty if there is none.
std::string choose(const std::vector<std::string>& initiators,
                   const std::vector<std::string>& responders) {
  for (const auto& muxer : initiators)
    if (std::ranges::find(responders, muxer) != responders.end()) return muxer;
  return {};
}

Secured finish(std::unique_ptr<Stream> stream, Role role, const HandshakeState& state,
               const Identity& identity, Proof proof) {
  const bool is_initiator = role == Role::initiator;
  const auto keys = state.split();
  auto channel =
      std::make_unique<NoiseChannel>(std::move(stream), is_initiator ? keys.first : keys.second,
                                     is_initiator ? keys.second : keys.first);
  auto muxer = is_initiator ? choose(identity.muxers(), proof.muxers)
                            : choose(proof.muxers, identity.muxers());
  return {std::move(channel), std::move(proof.key), std::move(proof.peer), std::move(muxer)};
}

}  // namespace

Identity::Identity(Env& env, const KeyPair& key, std::vector<std::string> muxers)
    : muxers_(std::move(muxers)) {
  env.random(secret_);
  public_ = crypto::x25519_public(secret_);
  Payload payload;
  payload.identity_key = key.public_key().to_protobuf();
  payload.identity_signature = key.sign(signed_bytes(public_));
  payload.muxers = muxers_;
  payload_ = encode(payload);
}

Identity::~Identity() {
  crypto::wipe(secret_);
}

Task<Secured> handshake(Env& env, std::unique_ptr<Stream> stream, Role role,
                        const Identity& identity, std::optional<PeerId> expected) {
  crypto::Secret<kKeyBytes> ephemeral;
  env.random(ephemeral);
  HandshakeState state(role, {}, identity.static_secret(), identity.static_public(), ephemeral);
  std::optional<Proof> proof;
  for (int message = 1; message <= 3; ++message) {
    const bool is_ours = (message % 2 == 1) == (role == Role::initiator);
    if (is_ours) {
      const auto payload = message == 1 ? BytesView() : BytesView(identity.payload());
      PYRSIA_CO_TRY(auto bytes, state.write(payload));
      PYRSIA_CO_TRY(co_await write_message(*stream, std::move(bytes)));
    } else {
      PYRSIA_CO_TRY(const auto bytes, co_await read_message(*stream));
      PYRSIA_CO_TRY(const auto payload, state.read(bytes));
      if (message == 1) continue;
      PYRSIA_CO_TRY(auto checked, check(payload, state.peer_static(), expected));
      proof.emplace(std::move(checked));
    }
  }
  co_return finish(std::move(stream), role, state, identity, *std::move(proof));
}

}  // namespace pyrsia::secure::noise
