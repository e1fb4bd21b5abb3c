#include "crypto/web_tls.hpp"

#include "crypto/test_web_authority.hpp"

#include <gtest/gtest.h>

namespace pyrsia::crypto {
namespace {

const WallTime kNow(std::chrono::seconds(1'800'000'000));

/// Client and server without a connection between them.
struct Pair {
  Pair(const std::shared_ptr<const TlsContext>& trust,
       const std::shared_ptr<const TlsContext>& shown, std::string_view name)
      : client(*trust, kNow, name), server(*shown) {
    Bytes to_server;
    Bytes to_client;
    from_client = client.handshake({}, to_server);
    for (int turn = 0; turn < 4; ++turn) {
      to_client.clear();
      if (from_server && !*from_server) from_server = whole(server, to_server, to_client);
      to_server.clear();
      if (from_client && !*from_client) from_client = whole(client, to_client, to_server);
    }
  }

  /// As it comes on a stream: record by record.
  static Result<bool> whole(TlsSession& session, BytesView in, Bytes& out) {
    Result<bool> done = false;
    while (done && !*done && !in.empty()) {
      const auto size = tls_record_size(in).value();
      done = session.handshake(in.first(size), out);
      in = in.subspan(size);
    }
    return done;
  }

  TlsSession client;
  TlsSession server;
  Result<bool> from_client = false;
  Result<bool> from_server = false;
};

class WebTls : public testing::Test {
 protected:
  std::shared_ptr<const TlsContext> trusting(const TestWebAuthority& who) {
    return make_web_client({false, who.root()}, nullptr).value();
  }
  std::shared_ptr<const TlsContext> showing(const WebOrder& order) {
    const auto files = authority.issue(order);
    return make_web_server(files.chain, files.key, nullptr).value();
  }

  TestWebAuthority authority{kNow};
  std::shared_ptr<const TlsContext> trust = trusting(authority);
};

TEST_F(WebTls, ACertificateForTheNameIsTaken) {
  struct Case {
    std::string names;
    std::string asked;
    bool is_by_intermediate = false;
  };
  const std::vector<Case> cases = {{"DNS:a.example", "a.example"},
                                   {"DNS:a.example", "A.Example"},
                                   {"DNS:b.example,DNS:a.example", "a.example"},
                                   {"DNS:*.example.org", "a.example.org"},
                                   {"IP:1.2.3.4", "1.2.3.4"},
                                   {"IP:2600::1", "2600::1"},
                                   {"DNS:a.example", "a.example", true}};
  for (const auto& c : cases) {
    const Pair pair(trust, showing({c.names, kNow, 30, c.is_by_intermediate}), c.asked);
    EXPECT_TRUE(pair.from_client && *pair.from_client) << c.asked << ": " << pair.client.fault();
    EXPECT_TRUE(pair.from_server && *pair.from_server) << c.asked << ": " << pair.server.fault();
    EXPECT_EQ(pair.client.protocol(), "http/1.1");
  }
}

TEST_F(WebTls, AnyOtherIsRefusedInWordsAndTheServerIsTold) {
  const TestWebAuthority other(kNow, "another root");
  const auto foreign = trusting(other);
  const TestWebAuthority false_one(kNow);
  const auto deceived = trusting(false_one);
  struct Case {
    std::shared_ptr<const TlsContext> trust;
    WebOrder order;
    std::string asked;
    std::string fault;
  };
  const std::vector<Case> cases = {
      {trust, {"DNS:b.example", kNow}, "a.example", "a.example: hostname mismatch"},
      {trust, {"DNS:*.example.org", kNow}, "a.b.example.org", "a.b.example.org: hostname mismatch"},
      {trust, {"DNS:a*.example.org", kNow}, "ab.example.org", "ab.example.org: hostname mismatch"},
      {trust, {"IP:1.2.3.5", kNow}, "1.2.3.4", "1.2.3.4: IP address mismatch"},
      {trust, {"DNS:1.2.3.4", kNow}, "1.2.3.4", "1.2.3.4: IP address mismatch"},
      {trust,
       {"DNS:a.example", kNow - std::chrono::hours(24 * 31), 30},
       "a.example",
       "a.example: certificate has expired"},
      {trust,
       {"DNS:a.example", kNow + std::chrono::hours(25), 30},
       "a.example",
       "a.example: certificate is not yet valid"},
      {foreign,
       {"DNS:a.example", kNow},
       "a.example",
       "a.example: unable to get local issuer certificate"},
      {deceived, {"DNS:a.example", kNow}, "a.example", "a.example: certificate signature failure"},
  };
  for (const auto& c : cases) {
    const Pair pair(c.trust, showing(c.order), c.asked);
    EXPECT_EQ(pair.from_client.error(), Errc::bad_signature) << c.fault;
    EXPECT_EQ(pair.client.fault(), "the certificate of " + c.fault);
    EXPECT_EQ(pair.from_server.error(), Errc::refused) << pair.server.fault();
  }
}

TEST_F(WebTls, ACertificateOfLibp2pIsNoneOfTheWeb) {
  std::array<std::uint8_t, 32> seed{};
  const auto own = make_certificate(KeyPair::from_seed(seed));
  const TlsContext shown(own, {"libp2p", "http/1.1"});
  const std::shared_ptr<const TlsContext> borrowed(&shown, [](const TlsContext*) {});
  const Pair pair(trust, borrowed, "a.example");
  EXPECT_FALSE(pair.from_client);
}

TEST_F(WebTls, CarriesRecordsAndItsEnd) {
  Pair pair(trust, showing({"DNS:a.example", kNow}), "a.example");
  const Bytes plain(1000, 7);
  Bytes record(plain.size() + TlsSession::kSealRoomBytes);
  record.resize(pair.server.seal(plain, record).value());
  EXPECT_EQ(pair.client.open(record, record).value(), plain.size());
  Bytes last;
  pair.client.end(last);
  ASSERT_FALSE(last.empty());
  EXPECT_EQ(pair.server.open(last, last).error(), Errc::closed);
}

TEST_F(WebTls, ANameThatTlsCannotAskForIsRefused) {
  const Pair pair(trust, showing({"DNS:a.example", kNow}), std::string(300, 'a'));
  EXPECT_EQ(pair.from_client.error(), Errc::invalid_argument);
}

TEST_F(WebTls, FilesThatAreNoGoodAreNamed) {
  const auto files = authority.issue({"DNS:a.example", kNow});
  const auto others = authority.issue({"DNS:a.example", kNow});
  const auto cut = files.chain.substr(0, files.chain.size() / 2);
  auto changed = files.chain;
  changed[files.chain.size() / 2] = '!';
  struct Case {
    std::string chain;
    std::string key;
    Errc code;
    std::string detail;
  };
  std::string many;
  for (int i = 0; i < 17; ++i) many += files.chain;
  const std::string encrypted =
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
  const std::vector<Case> cases = {
      {"", files.key, Errc::malformed, "has no certificate in PEM"},
      {files.key, files.key, Errc::malformed, "has no certificate in PEM"},
      {cut, files.key, Errc::malformed, "has a certificate that cannot be read"},
      {changed, files.key, Errc::malformed, "has a certificate that cannot be read"},
      {many, files.key, Errc::malformed, "has more certificates than a chain may have"},
      {files.chain, "", Errc::invalid_argument, "has no private key in PEM that can be read"},
      {files.chain, files.chain, Errc::invalid_argument,
       "has no private key in PEM that can be read"},
      {files.chain, encrypted, Errc::invalid_argument,
       "is encrypted, and nobody is there to be asked for the password"},
      {files.chain, others.key, Errc::invalid_argument, "is not the key of the certificate"},
  };
  for (const auto& c : cases) {
    std::string detail;
    EXPECT_EQ(make_web_server(c.chain, c.key, &detail).error(), c.code) << c.detail;
    EXPECT_EQ(detail, c.detail);
  }
  std::string detail;
  EXPECT_EQ(make_web_client({false, "no PEM"}, &detail).error(), Errc::malformed);
  EXPECT_EQ(detail, "has no certificate in PEM");
}

TEST_F(WebTls, TheRootsOfTheSystemDoNotKnowTheTests) {
  const auto system = make_web_client(WebTrust(), nullptr).value();
  const Pair pair(system, showing({"DNS:a.example", kNow}), "a.example");
  EXPECT_EQ(pair.from_client.error(), Errc::bad_signature);
}

}  // namespace
}  // namespace pyrsia::crypto
