#include "crypto/tls_session.hpp"

#include "base/hex.hpp"
#include "crypto/spec_certificates.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::crypto {
namespace {

const WallTime kNow(std::chrono::seconds(1'800'000'000));

KeyPair key(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

TlsContext context(std::uint8_t number, std::vector<std::string> protocols) {
  return TlsContext(make_certificate(key(number)), std::move(protocols));
}

/// The two ends of a connection, without one.
struct Pair {
  Pair(const TlsContext& a, const TlsContext& b, std::optional<PeerId> expected = std::nullopt)
      : client(a, Role::initiator, kNow, std::move(expected)),
        server(b, Role::responder, kNow, std::nullopt) {}

  void shake() {
    Bytes to_server;
    Bytes to_client;
    from_client = client.handshake({}, to_server);
    for (int turn = 0; turn < 4; ++turn) {
      if (from_server && !*from_server) {
        to_client.clear();
        from_server = server.handshake(to_server, to_client);
      }
      to_server.clear();
      if (from_client && !*from_client) from_client = client.handshake(to_client, to_server);
    }
    late = to_client;
  }

  TlsSession client;
  TlsSession server;
  Result<bool> from_client = false;
  Result<bool> from_server = false;
  Bytes late;  // What the server said after the client was done.
};

Bytes sealed(TlsSession& session, BytesView plain) {
  Bytes out(plain.size() + TlsSession::kSealRoomBytes);
  out.resize(session.seal(plain, out).value());
  return out;
}

TEST(TlsSession, ProvesBothPeersAndAgreesOnAProtocol) {
  const auto a = context(1, {"/yamux/1.0.0", "libp2p"});
  const auto b = context(2, {"/yamux/1.0.0", "libp2p"});
  Pair pair(a, b, key(2).peer_id());
  pair.shake();
  ASSERT_TRUE(pair.from_client && *pair.from_client) << pair.client.fault();
  ASSERT_TRUE(pair.from_server && *pair.from_server) << pair.server.fault();
  EXPECT_EQ(pair.client.peer_key(), key(2).public_key());
  EXPECT_EQ(pair.server.peer_key(), key(1).public_key());
  EXPECT_EQ(pair.client.protocol(), "/yamux/1.0.0");
  EXPECT_EQ(pair.server.protocol(), "/yamux/1.0.0");
  EXPECT_TRUE(pair.late.empty());  // No tickets.
}

TEST(TlsSession, TheClientsOrderOfProtocolsCounts) {
  const auto a = context(1, {"/c", "/b", "libp2p"});
  const auto b = context(2, {"/a", "/b", "/c", "libp2p"});
  Pair pair(a, b);
  pair.shake();
  EXPECT_EQ(pair.client.protocol(), "/c");
  const auto rust = context(3, {"libp2p"});
  Pair other(rust, b);
  other.shake();
  EXPECT_EQ(other.server.protocol(), "libp2p");
}

TEST(TlsSession, NoCommonProtocolIsToldToTheClient) {
  const auto a = context(1, {"/x"});
  const auto b = context(2, {"/y"});
  Pair pair(a, b);
  pair.shake();
  EXPECT_EQ(pair.from_server.error(), Errc::not_supported);
  EXPECT_EQ(pair.from_client.error(), Errc::not_supported);
}

TEST(TlsSession, AWrongPeerIsRefusedAndToldSo) {
  const auto a = context(1, {"libp2p"});
  const auto b = context(2, {"libp2p"});
  Pair pair(a, b, key(3).peer_id());
  pair.shake();
  EXPECT_EQ(pair.from_client.error(), Errc::wrong_peer);
  EXPECT_EQ(pair.from_server.error(), Errc::refused);
}

/// A certificate whose host key did not sign its key: ours with one byte of the signature changed.
Certificate forged() {
  auto made = make_certificate(key(9));
  for (std::size_t at = 0;; ++at) {
    auto der = made.der;
    der.at(at) ^= 1;
    CertificateFault fault;
    if (!verify_certificate(der, kNow, fault) && fault == "a wrong self-signature")
      return Certificate(std::move(der), std::move(made.key_pkcs8));
  }
}

TEST(TlsSession, ABadCertificateIsRefusedByTheClient) {
  const auto a = context(1, {"libp2p"});
  const TlsContext b(forged(), {"libp2p"});
  Pair pair(a, b);
  pair.shake();
  EXPECT_EQ(pair.from_client.error(), Errc::bad_signature);
  EXPECT_EQ(pair.client.fault(), "a wrong self-signature");
  EXPECT_EQ(pair.from_server.error(), Errc::refused);
}

TEST(TlsSession, ABadCertificateOfTheClientComesOutAtItsFirstRead) {
  const TlsContext a(forged(), {"libp2p"});
  const auto b = context(2, {"libp2p"});
  Pair pair(a, b);
  pair.shake();
  EXPECT_TRUE(pair.from_client && *pair.from_client);
  EXPECT_EQ(pair.from_server.error(), Errc::bad_signature);
  ASSERT_FALSE(pair.late.empty());
  Bytes plain(pair.late.size());
  EXPECT_EQ(pair.client.open(pair.late, plain).error(), Errc::refused);
}

TEST(TlsSession, CarriesRecordsInPlaceAndNoticesChanges) {
  const auto a = context(1, {"libp2p"});
  const auto b = context(2, {"libp2p"});
  Pair pair(a, b);
  pair.shake();
  for (const std::size_t size : {std::size_t(1), std::size_t(1000), kTlsRecordBytes}) {
    const Bytes plain(size, 7);
    auto record = sealed(pair.client, plain);
    EXPECT_EQ(record.size(), size + kTlsOverheadBytes);
    EXPECT_EQ(tls_record_size(record).value(), record.size());
    EXPECT_EQ(pair.server.open(record, record).value(), size);
    EXPECT_EQ(Bytes(record.begin(), record.begin() + std::ptrdiff_t(size)), plain);
  }
  auto record = sealed(pair.server, as_bytes("x"));
  record.back() ^= 1;
  Bytes plain(record.size());
  EXPECT_EQ(pair.client.open(record, plain).error(), Errc::bad_signature);
}

TEST(TlsSession, GarbageIsAnErrorAndAnAlert) {
  const auto b = context(2, {"libp2p"});
  for (const auto* hex : {"160301000401000000", "1603010005ffffffffff", "15030100020228",
                          "1703030003010203", "1403030001020304"}) {
    TlsSession server(b, Role::responder, kNow, std::nullopt);
    Bytes out;
    EXPECT_FALSE(server.handshake(from_hex(hex).value(), out)) << hex;
  }
}

TEST(TlsSession, ARecordHasALimit) {
  EXPECT_EQ(tls_record_size({}).value(), 0U);
  EXPECT_EQ(tls_record_size(from_hex("17030341").value()).value(), 0U);
  EXPECT_EQ(tls_record_size(from_hex("1703034100").value()).value(), 5U + 0x4100);
  EXPECT_EQ(tls_record_size(from_hex("1703034101").value()).error(), Errc::malformed);
  EXPECT_EQ(tls_record_size(from_hex("13").value()).error(), Errc::malformed);
}

}  // namespace
}  // namespace pyrsia::crypto
