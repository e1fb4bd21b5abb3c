/// TLS without sockets: bytes go in, bytes come out. Under it lies OpenSSL, which no other part
/// sees. Spec: RFC 8446; libp2p/specs, tls.
#pragma once

#include "base/role.hpp"
#include "crypto/certificate.hpp"

#include <pyrsia/bytes.hpp>
#include <pyrsia/key.hpp>
#include <pyrsia/result.hpp>
#include <pyrsia/time.hpp>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

struct ssl_ctx_st;
struct ssl_st;

namespace pyrsia::crypto {

/// Plaintext bytes of a full record (RFC 8446, 5.1).
inline constexpr std::size_t kTlsRecordBytes = 16 * 1024;
inline constexpr std::size_t kTlsHeaderBytes = 5;
/// What sealing adds to a record: header, content type, tag.
inline constexpr std::size_t kTlsOverheadBytes = kTlsHeaderBytes + 1 + 16;

/// The size of the record that `bytes` begin with, header included; 0: its length is not there yet.
/// Errors: `Errc::malformed` (longer than a record may be, or no TLS).
Result<std::size_t> tls_record_size(BytesView bytes);

/// What sessions have in common: keys, versions, ciphers. Made once, shared by all of them.
class TlsContext {
 public:
  /// For libp2p, both roles: TLS 1.3 only, AES-128-GCM first, both sides show a certificate, no
  /// resumption, no early data. `protocols` are offered by ALPN, best first. Those for the web are
  /// made by what web_tls.hpp has.
  TlsContext(const Certificate& certificate, std::vector<std::string> protocols);
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();

 private:
  friend class TlsSession;
  friend struct TlsCallbacks;
  friend struct WebContexts;

  /// What all of them have: no resumption, no compression, ALPN.
  explicit TlsContext(std::vector<std::string> protocols);

  ssl_ctx_st* context_;
  std::vector<std::string> protocols_;
  mutable VerifiedCertificates known_;  ///< A memory, no state of the context.
};

/// One connection's TLS. Not to be moved: OpenSSL knows its address.
class TlsSession {
 public:
  /// The peer must prove to be `expected`, if that is given. Dates are compared with `now`.
  /// `context` must outlive it.
  TlsSession(const TlsContext& context, Role role, WallTime now, std::optional<PeerId> expected);
  /// A client of the web, with a context of make_web_client(): the server must have a certificate
  /// for `server_name`, a DNS name, which it is asked for by SNI, or an IP address.
  TlsSession(const TlsContext& context, WallTime now, std::string_view server_name);
  /// A server of the web, with a context of make_web_server().
  explicit TlsSession(const TlsContext& context);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession();

  /// Goes on with what the peer sent: whole records or nothing. What is to be sent is appended to
  /// `out`, after an error too: the alert that tells the peer. True: the handshake is complete.
  /// As client that is before the server has judged our certificate: its refusal comes as an
  /// error of open(). Errors: `Errc::refused` (the peer refuses our certificate),
  /// `Errc::not_supported` (nothing in common), `Errc::wrong_peer`, those of verify_certificate(),
  /// `Errc::bad_signature` (on the web also a certificate that is for another name, is not valid
  /// now, or leads to no root that we trust), `Errc::closed`, `Errc::protocol_violation` (all
  /// else).
  Result<bool> handshake(BytesView in, Bytes& out);

  /// After the handshake. Opens one whole record; `plain` may lie where the record lies and has
  /// its size. Returns the count of plaintext bytes; 0 for a record of TLS's own.
  /// Errors: as handshake(); `Errc::closed` (the peer's orderly end).
  Result<std::size_t> open(BytesView record, std::span<std::uint8_t> plain);
  /// Seals up to kTlsRecordBytes, not 0, in one record. `out` has room for kSealRoomBytes more
  /// than `plain`. Returns the count of bytes written. Errors: `Errc::protocol_violation`.
  Result<std::size_t> seal(BytesView plain, std::span<std::uint8_t> out);
  /// A record's own bytes and a message of TLS's own that may have to go first. TLS 1.2 takes a
  /// few bytes more for each record than kTlsOverheadBytes says: they fit in here for 18 records.
  static constexpr std::size_t kSealRoomBytes = 128;
  /// Appends to `out` what tells the peer that nothing follows. After the handshake, once.
  void end(Bytes& out);

  /// Of the peer, once the handshake is complete. Of libp2p only.
  const PublicKey& peer_key() const { return *peer_key_; }
  /// What ALPN chose; empty: nothing.
  std::string protocol() const;
  /// What went wrong, in words, for logs. Empty: nothing.
  const std::string& fault() const { return fault_; }

 private:
  friend struct TlsCallbacks;

  void begin(Role role);
  /// What an OpenSSL call left undone: nothing went wrong if it wants more input.
  Result<> outcome(int returned);
  Error error_of(unsigned long code);

  const TlsContext& context_;
  ssl_st* session_ = nullptr;
  const WallTime now_{};
  const std::optional<PeerId> expected_;
  const std::string server_name_;
  std::optional<PublicKey> peer_key_;
  Error refused_;  ///< Why we refused the peer's certificate.
  std::string fault_;
  // For the duration of one call: where OpenSSL reads and writes.
  BytesView in_;
  std::span<std::uint8_t> room_;
  std::size_t written_ = 0;
  Bytes* appended_ = nullptr;
};

}  // namespace pyrsia::crypto
