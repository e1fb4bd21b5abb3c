#include "secure/tls/handshake.hpp"

#include "secure/tls/channel.hpp"
#include "wire/finish.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::secure::tls {
namespace {

/// ALPN without a muxer: it is negotiated afterwards.
constexpr std::string_view kNoMuxer = "libp2p";
/// Records of one handshake that we read. Our limit: five are usual, in the smallest pieces.
constexpr int kMaxRecords = 64;

std::vector<std::string> with_no_muxer(std::vector<std::string> protocols) {
  protocols.emplace_back(kNoMuxer);
  return protocols;
}

Task<Bytes> read_record(Stream& stream) {
  Bytes record(crypto::kTlsHeaderBytes);
  PYRSIA_CO_TRY(co_await read_exactly(stream, record));
  PYRSIA_CO_TRY(const auto size, crypto::tls_record_size(record));
  record.resize(size);
  if (size > crypto::kTlsHeaderBytes) {
    const auto fragment = std::span(record).subspan(crypto::kTlsHeaderBytes);
    PYRSIA_CO_TRY(co_await read_exactly(stream, fragment));
  }
  co_return record;
}

}  // namespace

Identity::Identity(const KeyPair& key, std::vector<std::string> muxers)
    : muxers_(std::move(muxers)), context_(crypto::make_certificate(key), with_no_muxer(muxers_)) {}

std::unique_ptr<crypto::TlsSession> Identity::session(Role role, WallTime now,
                                                      std::optional<PeerId> expected) const {
  return std::make_unique<crypto::TlsSession>(context_, role, now, std::move(expected));
}

Task<> shake_hands(Stream& stream, crypto::TlsSession& session) {
  Bytes record;
  for (int records = 0; records <= kMaxRecords; ++records) {
    Bytes out;
    const auto is_done = session.handshake(record, out);
    if (!out.empty()) {
      const auto sent = co_await stream.write_all(out);
      // The alert arrives only if the stream is not reset right behind it.
      if (!is_done && sent) (void)co_await wire::finish(stream);
      if (!sent && is_done) co_return sent;
    }
    if (!is_done) co_return is_done.error();
    if (*is_done) co_return ok;
    PYRSIA_CO_TRY(record, co_await read_record(stream));
  }
  co_return Errc::too_large;
}

Task<Secured> handshake(std::unique_ptr<Stream> stream, std::unique_ptr<crypto::TlsSession> session,
                        const Identity& identity, std::string* detail) {
  const auto shaken = co_await shake_hands(*stream, *session);
  if (!shaken && detail) *detail = session->fault();
  if (!shaken) co_return shaken.error();
  auto muxer = session->protocol();
  if (muxer == kNoMuxer) muxer.clear();
  const auto& ours = identity.muxers();
  if (!muxer.empty() && std::ranges::find(ours, muxer) == ours.end()) {
    co_return Errc::protocol_violation;
  }
  auto key = session->peer_key();
  auto peer = key.peer_id();
  auto channel = std::make_unique<TlsChannel>(std::move(stream), std::move(session));
  co_return Secured{std::move(channel), std::move(key), std::move(peer), std::move(muxer)};
}

Task<Secured> handshake(Env& env, std::unique_ptr<Stream> stream, Role role,
                        const Identity& identity, std::optional<PeerId> expected) {
  auto session = identity.session(role, env.wall_now(), std::move(expected));
  return handshake(std::move(stream), std::move(session), identity, nullptr);
}

}  // namespace pyrsia::secure::tls
