/// For tests: a peer with a right certificate that then sends whatever it likes.
#pragma once

#include "transport/quic/connection_id.hpp"
#include "transport/quic/path.hpp"
#include "transport/quic/test_peers.hpp"
#include "transport/quic/tls.hpp"

#include <ngtcp2/ngtcp2_crypto.h>

#include <cassert>

namespace pyrsia::transport::quic {

/// A client that completes the handshake with the listener of `peers`, by the same library as ours,
/// and then sends packets with frames that no library would write. It hears nothing any more.
class Forger {
 public:
  explicit Forger(Peers& peers)
      : host_(peers.net.add_host({"forger", {"9.9.9.9"}})),
        socket_(host_.udp_bind(sim::at("9.9.9.9", 99)).value()),
        key_(test_key(9)),
        self_(key_.peer_id()),
        credentials_(key_),
        tls_(host_, credentials_, Role::initiator, test_key(2).peer_id(), self_),
        path_(socket_->local(), sim::at("5.6.7.8", 4001)) {
    ngtcp2_settings settings;
    ngtcp2_settings_default(&settings);
    settings.initial_ts = timestamp_of(host_.now());
    settings.rand_ctx.native_handle = &host_;
    ngtcp2_transport_params params;
    ngtcp2_transport_params_default(&params);
    params.initial_max_streams_bidi = 16;
    params.initial_max_data = 1 << 20;
    params.initial_max_stream_data_bidi_local = 1 << 20;
    params.initial_max_stream_data_bidi_remote = 1 << 20;
    const auto own = random_id(kConnectionIdBytes);
    const auto first = random_id(NGTCP2_MAX_CIDLEN);
    const auto all = callbacks();
    ngtcp2_conn* made = nullptr;
    [[maybe_unused]] const int result =
        ngtcp2_conn_client_new(&made, &first, &own, path_.get(), NGTCP2_PROTO_VER_V1, &all,
                               &settings, &params, nullptr, this);
    assert(result == 0);
    connection_.reset(made);
    tls_.attach(made);
  }

  /// Ends when the server has said that the handshake is done. Errors: `Errc::timed_out`.
  Task<> connect() {
    while (!is_confirmed_) {
      flush();
      auto receiving = socket_->receive_batch();
      PYRSIA_CO_TRY(
          const auto batch,
          co_await with_timeout(host_, Duration(std::chrono::seconds(5)), std::move(receiving)));
      for (const auto& each : batch) {
        const ngtcp2_pkt_info info{};
        ngtcp2_conn_read_pkt(connection_.get(), path_.get(), &info, each.bytes.data(),
                             each.bytes.size(), timestamp_of(host_.now()));
      }
    }
    flush();
    const int opened = ngtcp2_conn_open_bidi_stream(connection_.get(), &stream_, nullptr);
    co_return opened == 0 ? Result<>(ok) : Result<>(Errc::limit_reached);
  }

  /// One packet with these frames. False: the first window is used up.
  bool send(BytesView frames) {
    // The library writes as many bytes of a stream, and they are exchanged as they are sealed.
    Bytes carrier(std::max<std::size_t>(frames.size(), 1));
    const ngtcp2_vec piece{carrier.data(), carrier.size()};
    forged() = frames;
    const auto size = write(&piece);
    forged() = {};
    return size > 0;
  }

 private:
  struct Free {
    void operator()(ngtcp2_conn* connection) const { ngtcp2_conn_del(connection); }
  };

  /// What takes the place of the next payload: the library does not tell encrypt() whose it is.
  static BytesView& forged() {
    static thread_local BytesView frames;
    return frames;
  }
  static Forger& self(void* user) { return *static_cast<Forger*>(user); }

  static int encrypt(std::uint8_t* out, const ngtcp2_crypto_aead* aead,
                     const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* bytes,
                     std::size_t size, const std::uint8_t* nonce, std::size_t nonce_size,
                     const std::uint8_t* associated, std::size_t associated_size) {
    Bytes payload(bytes, bytes + size);
    const auto frames = std::exchange(forged(), BytesView());
    if (!frames.empty()) {
      payload.assign(size, 0);  // Padding.
      std::copy_n(frames.begin(), std::min(frames.size(), size), payload.begin());
    }
    return ngtcp2_crypto_encrypt_cb(out, aead, context, payload.data(), size, nonce, nonce_size,
                                    associated, associated_size);
  }

  static ngtcp2_callbacks callbacks() {
    ngtcp2_callbacks all{};
    all.client_initial = ngtcp2_crypto_client_initial_cb;
    all.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    all.encrypt = encrypt;
    all.decrypt = ngtcp2_crypto_decrypt_cb;
    all.hp_mask = ngtcp2_crypto_hp_mask_cb;
    all.recv_retry = ngtcp2_crypto_recv_retry_cb;
    all.update_key = ngtcp2_crypto_update_key_cb;
    all.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    all.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    all.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    all.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    all.rand = [](std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx* context) {
      static_cast<Env*>(context->native_handle)->random({out, size});
    };
    all.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token,
                                   std::size_t size, void* user) {
      *id = self(user).random_id(size);
      self(user).host_.random({token, NGTCP2_STATELESS_RESET_TOKENLEN});
      return 0;
    };
    all.handshake_confirmed = [](ngtcp2_conn*, void* user) {
      self(user).is_confirmed_ = true;
      return 0;
    };
    return all;
  }

  ngtcp2_cid random_id(std::size_t size) {
    ngtcp2_cid id{};
    id.datalen = size;
    host_.random({id.data, size});
    return id;
  }

  ngtcp2_ssize write(const ngtcp2_vec* piece) {
    std::array<std::uint8_t, 1452> packet;
    ngtcp2_path_storage path;
    ngtcp2_path_storage_zero(&path);
    ngtcp2_pkt_info info{};
    ngtcp2_ssize taken = 0;
    const auto size = ngtcp2_conn_writev_stream(connection_.get(), &path.path, &info, packet.data(),
                                                packet.size(), &taken,
                                                NGTCP2_WRITE_STREAM_FLAG_NONE, piece ? stream_ : -1,
                                                piece, piece ? 1 : 0, timestamp_of(host_.now()));
    if (size > 0) {
      [[maybe_unused]] const auto sent =
          socket_->send(sim::at("5.6.7.8", 4001), BytesView(packet).first(std::size_t(size)));
    }
    return size;
  }
  void flush() {
    while (write(nullptr) > 0) continue;
  }

  sim::SimHost& host_;
  std::unique_ptr<UdpSocket> socket_;
  const KeyPair key_;
  const PeerId self_;
  const Credentials credentials_;
  TlsSession tls_;
  const Path path_;
  std::unique_ptr<ngtcp2_conn, Free> connection_;
  std::int64_t stream_ = -1;
  bool is_confirmed_ = false;
};

}  // namespace pyrsia::transport::quic
