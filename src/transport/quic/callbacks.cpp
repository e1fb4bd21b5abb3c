#include "transport/quic/callbacks.hpp"

#include "transport/quic/frames.hpp"
#include "transport/quic/port.hpp"
#include "transport/quic/session.hpp"

#include <ngtcp2/ngtcp2_crypto.h>

namespace pyrsia::transport::quic {
namespace {

/// RFC 9000, 17.2: the form of a header, and its type if it is a long one.
constexpr std::uint8_t kLongType = 0xb0;
constexpr std::uint8_t kHandshakeType = 0xa0;

}  // namespace

/// The library must not be called back from here but for what it says, so most of this only takes
/// notes: waiting tasks wake at their next turn.
struct Callbacks {
  static Session& self(void* user) { return *static_cast<Session*>(user); }
  static StreamState* stream(void* stream) { return static_cast<StreamState*>(stream); }

  static void random(std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx* context) {
    static_cast<Env*>(context->native_handle)->random({out, size});
  }

  static int new_connection_id(ngtcp2_conn*, ngtcp2_cid* cid, std::uint8_t* token, std::size_t size,
                               void* user) {
    auto& session = self(user);
    cid->datalen = size;
    auto& shared = session.port_.shared();
    shared.env.random({cid->data, size});
    const auto key = session.port_.reset_key();
    if (ngtcp2_crypto_generate_stateless_reset_token(token, key.data(), key.size(), cid) != 0)
      return NGTCP2_ERR_CALLBACK_FAILURE;
    session.add_id(*cid);
    return 0;
  }

  static int crypto_data(ngtcp2_conn* connection, ngtcp2_encryption_level level,
                         std::uint64_t offset, const std::uint8_t* data, std::size_t size,
                         void* user) {
    if (self(user).tls_.is_released()) return 0;  // A ticket.
    return ngtcp2_crypto_recv_crypto_data_cb(connection, level, offset, data, size, user);
  }

  static int remove_connection_id(ngtcp2_conn*, const ngtcp2_cid* cid, void* user) {
    self(user).remove_id(*cid);
    return 0;
  }

  static std::uint64_t keep_alive_for(const Session& session, ngtcp2_conn* connection) {
    auto interval = std::uint64_t(session.port_.shared().config.keep_alive_interval.count());
    const auto* peer = ngtcp2_conn_get_remote_transport_params(connection);
    if (peer && peer->max_idle_timeout > 0)
      interval = std::min(interval, peer->max_idle_timeout / 2);
    // Later than the client, which answers for its NAT: one of the two is enough.
    return session.is_server() ? interval / 4 * 5 : interval;
  }

  static int handshake_completed(ngtcp2_conn* connection, void* user) {
    auto& session = self(user);
    if (!session.tls_.peer_key()) return NGTCP2_ERR_CALLBACK_FAILURE;
    session.keep_alive_ = keep_alive_for(session, connection);
    ngtcp2_conn_set_keep_alive_timeout(connection, session.keep_alive_);
    session.port_.shared().metrics.handshakes.add();
    session.is_established_ = true;
    session.is_confirmed_ = session.is_server();  // A server has judged the client by now.
    if (session.is_server()) session.give_address_token();
    session.established_.notify();
    return 0;
  }

  static int handshake_confirmed(ngtcp2_conn*, void* user) {
    self(user).is_confirmed_ = true;
    Session::wake_all(self(user).confirmers_, Error());
    return 0;
  }

  static int stream_open(ngtcp2_conn* connection, std::int64_t id, void* user) {
    auto& session = self(user);
    auto& state = session.add_stream(id);
    session.new_streams_.push_back(std::make_unique<QuicStream>(session, state, true));
    session.port_.shared().metrics.streams_accepted.add();
    return ngtcp2_conn_set_stream_user_data(connection, id, &state);
  }

  static int stream_data(ngtcp2_conn*, std::uint32_t flags, std::int64_t, std::uint64_t,
                         const std::uint8_t* data, std::size_t size, void* user, void* state) {
    auto* user_of = stream(state)->user;
    if (!user_of || stream(state)->is_read_shut) {
      self(user).consumed(nullptr, size);
      return 0;
    }
    if (size > 0) user_of->on_data({data, size});
    if ((flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0) user_of->on_finished();
    return 0;
  }

  static int stream_acknowledged(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t size,
                                 void* user, void* state) {
    self(user).acknowledged(*stream(state), size);
    return 0;
  }

  static int more_stream_data(ngtcp2_conn*, std::int64_t, std::uint64_t, void* user, void* state) {
    if (state) self(user).unblock(*stream(state));
    return 0;
  }

  static int stream_close(ngtcp2_conn*, std::uint32_t, std::int64_t, std::uint64_t, void* user,
                          void* state) {
    if (state) self(user).on_stream_closed(*stream(state));
    return 0;
  }

  static int stream_reset(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t code, void*,
                          void* state) {
    auto& ended = *stream(state);
    // If we asked for it, our own side goes on. Otherwise the peer has dropped the whole stream.
    if (ended.user && !ended.is_read_shut) ended.user->on_peer_reset(code);
    return 0;
  }

  static int connection_id_status(ngtcp2_conn*, ngtcp2_connection_id_status_type type,
                                  std::uint64_t, const ngtcp2_cid*, const std::uint8_t* token,
                                  void* user) {
    if (!token) return 0;
    const ResetToken known(BytesView(token, NGTCP2_STATELESS_RESET_TOKENLEN));
    if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE) {
      self(user).add_reset_token(known);
    } else {
      self(user).remove_reset_token(known);
    }
    return 0;
  }

  static int stateless_reset(ngtcp2_conn*, const ngtcp2_pkt_stateless_reset*, void* user) {
    self(user).is_reset_ = true;
    return 0;
  }

  static int more_streams(ngtcp2_conn*, std::uint64_t, void* user) {
    Session::wake_all(self(user).openers_, Error());
    return 0;
  }

  static int path_validated(ngtcp2_conn*, std::uint32_t flags, const ngtcp2_path*,
                            const ngtcp2_path*, ngtcp2_path_validation_result result, void* user) {
    if (result != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS) return 0;
    self(user).small_until_ = TimePoint::min();  // The library starts small on a new path.
    self(user).port_.shared().metrics.paths_validated.add();
    if ((flags & NGTCP2_PATH_VALIDATION_FLAG_NEW_TOKEN) != 0) self(user).give_address_token();
    return 0;
  }

  static int new_token(ngtcp2_conn*, const std::uint8_t* token, std::size_t size, void* user) {
    auto& session = self(user);
    session.port_.shared().address_tokens.keep(session.remote(), session.peer_key().peer_id(),
                                               {token, size});
    return 0;
  }

  /// The session whose packet is being read: the library does not tell decrypt() whose it is.
  static thread_local Session* reading;

  /// The library has no callback for STOP_SENDING, so it is looked for here.
  static int decrypt(std::uint8_t* out, const ngtcp2_crypto_aead* aead,
                     const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* bytes,
                     std::size_t size, const std::uint8_t* nonce, std::size_t nonce_size,
                     const std::uint8_t* associated, std::size_t associated_size) {
    const int result = ngtcp2_crypto_decrypt_cb(out, aead, context, bytes, size, nonce, nonce_size,
                                                associated, associated_size);
    if (result != 0 || !reading) return result;
    reading->has_opened_ = true;
    // Only who has seen our answer has the keys of the handshake. RFC 9000, 8.1.
    if ((associated[0] & kLongType) == kHandshakeType) reading->prove_address();
    BytesView payload(out, size - aead->max_overhead);
    while (const auto found = next_stop_sending(payload))
      reading->on_stop_sending(found->stream, found->code);
    return 0;
  }

  static ngtcp2_callbacks common() {
    ngtcp2_callbacks all{};
    all.recv_crypto_data = crypto_data;
    all.encrypt = ngtcp2_crypto_encrypt_cb;
    all.decrypt = decrypt;
    all.hp_mask = ngtcp2_crypto_hp_mask_cb;
    all.update_key = ngtcp2_crypto_update_key_cb;
    all.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    all.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    all.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    all.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    all.rand = random;
    all.get_new_connection_id = new_connection_id;
    all.remove_connection_id = remove_connection_id;
    all.handshake_completed = handshake_completed;
    all.handshake_confirmed = handshake_confirmed;
    all.stream_open = stream_open;
    all.recv_stream_data = stream_data;
    all.acked_stream_data_offset = stream_acknowledged;
    all.extend_max_stream_data = more_stream_data;
    all.stream_close = stream_close;
    all.stream_reset = stream_reset;
    all.dcid_status = connection_id_status;
    all.recv_stateless_reset = stateless_reset;
    all.extend_max_local_streams_bidi = more_streams;
    all.path_validation = path_validated;
    return all;
  }
  static int retry(ngtcp2_conn* connection, const ngtcp2_pkt_hd* header, void* user) {
    self(user).has_opened_ = true;  // Its tag is right by now.
    return ngtcp2_crypto_recv_retry_cb(connection, header, user);
  }

  static ngtcp2_callbacks client() {
    auto all = common();
    all.client_initial = ngtcp2_crypto_client_initial_cb;
    all.recv_retry = retry;
    all.recv_new_token = new_token;
    return all;
  }
  static ngtcp2_callbacks server() {
    auto all = common();
    all.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
    return all;
  }
};

thread_local Session* Callbacks::reading = nullptr;

Reading::Reading(Session& session) {
  Callbacks::reading = &session;
}

Reading::~Reading() {
  Callbacks::reading = nullptr;
}

const ngtcp2_callbacks& client_callbacks() {
  static const auto callbacks = Callbacks::client();
  return callbacks;
}

const ngtcp2_callbacks& server_callbacks() {
  static const auto callbacks = Callbacks::server();
  return callbacks;
}

}  // namespace pyrsia::transport::quic
