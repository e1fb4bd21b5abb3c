#include "transport/quic/callbacks.hpp"

#include "transport/quic/port.hpp"
#include "transport/quic/session.hpp"

#include <ngtcp2/ngtcp2_crypto.h>

namespace pyrsia::transport::quic {

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
    const auto& key = shared.secrets.reset;
    if (ngtcp2_crypto_generate_stateless_reset_token(token, key.data(), key.size(), cid) != 0)
      return NGTCP2_ERR_CALLBACK_FAILURE;
    session.add_id(*cid);
    return 0;
  }

  static int remove_connection_id(ngtcp2_conn*, const ngtcp2_cid* cid, void* user) {
    self(user).remove_id(*cid);
    return 0;
  }

  static int handshake_completed(ngtcp2_conn* connection, void* user) {
    auto& session = self(user);
    if (!session.tls_.peer_key()) return NGTCP2_ERR_CALLBACK_FAILURE;
    const auto& config = session.port_.shared().config;
    ngtcp2_conn_set_keep_alive_timeout(connection,
                                       std::uint64_t(config.keep_alive_interval.count()));
    session.port_.shared().metrics.handshakes.add();
    session.is_established_ = true;
    session.is_confirmed_ = session.is_server();  // A server has judged the client by now.
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

  static int stream_close(ngtcp2_conn*, std::uint32_t, std::int64_t, std::uint64_t, void* user,
                          void* state) {
    if (state) self(user).on_stream_closed(*stream(state));
    return 0;
  }

  static int stream_reset(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t, void*,
                          void* state) {
    auto& ended = *stream(state);
    // If we asked for it, our own side goes on. Otherwise the peer has dropped the whole stream.
    if (ended.user && !ended.is_read_shut) ended.user->on_peer_reset();
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

  static int path_validated(ngtcp2_conn*, std::uint32_t, const ngtcp2_path*, const ngtcp2_path*,
                            ngtcp2_path_validation_result result, void* user) {
    if (result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS)
      self(user).port_.shared().metrics.paths_validated.add();
    return 0;
  }

  static ngtcp2_callbacks common() {
    ngtcp2_callbacks all{};
    all.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    all.encrypt = ngtcp2_crypto_encrypt_cb;
    all.decrypt = ngtcp2_crypto_decrypt_cb;
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
    all.stream_close = stream_close;
    all.stream_reset = stream_reset;
    all.dcid_status = connection_id_status;
    all.recv_stateless_reset = stateless_reset;
    all.extend_max_local_streams_bidi = more_streams;
    all.path_validation = path_validated;
    return all;
  }
  static ngtcp2_callbacks client() {
    auto all = common();
    all.client_initial = ngtcp2_crypto_client_initial_cb;
    all.recv_retry = ngtcp2_crypto_recv_retry_cb;
    return all;
  }
  static ngtcp2_callbacks server() {
    auto all = common();
    all.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
    return all;
  }
};

const ngtcp2_callbacks& client_callbacks() {
  static const auto callbacks = Callbacks::client();
  return callbacks;
}

const ngtcp2_callbacks& server_callbacks() {
  static const auto callbacks = Callbacks::server();
  return callbacks;
}

}  // namespace pyrsia::transport::quic
