/// Peers with certificates that are no good, over TCP and QUIC, as client and as server: each is
/// refused, the log says why, and the node lives on.
#include "crypto/test_certificates.hpp"
#include "runtime/timeout.hpp"
#include "sim/two_hosts.hpp"
#include "swarm/test_node.hpp"
#include "transport/quic/tls.hpp"
#include "transport/quic/transport.hpp"
#include "wire/buffered_stream.hpp"
#include "wire/multistream.hpp"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <functional>

namespace pyrsia::swarm {
namespace {

using namespace std::chrono_literals;

using crypto::Recipe;

/// What a peer shows; with a key that need not be that of the certificate.
struct Shown {
  std::vector<Bytes> chain;
  Bytes key;
};

Shown shown(const Recipe& recipe) {
  return {{recipe.build()}, crypto::evp_private_info(recipe.key.get())};
}

gnutls_datum_t datum(const Bytes& bytes) {
  return {const_cast<unsigned char*>(bytes.data()), static_cast<unsigned>(bytes.size())};
}

/// For a key too small for any signature of TLS 1.3: bytes in place of one.
int sign_nothing(gnutls_privkey_t, gnutls_sign_algorithm_t, void*, unsigned, const gnutls_datum_t*,
                 gnutls_datum_t* signature) {
  constexpr unsigned kBytes = 64;
  signature->data = static_cast<unsigned char*>(gnutls_calloc(1, kBytes));
  signature->size = kBytes;
  return 0;
}

int describe_nothing(gnutls_privkey_t, unsigned what, void*) {
  if ((what & GNUTLS_PRIVKEY_INFO_PK_ALGO) != 0) return GNUTLS_PK_RSA;
  if ((what & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) != 0) return 2048;
  if ((what & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) != 0) return 1;
  return -1;
}

gnutls_certificate_credentials_t credentials_of(const Shown& shown) {
  gnutls_certificate_credentials_t credentials = nullptr;
  EXPECT_EQ(gnutls_certificate_allocate_credentials(&credentials), 0);
  gnutls_certificate_set_flags(credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
  if (shown.chain.empty()) return credentials;
  std::vector<gnutls_pcert_st> list(shown.chain.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto der = datum(shown.chain[i]);
    EXPECT_EQ(gnutls_pcert_import_x509_raw(&list[i], &der, GNUTLS_X509_FMT_DER, 0), 0);
  }
  gnutls_privkey_t key = nullptr;
  EXPECT_EQ(gnutls_privkey_init(&key), 0);
  const auto secret = datum(shown.key);
  if (shown.key.empty()) {
    EXPECT_EQ(gnutls_privkey_import_ext4(key, nullptr, nullptr, sign_nothing, nullptr, nullptr,
                                         describe_nothing, 0),
              0);
  } else {
    EXPECT_EQ(gnutls_privkey_import_x509_raw(key, &secret, GNUTLS_X509_FMT_DER, nullptr, 0), 0);
  }
  EXPECT_EQ(gnutls_certificate_set_key(credentials, nullptr, 0, list.data(), int(list.size()), key),
            0);
  return credentials;
}

/// TLS 1.3 over a stream, by another library than that of our node, which judges nobody.
class OtherTls {
 public:
  OtherTls(const Shown& shown, Role role)
      : credentials_(credentials_of(shown)), is_server_(role == Role::responder) {
    EXPECT_EQ(gnutls_init(&session_, is_server_ ? GNUTLS_SERVER : GNUTLS_CLIENT), 0);
    EXPECT_EQ(gnutls_priority_set_direct(session_, "NORMAL:-VERS-ALL:+VERS-TLS1.3", nullptr), 0);
    EXPECT_EQ(gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials_.get()), 0);
    std::string name = "libp2p";
    const gnutls_datum_t alpn{reinterpret_cast<unsigned char*>(name.data()), unsigned(name.size())};
    EXPECT_EQ(gnutls_alpn_set_protocols(session_, &alpn, 1, 0), 0);
    if (is_server_) gnutls_certificate_server_set_request(session_, GNUTLS_CERT_REQUEST);
    gnutls_transport_set_ptr(session_, this);
    gnutls_transport_set_pull_function(session_, pull);
    gnutls_transport_set_push_function(session_, push);
    gnutls_transport_set_pull_timeout_function(session_, [](void*, unsigned) { return 1; });
  }
  OtherTls(const OtherTls&) = delete;
  OtherTls& operator=(const OtherTls&) = delete;
  ~OtherTls() { gnutls_deinit(session_); }

  /// Shakes hands and listens until the other side ends it. The alert that it was told.
  Task<std::string> run(Stream& stream) {
    for (bool is_shaken = false;;) {
      std::array<std::uint8_t, 256> in{};
      const int result = is_shaken ? int(gnutls_record_recv(session_, in.data(), in.size()))
                                   : gnutls_handshake(session_);
      const auto bytes = std::exchange(out_, Bytes());
      if (!bytes.empty()) PYRSIA_CO_TRY(co_await stream.write_all(bytes));
      if (result == GNUTLS_E_FATAL_ALERT_RECEIVED)
        co_return std::string(gnutls_alert_get_name(gnutls_alert_get(session_)));
      if (result == 0 && is_shaken) co_return Errc::closed;
      // OpenSSL, as client, sends its alert in the clear, and this library takes none such.
      if (result < 0 && gnutls_error_is_fatal(result) != 0) co_return Errc::protocol_violation;
      if (result >= 0) is_shaken = true;
      if (result != GNUTLS_E_AGAIN) continue;
      PYRSIA_CO_TRY(const auto count, co_await stream.read_some(in));
      if (count == 0) co_return Errc::closed;
      in_.insert(in_.end(), in.begin(), in.begin() + std::ptrdiff_t(count));
    }
  }

 private:
  static ssize_t pull(gnutls_transport_ptr_t self, void* out, std::size_t size) {
    auto& mine = *static_cast<OtherTls*>(self);
    if (mine.in_.empty()) {
      gnutls_transport_set_errno(mine.session_, EAGAIN);
      return -1;
    }
    const auto count = std::min(size, mine.in_.size());
    std::copy_n(mine.in_.begin(), count, static_cast<std::uint8_t*>(out));
    mine.in_.erase(mine.in_.begin(), mine.in_.begin() + std::ptrdiff_t(count));
    return ssize_t(count);
  }
  static ssize_t push(gnutls_transport_ptr_t self, const void* in, std::size_t size) {
    auto& mine = *static_cast<OtherTls*>(self);
    const auto* const bytes = static_cast<const std::uint8_t*>(in);
    mine.out_.insert(mine.out_.end(), bytes, bytes + size);
    return ssize_t(size);
  }

  transport::quic::Credentials credentials_;
  const bool is_server_;
  gnutls_session_t session_ = nullptr;
  Bytes in_;
  Bytes out_;
};

/// Our node, over TCP with TLS and over QUIC, and all that it logs.
struct Ours {
  explicit Ours(Env& env) : swarm(env, key, Config(), classifier, Logger("swarm", sink)) {
    transport::tcp::Config tcp;
    tcp.securities.assign(1, std::string(secure::tls::kProtocol));
    swarm.add_transport(std::make_unique<transport::tcp::Transport>(env, key, tcp));
    swarm.add_transport(std::make_unique<transport::quic::Transport>(
        env, key, transport::quic::Config(), Logger("quic", sink)));
    swarm.handle("/echo/1", ProtocolLimits(), echo);
    swarm.start();
    EXPECT_TRUE(swarm.listen(*Multiaddr::parse("/ip4/0.0.0.0/tcp/4001")));
    EXPECT_TRUE(swarm.listen(*Multiaddr::parse("/ip4/0.0.0.0/udp/4001/quic-v1")));
  }

  bool has_logged(const std::string& text) const {
    return std::ranges::any_of(
        lines, [&](const std::string& line) { return line.find(text) != std::string::npos; });
  }

  std::vector<std::string> lines;
  LogSink sink = [this](LogLevel, std::string_view, std::string_view message,
                        std::span<const LogField> fields) {
    std::string line(message);
    for (const auto& field : fields)
      if (const auto* text = std::get_if<std::string_view>(&field.value))
        line += " " + std::string(field.key) + "=" + std::string(*text);
    lines.push_back(std::move(line));
  };
  KeyPair key = test_key(1);
  AddressClassifier classifier;
  Swarm swarm;
};

struct Case {
  std::string name;
  std::function<Shown()> make;
  std::string why;          ///< In our log.
  std::string over_quic{};  ///< The same over QUIC, if it differs.
  bool as_server = true;    ///< A server cannot do without one.
  bool is_good = false;     ///< But of somebody else than was to answer.
};

Shown spoiled(const std::function<void(Recipe&)>& spoil) {
  Recipe recipe;
  spoil(recipe);
  return shown(recipe);
}

Shown with_rsa(unsigned bits) {
  Recipe recipe;
  recipe.key = crypto::EvpKey(EVP_RSA_gen(bits));
  recipe.algorithm = crypto::unhex("300d06092a864886f70d01010b0500");
  auto made = shown(recipe);
  if (bits < 1024) made.key.clear();
  return made;
}

Shown corrupted() {
  auto made = shown(Recipe());
  made.chain[0].back() ^= 1;
  return made;
}

Shown doubled() {
  auto made = shown(Recipe());
  made.chain.push_back(made.chain[0]);
  return made;
}

void of_another_oid(Recipe& recipe) {
  recipe.extensions = {Recipe::extension("2b0601040183a25a0102", recipe.extension_value(), {})};
}

void with_critical(Recipe& recipe) {
  recipe.extensions = {
      Recipe::extension(crypto::kOurOid, recipe.extension_value(), {}),
      Recipe::extension("2b0601040183a25a0163", crypto::unhex("3000"), Recipe::critical())};
}

void expired(Recipe& recipe) {
  recipe.not_after = crypto::der::element(crypto::der::kUtcTime, {as_bytes("251231235959Z")});
}

void from_tomorrow(Recipe& recipe) {
  recipe.not_before = crypto::der::element(crypto::der::kUtcTime, {as_bytes("260102000000Z")});
}

std::vector<Case> cases() {
  return {
      {"none", [] { return Shown(); }, "peer did not return a certificate",
       "Certificate is required", false},
      {"two", doubled, "several certificates"},
      {"expired", [] { return spoiled(expired); }, "expired"},
      {"from tomorrow", [] { return spoiled(from_tomorrow); }, "not yet valid"},
      {"wrong OID", [] { return spoiled(of_another_oid); }, "no libp2p extension"},
      {"no extension", [] { return spoiled([](Recipe& r) { r.is_without_extensions = true; }); },
       "no libp2p extension"},
      {"signed for something else",
       [] { return spoiled([](Recipe& r) { r.signed_prefix = "noise-libp2p-static-key:"; }); },
       "a wrong signature of the host key"},
      {"corrupted self-signature", corrupted, "a wrong self-signature"},
      {"critical extension", [] { return spoiled(with_critical); },
       "an unknown critical extension"},
      // Over QUIC GnuTLS looks at the signature first, which such a key cannot make.
      {"RSA 512", [] { return with_rsa(512); }, "a key or signature scheme that we do not take",
       "Decrypt error"},
      {"RSA 1024", [] { return with_rsa(1024); }, "a key or signature scheme that we do not take"},
      {"wrong peer", [] { return shown(Recipe()); }, "another peer", "", true, true},
  };
}

class BadCertificates : public testing::Test {
 protected:
  BadCertificates() { hosts.world.set_run_limit(10min); }
  ~BadCertificates() override { hosts.world.run(ours.swarm.stop()); }

  /// Whom we dial: who vouches for the bad certificate, or somebody else.
  static PeerId expected(const Case& c) {
    return c.is_good ? test_key(9).peer_id() : crypto::host_key().peer_id();
  }

  Task<ConnectionInfo> dial(std::string to, PeerId peer) {
    DialRequest request{.peer = std::move(peer), .addresses = {}, .is_only_these = true};
    request.addresses.push_back(*Multiaddr::parse(to));
    request.detail = &why;
    co_return co_await ours.swarm.connect(std::move(request));
  }

  void expect_refused(const Result<ConnectionInfo>& dialed, const Case& c) {
    EXPECT_FALSE(dialed);
    const bool is_told = why.find(c.why) != std::string::npos ||
                         (!c.over_quic.empty() && why.find(c.over_quic) != std::string::npos);
    EXPECT_TRUE(is_told) << why;
    expect_logged(c);
  }
  void expect_logged(const Case& c) {
    const bool is_told =
        ours.has_logged(c.why) || (!c.over_quic.empty() && ours.has_logged(c.over_quic));
    EXPECT_TRUE(is_told) << testing::PrintToString(ours.lines);
    EXPECT_EQ(ours.swarm.peer_count(), 0U);
    ours.lines.clear();
  }
  /// A peer like any other still gets through.
  void expect_alive() {
    TestNode good(hosts.b, 2);
    good.swarm.peer_store().add_addresses(
        ours.key.peer_id(), {*Multiaddr::parse("/ip4/1.2.3.4/tcp/4001")}, AddressSource::manual,
        hosts.b.now(), std::chrono::hours(1));
    auto [answer] = hosts.world.run(ask(good, ours.key.peer_id(), "hello"));
    EXPECT_TRUE(answer) << answer.error();
    hosts.world.run(good.swarm.stop());
    hosts.world.run_for(1s);
    ours.lines.clear();
  }

  sim::TwoHosts hosts;
  Ours ours{hosts.a};
  std::string why;
};

/// Proposes TLS to our node and shakes hands.
Task<std::string> come_over_tcp(Env& env, Shown shown) {
  PYRSIA_CO_TRY(auto socket, co_await sim::dial(env, sim::at("1.2.3.4", 4001)));
  wire::BufferedStream stream(std::move(socket));
  std::vector<std::string> proposals(1, std::string(secure::tls::kProtocol));
  PYRSIA_CO_TRY(co_await wire::propose(stream, std::move(proposals)));
  OtherTls tls(shown, Role::initiator);
  co_return co_await tls.run(stream);
}

/// The same for one connection that our node dials.
Task<std::string> answer_over_tcp(TcpListener& listener, Shown shown) {
  PYRSIA_CO_TRY(auto socket, co_await listener.accept());
  wire::BufferedStream stream(std::move(socket));
  std::function<bool(std::string_view)> any = [](std::string_view) { return true; };
  std::vector<std::string> none;
  PYRSIA_CO_TRY(co_await wire::answer(stream, std::move(any), std::move(none)));
  OtherTls tls(shown, Role::responder);
  co_return co_await tls.run(stream);
}

TEST_F(BadCertificates, AClientOverTcpIsRefusedAndToldSo) {
  for (const auto& c : cases()) {
    if (c.is_good) continue;  // Whoever comes is somebody.
    SCOPED_TRACE(c.name);
    auto [alert] = hosts.world.run(come_over_tcp(hosts.b, c.make()));
    EXPECT_TRUE(alert) << alert.error();
    hosts.world.run_for(1s);
    expect_logged(c);
    expect_alive();
  }
}

TEST_F(BadCertificates, AServerOverTcpIsRefused) {
  for (const auto& c : cases()) {
    if (!c.as_server) continue;
    SCOPED_TRACE(c.name);
    const auto listener = hosts.b.tcp_listen(sim::at("5.6.7.8", 4001), TcpListenOptions()).value();
    auto [dialed, alert] = hosts.world.run(dial("/ip4/5.6.7.8/tcp/4001", expected(c)),
                                           answer_over_tcp(*listener, c.make()));
    EXPECT_TRUE(alert || alert.error() != Errc::deadlock);  // It is not left waiting.
    expect_refused(dialed, c);
    expect_alive();
  }
}

/// A QUIC node that shows a bad certificate. To be stopped before it goes.
struct OtherQuic {
  OtherQuic(Env& env, const Shown& shown)
      : transport(env, crypto::host_key(), transport::quic::Config(),
                  transport::quic::Credentials(credentials_of(shown)), Logger("other", kNoLog)) {}
  transport::quic::Transport transport;
};

/// Until our node has judged us.
Task<> come_over_quic(transport::quic::Transport& from, PeerId ours) {
  const auto to = *Multiaddr::parse("/ip4/1.2.3.4/udp/4001/quic-v1");
  const transport::DialOptions options;
  PYRSIA_CO_TRY(auto connection, co_await from.dial(to, std::move(ours), options));
  co_return co_await connection.muxer->wait_confirmed();
}

TEST_F(BadCertificates, AClientOverQuicIsRefusedAndToldSo) {
  for (const auto& c : cases()) {
    if (c.is_good) continue;
    SCOPED_TRACE(c.name);
    OtherQuic other(hosts.b, c.make());
    auto [confirmed] = hosts.world.run(come_over_quic(other.transport, ours.key.peer_id()));
    EXPECT_EQ(confirmed.error(), Errc::refused);
    hosts.world.run_for(1s);
    expect_logged(c);
    hosts.world.run(other.transport.stop());
    expect_alive();
  }
}

TEST_F(BadCertificates, AServerOverQuicIsRefused) {
  for (const auto& c : cases()) {
    if (!c.as_server) continue;
    SCOPED_TRACE(c.name);
    OtherQuic other(hosts.b, c.make());
    const auto at = *Multiaddr::parse("/ip4/5.6.7.8/udp/4001/quic-v1");
    auto listener = other.transport.listen(at).value();
    auto [dialed] = hosts.world.run(dial(at.to_string(), expected(c)));
    expect_refused(dialed, c);
    listener.reset();
    hosts.world.run(other.transport.stop());
    expect_alive();
  }
}

}  // namespace
}  // namespace pyrsia::swarm
