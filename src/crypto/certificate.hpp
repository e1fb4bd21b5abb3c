/// The self-signed certificates of libp2p TLS: one maker and one verifier, for TCP and QUIC.
/// Spec: libp2p/specs, tls, "Peer Authentication"; RFC 5280.
#pragma once

#include "crypto/evp_key.hpp"

#include <pyrsia/bytes.hpp>
#include <pyrsia/key.hpp>
#include <pyrsia/result.hpp>
#include <pyrsia/time.hpp>

#include <deque>
#include <functional>
#include <map>
#include <span>
#include <string_view>

namespace pyrsia::crypto {

/// Largest certificate that we read, in bytes. Our limit: with two RSA keys of 8192 bits and
/// their signatures it takes 4.4 kB.
inline constexpr std::size_t kMaxCertificateBytes = 16 * 1024;

/// A certificate and the secret key that it was signed with, which is wiped when it goes.
struct Certificate {
  Bytes der;
  Bytes key_pkcs8;  ///< PrivateKeyInfo in DER: ECDSA on P-256.

  Certificate(Bytes certificate, Bytes key)
      : der(std::move(certificate)), key_pkcs8(std::move(key)) {}
  Certificate(Certificate&&) = default;
  Certificate& operator=(Certificate&&) = default;
  ~Certificate();
};

/// Signs with the key of a certificate, as a TLS handshake asks: ECDSA on P-256 over SHA-256.
class CertificateSigner {
 public:
  explicit CertificateSigner(const Certificate& certificate);

  /// Empty if `digest` is none of SHA-256.
  Bytes sign(BytesView digest) const;

 private:
  EvpKey key_;
};

/// A new P-256 key from the kernel's random numbers and a certificate by which `host_key` vouches
/// for it: X.509 v3, signed with SHA-256, valid from 1975 to 4096 whatever our clock says, and the
/// libp2p extension, not critical, as its only one: some peers look at the first and no other.
Certificate make_certificate(const KeyPair& host_key);

/// Why a certificate was refused: fixed texts, for logs and tests.
using CertificateFault = std::string_view;

/// Who vouches for a peer that showed this certificate: everything that the spec asks of it is
/// checked, the signature with its own key too. That the peer holds that key is for the TLS
/// handshake to show. Where it is refused, `fault` says why.
/// Errors: `Errc::malformed`, `Errc::too_large`, `Errc::bad_signature` (of the certificate itself
/// or of the host key), `Errc::not_supported` (keys, curves, hashes, signature schemes),
/// `Errc::protocol_violation` (not valid now, no extension or two of ours, another critical one,
/// unique ids).
Result<PublicKey> verify_certificate(BytesView der, WallTime now, CertificateFault& fault);
Result<PublicKey> verify_certificate(BytesView der, WallTime now);

/// The same for all that a peer showed, which must be one certificate; its signatures are not
/// checked again where the same bytes, every one of them, have passed before. A peer that comes
/// again, as after a change of network, costs two signatures less.
class VerifiedCertificates {
 public:
  /// Our limit: 0.2 MB. The oldest goes first.
  static constexpr std::size_t kMaxKnown = 256;

  /// Errors: those of verify_certificate(); `Errc::protocol_violation` for none or several.
  Result<PublicKey> verify(std::span<const BytesView> chain, WallTime now, CertificateFault& fault);
  std::size_t size() const { return known_.size(); }

 private:
  using Known = std::map<Bytes, PublicKey, std::less<>>;

  Known known_;
  std::deque<Known::iterator> order_;  ///< Oldest first.
};

}  // namespace pyrsia::crypto
