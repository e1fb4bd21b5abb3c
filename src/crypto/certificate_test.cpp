#include "crypto/certificate.hpp"

#include "crypto/spec_certificates.hpp"
#include "crypto/test_certificates.hpp"

#include <gtest/gtest.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <functional>

namespace pyrsia::crypto {
namespace {

using der::element;

const WallTime kNow(std::chrono::seconds(1'800'000'000));

struct Verdict {
  Error error;
  std::string fault;
  bool operator==(const Verdict&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Verdict& verdict) {
  return out << verdict.error << ": " << verdict.fault;
}
Verdict verdict(BytesView der) {
  CertificateFault fault;
  const auto key = verify_certificate(der, kNow, fault);
  return {key ? Error() : key.error(), std::string(fault)};
}
Verdict verdict(const Recipe& recipe) {
  return verdict(recipe.build());
}
Verdict refused(Errc code, std::string fault) {
  return {code, std::move(fault)};
}
const Verdict kAccepted{Error(), ""};

TEST(Certificate, TheSpecsCertificatesNameTheirPeers) {
  const auto peer = [](std::string_view hex) {
    return verify_certificate(unhex(hex), kNow).value().peer_id().to_string();
  };
  EXPECT_EQ(peer(kEd25519CertificateHex), "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv");
  EXPECT_EQ(peer(kEcdsaCertificateHex), "QmfXbAwNjJLXfesgztEHe8HwgVDCMMpZ9Eax1HYq6hn9uE");
  EXPECT_EQ(peer(kSecp256k1CertificateHex),
            "16Uiu2HAkutTMoTzDw1tCvSRtu6YoixJwS46S1ZFxW8hSx9fWHiPs");
  EXPECT_EQ(verdict(unhex(kMismatchedCertificateHex)),
            refused(Errc::bad_signature, "a wrong signature of the host key"));
}

TEST(Certificate, OursAreAcceptedForHostKeysOfEveryType) {
  for (const auto& spec : kSpecKeys) {
    const auto pair = KeyPair::from_protobuf(unhex(spec.secret_hex)).value();
    const auto made = make_certificate(pair);
    EXPECT_EQ(verify_certificate(made.der, kNow).value(), pair.public_key()) << spec.peer;
  }
}

TEST(Certificate, OursIsWhatOpenSslTakesForASelfSignedOneWithOneExtensionOnly) {
  const auto made = make_certificate(host_key());
  const auto* at = made.der.data();
  X509* parsed = d2i_X509(nullptr, &at, static_cast<long>(made.der.size()));
  ASSERT_NE(parsed, nullptr);
  EXPECT_EQ(at, made.der.data() + made.der.size());
  EXPECT_EQ(X509_get_version(parsed), X509_VERSION_3);
  EXPECT_EQ(X509_verify(parsed, X509_get0_pubkey(parsed)), 1);
  EXPECT_EQ(X509_get_ext_count(parsed), 1);
  EXPECT_EQ(X509_EXTENSION_get_critical(X509_get_ext(parsed, 0)), 0);
  EXPECT_FALSE(ASN1_INTEGER_get(X509_get0_serialNumber(parsed)) < 0);
  EXPECT_LT(X509_cmp_current_time(X509_get0_notBefore(parsed)), 0);
  EXPECT_GT(X509_cmp_current_time(X509_get0_notAfter(parsed)), 0);
  EXPECT_EQ(X509_NAME_cmp(X509_get_issuer_name(parsed), X509_get_subject_name(parsed)), 0);
  const auto* key_at = made.key_pkcs8.data();
  const EvpKey key(d2i_AutoPrivateKey(nullptr, &key_at, long(made.key_pkcs8.size())));
  ASSERT_TRUE(key);
  EXPECT_EQ(X509_check_private_key(parsed, key.get()), 1);
  X509_free(parsed);
}

TEST(Certificate, EachHasItsOwnKeyAndSerial) {
  const auto one = make_certificate(host_key());
  const auto two = make_certificate(host_key());
  EXPECT_NE(one.der, two.der);
  EXPECT_NE(one.key_pkcs8, two.key_pkcs8);
}

TEST(Certificate, ExactlyOneIsNeeded) {
  const auto made = make_certificate(host_key());
  CertificateFault fault;
  VerifiedCertificates known;
  EXPECT_EQ(known.verify({}, kNow, fault).error(), Errc::protocol_violation);
  EXPECT_EQ(fault, "no certificate");
  const std::array<BytesView, 2> two{made.der, made.der};
  EXPECT_EQ(known.verify(two, kNow, fault).error(), Errc::protocol_violation);
  EXPECT_EQ(fault, "several certificates");
  EXPECT_TRUE(known.verify(std::span(two).first(1), kNow, fault));
}

TEST(Certificate, OneThatIsKnownIsStillReadAndDated) {
  const auto made = make_certificate(host_key());
  VerifiedCertificates known;
  CertificateFault fault;
  const std::array<BytesView, 1> chain{made.der};
  ASSERT_TRUE(known.verify(chain, kNow, fault));
  ASSERT_EQ(known.size(), 1U);
  EXPECT_EQ(known.verify(chain, kNow, fault).value(), host_key().public_key());
  EXPECT_EQ(known.size(), 1U);
  const auto before = WallTime(std::chrono::sys_days(std::chrono::year(1974) / 1 / 1));
  EXPECT_EQ(known.verify(chain, before, fault).error(), Errc::protocol_violation);
  EXPECT_EQ(fault, "not yet valid");
  // One bit less, anywhere, is another certificate.
  for (std::size_t i = 0; i < made.der.size(); ++i) {
    auto bent = made.der;
    bent[i] ^= 1;
    const std::array<BytesView, 1> other{bent};
    EXPECT_FALSE(known.verify(other, kNow, fault)) << i;
  }
  EXPECT_EQ(known.size(), 1U);
}

TEST(Certificate, TheKnownOnesAreBounded) {
  VerifiedCertificates known;
  CertificateFault fault;
  for (std::size_t i = 0; i < VerifiedCertificates::kMaxKnown + 3; ++i) {
    const auto made = make_certificate(host_key());
    const std::array<BytesView, 1> chain{made.der};
    ASSERT_TRUE(known.verify(chain, kNow, fault));
  }
  EXPECT_EQ(known.size(), VerifiedCertificates::kMaxKnown);
}

TEST(Certificate, IsValidFromItsFirstSecondToItsLast) {
  Recipe recipe;
  EXPECT_EQ(verdict(recipe), kAccepted);
  recipe.not_before = element(der::kUtcTime, {as_bytes("270115080000Z")});  // kNow.
  EXPECT_EQ(verdict(recipe), kAccepted);
  recipe.not_before = element(der::kUtcTime, {as_bytes("270115080001Z")});
  EXPECT_EQ(verdict(recipe), refused(Errc::protocol_violation, "not yet valid"));
  recipe.not_before = element(der::kUtcTime, {as_bytes("500101000000Z")});  // Of 1950.
  recipe.not_after = element(der::kUtcTime, {as_bytes("270115080000Z")});
  EXPECT_EQ(verdict(recipe), kAccepted);
  recipe.not_after = element(der::kUtcTime, {as_bytes("270115075959Z")});
  EXPECT_EQ(verdict(recipe), refused(Errc::protocol_violation, "expired"));
  for (const auto* text : {"270115075959", "2701150759590", "271315075959Z", "270230075959Z",
                           "270115240000Z", "270115076000Z", "270115075960Z", "27011507595xZ"}) {
    recipe.not_after = element(der::kUtcTime, {as_bytes(text)});
    EXPECT_EQ(verdict(recipe), refused(Errc::malformed, "not a certificate in DER")) << text;
  }
}

TEST(Certificate, OnlyOurExtensionProvesAnIdentity) {
  const Verdict none = refused(Errc::protocol_violation, "no libp2p extension");
  Recipe recipe;
  recipe.is_without_extensions = true;
  EXPECT_EQ(verdict(recipe), none);
  recipe = Recipe();
  recipe.extensions = {Recipe::extension("2b0601040183a25a0102", recipe.extension_value(), {})};
  EXPECT_EQ(verdict(recipe), none);
  recipe.extensions = {Recipe::extension(kOurOid, unhex("0400"), {})};
  EXPECT_EQ(verdict(recipe), refused(Errc::malformed, "a libp2p extension that does not parse"));
  recipe.extensions = {Recipe::extension(kOurOid, unhex("300404000400"), {})};
  EXPECT_EQ(verdict(recipe), refused(Errc::malformed, "a host key that we cannot use"));
  recipe.extensions.assign(2, Recipe::extension(kOurOid, recipe.extension_value(), {}));
  EXPECT_EQ(verdict(recipe), refused(Errc::protocol_violation, "two libp2p extensions"));
}

TEST(Certificate, OursMayBeCriticalAndOthersMayBeBesideItUnlessTheyAre) {
  Recipe recipe;
  const auto ours = Recipe::extension(kOurOid, recipe.extension_value(), Recipe::critical());
  recipe.extensions = {ours};
  EXPECT_EQ(verdict(recipe), kAccepted);
  const auto other = Recipe::extension(kBasicConstraintsOid, unhex("3000"), {});
  recipe.extensions = {other, ours, other};
  EXPECT_EQ(verdict(recipe), kAccepted);
  recipe.extensions = {ours,
                       Recipe::extension(kBasicConstraintsOid, unhex("3000"), Recipe::critical())};
  EXPECT_EQ(verdict(recipe), refused(Errc::protocol_violation, "an unknown critical extension"));
}

TEST(Certificate, ASignatureForAnotherPurposeProvesNothing) {
  Recipe recipe;
  recipe.signed_prefix = "noise-libp2p-static-key:";
  EXPECT_EQ(verdict(recipe), refused(Errc::bad_signature, "a wrong signature of the host key"));
  Recipe other;  // The extension of a certificate with another key.
  other.extensions = {Recipe::extension(kOurOid, Recipe().extension_value(), {})};
  EXPECT_EQ(verdict(other), refused(Errc::bad_signature, "a wrong signature of the host key"));
}

TEST(Certificate, ACorruptedSelfSignatureIsNoticed) {
  auto der = Recipe().build();
  der.back() ^= 1;
  EXPECT_EQ(verdict(der), refused(Errc::bad_signature, "a wrong self-signature"));
}

TEST(Certificate, OldVersionsAndUniqueIdsAreRefused) {
  Recipe recipe;
  recipe.version = unhex("a003020101");
  EXPECT_EQ(verdict(recipe), refused(Errc::not_supported, "not a certificate of version 3"));
  recipe = Recipe();
  recipe.unique_id = unhex("81020000");
  EXPECT_EQ(verdict(recipe), refused(Errc::protocol_violation, "a unique id, which is forbidden"));
}

struct Scheme {
  const char* name;
  std::function<EVP_PKEY*()> make;
  const char* hash;
  std::string algorithm;
  bool is_pss = false;
};

std::string pss(std::string_view hash, std::string_view salt) {
  return "304106092a864886f70d01010a3034a00f300d060960864801650304020" + std::string(hash) +
         "0500a11c301a06092a864886f70d010108300d060960864801650304020" + std::string(hash) +
         "0500a2030201" + std::string(salt);
}

Verdict verdict(const Scheme& scheme) {
  Recipe recipe;
  recipe.key = EvpKey(scheme.make());
  recipe.hash = scheme.hash;
  recipe.is_pss = scheme.is_pss;
  recipe.algorithm = unhex(scheme.algorithm);
  return verdict(recipe);
}

EVP_PKEY* rsa(int bits) {
  return EVP_RSA_gen(static_cast<unsigned>(bits));
}
EVP_PKEY* curve(const char* name) {
  return EVP_EC_gen(name);
}

TEST(Certificate, TakesTheSchemesThatOthersTake) {
  const auto rsa_key = [] { return rsa(2048); };
  const std::vector<Scheme> schemes{
      {"P-384", [] { return curve("P-384"); }, "SHA384", "300a06082a8648ce3d040303"},
      {"Ed25519", [] { return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); }, nullptr,
       "300506032b6570"},
      {"RSA SHA-256", rsa_key, "SHA256", "300d06092a864886f70d01010b0500"},
      {"RSA SHA-384", rsa_key, "SHA384", "300d06092a864886f70d01010c0500"},
      {"RSA SHA-512", rsa_key, "SHA512", "300d06092a864886f70d01010d0500"},
      {"PSS SHA-256", rsa_key, "SHA256", pss("1", "20"), true},
      {"PSS SHA-384", rsa_key, "SHA384", pss("2", "30"), true},
      {"PSS SHA-512", rsa_key, "SHA512", pss("3", "40"), true},
  };
  for (const auto& scheme : schemes) EXPECT_EQ(verdict(scheme), kAccepted) << scheme.name;
}

TEST(Certificate, RefusesWeakKeysWeakHashesAndWhatOthersRefuse) {
  const auto rsa_key = [] { return rsa(2048); };
  const std::vector<Scheme> schemes{
      {"RSA 512", [] { return rsa(512); }, "SHA256", "300d06092a864886f70d01010b0500"},
      {"RSA 1024", [] { return rsa(1024); }, "SHA256", "300d06092a864886f70d01010b0500"},
      {"RSA SHA-1", rsa_key, "SHA1", "300d06092a864886f70d0101050500"},
      {"RSA MD5", rsa_key, "MD5", "300d06092a864886f70d0101040500"},
      {"ECDSA SHA-1", [] { return curve("P-256"); }, "SHA1", "300906072a8648ce3d0401"},
      {"P-256 SHA-384", [] { return curve("P-256"); }, "SHA384", "300a06082a8648ce3d040303"},
      {"P-521", [] { return curve("P-521"); }, "SHA512", "300a06082a8648ce3d040304"},
      {"secp256k1", [] { return curve("secp256k1"); }, "SHA256", "300a06082a8648ce3d040302"},
      {"Ed448", [] { return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448"); }, nullptr,
       "300506032b6571"},
      {"a curve by its numbers",
       [] {
         EVP_PKEY* key = curve("P-256");
         EVP_PKEY_set_utf8_string_param(key, "encoding", "explicit");
         return key;
       },
       "SHA256", "300a06082a8648ce3d040302"},
      {"a compressed point",
       [] {
         EVP_PKEY* key = curve("P-256");
         EVP_PKEY_set_utf8_string_param(key, "point-format", "compressed");
         return key;
       },
       "SHA256", "300a06082a8648ce3d040302"},
  };
  for (const auto& scheme : schemes) {
    EXPECT_EQ(verdict(scheme),
              refused(Errc::not_supported, "a key or signature scheme that we do not take"))
        << scheme.name;
  }
}

TEST(Certificate, EveryCutAndEveryBitFlipIsRefused) {
  const auto made = make_certificate(host_key());
  const BytesView whole(made.der);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(verify_certificate(whole.first(size), kNow)) << size;
  }
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    auto changed = made.der;
    changed[bit / 8] ^= std::uint8_t(1U << bit % 8);
    EXPECT_FALSE(verify_certificate(changed, kNow)) << bit;
  }
}

TEST(Certificate, HasALimit) {
  EXPECT_EQ(verdict(Bytes(kMaxCertificateBytes + 1)), refused(Errc::too_large, "too large"));
}

TEST(Der, OnlyTheShortestLengthIsRead) {
  for (const auto* hex : {"", "04", "0401", "048000", "04810161", "04817f", "0482007f",
                          "0484000000016100", "0485000000000161", "1f0100", "04820080"}) {
    const auto bytes = unhex(hex);
    EXPECT_EQ(der::Reader(bytes).next().error(), Errc::malformed) << hex;
  }
  for (const std::size_t size : {0U, 1U, 127U, 128U, 255U, 256U, 65535U, 65536U}) {
    const auto bytes = element(der::kOctetString, {Bytes(size, 7)});
    der::Reader reader(bytes);
    EXPECT_EQ(reader.next(der::kOctetString).value().content.size(), size);
    EXPECT_TRUE(reader.is_empty());
  }
}

}  // namespace
}  // namespace pyrsia::crypto
