#include "host/web_certificate.hpp"

#include "crypto/test_web_authority.hpp"
#include "runtime/task_group.hpp"
#include "sim/two_hosts.hpp"

#include <pyrsia/host.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>

namespace pyrsia::host {
namespace {

using namespace std::chrono_literals;

KeyPair key_of(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

Multiaddr addr(const std::string& text) {
  return *Multiaddr::parse(text);
}

/// Two machines, and a folder of files.
class WebCertificateTest : public testing::Test {
 protected:
  WebCertificateTest() {
    auto name = (std::filesystem::temp_directory_path() / "pyrsia-web-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    write("ca.pem", authority.root());
    config.certificate = folder / "cert.pem";
    config.key = folder / "key.pem";
    issue("DNS:b.example.org");
    hosts.net.dns().add("b.example.org", {"5.6.7.8"});
  }
  ~WebCertificateTest() override { std::filesystem::remove_all(folder); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder / name) << text;
  }
  void issue(const std::string& names) {
    const auto files = authority.issue({names, hosts.a.wall_now()});
    write("cert.pem", files.chain);
    write("key.pem", files.key);
    // The clock of the file system may be too coarse to tell one write from the next.
    const auto time = std::filesystem::file_time_type::clock::now() + 1s * ++issued;
    std::filesystem::last_write_time(folder / "cert.pem", time);
    std::filesystem::last_write_time(folder / "key.pem", time);
  }
  std::string fault() const {
    std::string detail;
    EXPECT_EQ(read_web_certificate(config, &detail).error(), Errc::invalid_argument);
    EXPECT_TRUE(detail.starts_with("tls-")) << detail;
    return detail.substr(detail.rfind(": ") + 2);
  }

  sim::TwoHosts hosts;
  crypto::TestWebAuthority authority{hosts.a.wall_now()};
  std::filesystem::path folder;
  WebTlsConfig config;
  int issued = 0;
};

TEST_F(WebCertificateTest, EachFaultOfAFileIsNamed) {
  EXPECT_TRUE(read_web_certificate(config, nullptr).value());
  EXPECT_FALSE(read_web_certificate({}, nullptr).value());
  write("key.pem", "");
  EXPECT_EQ(fault(), "is empty");
  write("key.pem", std::string(1100 * 1024, 'x'));
  EXPECT_EQ(fault(), "is larger than 1 MiB");
  write("key.pem", authority.issue({"DNS:b.example.org", hosts.a.wall_now()}).key);
  EXPECT_EQ(fault(), "is not the key of the certificate");
  config.key = folder / "none.pem";
  EXPECT_EQ(fault(), "does not exist");
  config.key = folder;
  EXPECT_EQ(fault(), "cannot be read");
  config.key.reset();
  EXPECT_EQ(fault(), "needs tls-key too");
  config.certificate.reset();
  config.key = folder / "key.pem";
  EXPECT_EQ(fault(), "needs tls-cert too");
  config = {};
  std::string detail;
  config.extra_roots = folder / "key.pem";
  EXPECT_EQ(read_web_trust(config, &detail).error(), Errc::invalid_argument);
  EXPECT_TRUE(detail.ends_with("key.pem: has no certificate in PEM")) << detail;
}

TEST_F(WebCertificateTest, IsReadAgainWhenItChangesAndStaysIfItIsNoGood) {
  int taken = 0;
  std::vector<std::string> lines;
  const LogSink sink = [&](LogLevel, std::string_view, std::string_view message,
                           std::span<const LogField>) { lines.emplace_back(message); };
  WebCertificate certificate(
      hosts.a, config, [&](const auto& made) { taken += made ? 1 : 0; }, Logger("tls", sink));
  auto [loaded] = hosts.world.run(certificate.load(nullptr));
  EXPECT_TRUE(loaded);
  EXPECT_EQ(taken, 1);
  TaskGroup tasks(hosts.a);
  tasks.spawn(certificate.watch());
  hosts.world.run_for(1min);
  EXPECT_EQ(taken, 1);
  issue("DNS:c.example.org");
  hosts.world.run_for(11s);
  EXPECT_EQ(taken, 2);
  write("key.pem", "no key");
  std::filesystem::last_write_time(folder / "key.pem",
                                   std::filesystem::file_time_type::clock::now() + 1h);
  hosts.world.run_for(1min);
  EXPECT_EQ(taken, 2);
  EXPECT_EQ(lines.size(), 2U);  // It is said once.
  issue("DNS:c.example.org");
  hosts.world.run_for(11s);
  EXPECT_EQ(taken, 3);
  tasks.cancel();
  hosts.world.run(tasks.join());
}

Task<> connect(Host& host, Multiaddr address, std::string& why) {
  const auto peer = *address.peer_id();
  std::vector<Multiaddr> addresses(1, std::move(address));
  co_return co_await host.connect(peer, std::move(addresses), &why);
}

TEST_F(WebCertificateTest, ANodeWithOneTakesSecureWebSocketsAndSaysSo) {
  Config b_config;
  b_config.listen = {addr("/ip4/0.0.0.0/tcp/4001")};
  b_config.announce = {addr("/dns4/b.example.org/tcp/4001/wss")};
  b_config.web_tls = config;
  b_config.is_listen_only = true;
  Config a_config;
  a_config.listen.clear();
  a_config.is_listen_only = true;
  a_config.web_tls.extra_roots = folder / "ca.pem";
  const auto a = *Host::make(hosts.a, key_of(1), a_config);
  const auto b = *Host::make(hosts.b, key_of(2), b_config);
  auto [a_started, b_started] = hosts.world.run(a->start(nullptr), b->start(nullptr));
  EXPECT_TRUE(a_started && b_started);
  const auto told = b->advertised_addresses();
  const auto tells = [&](const char* text) { return std::ranges::count(told, addr(text)) == 1; };
  EXPECT_TRUE(tells("/ip4/5.6.7.8/tcp/4001"));
  EXPECT_TRUE(tells("/ip4/5.6.7.8/tcp/4001/tls/ws"));
  EXPECT_TRUE(tells("/dns4/b.example.org/tcp/4001/tls/ws"));
  std::string why;
  const auto by_ip = addr("/ip4/5.6.7.8/tcp/4001/tls/ws").with_peer(b->peer_id());
  auto [refused] = hosts.world.run(connect(*a, by_ip, why));
  EXPECT_EQ(refused.error(), Errc::bad_signature);
  EXPECT_EQ(why, "web TLS: the certificate of 5.6.7.8: IP address mismatch");
  const auto by_name = addr("/dns4/b.example.org/tcp/4001/wss").with_peer(b->peer_id());
  auto [connected] = hosts.world.run(connect(*a, by_name, why));
  EXPECT_TRUE(connected) << connected.error() << why;
  ASSERT_FALSE(a->paths(b->peer_id()).empty());
  EXPECT_EQ(a->paths(b->peer_id())[0].remote,
            addr("/ip4/5.6.7.8/tcp/4001/tls/sni/b.example.org/ws"));
  hosts.world.run(a->stop(), b->stop());
}

TEST_F(WebCertificateTest, WhereItListensForThemIsTheOperatorsChoice) {
  Config host_config;
  host_config.listen = {addr("/ip4/5.6.7.8/tcp/4001"),
                        addr("/ip4/5.6.7.8/tcp/443/tls/sni/b.example.org/ws")};
  host_config.is_listen_only = true;
  std::string detail;
  EXPECT_FALSE(validate(host_config, &detail));
  EXPECT_TRUE(detail.ends_with("needs tls-cert and tls-key")) << detail;
  host_config.web_tls = config;
  EXPECT_TRUE(validate(host_config, &detail));
  const auto host = *Host::make(hosts.b, key_of(2), host_config);
  auto [started] = hosts.world.run(host->start(nullptr));
  EXPECT_TRUE(started);
  auto listening = host->listen_addresses();
  auto wanted = host_config.listen;
  std::ranges::sort(listening);
  std::ranges::sort(wanted);
  EXPECT_EQ(listening, wanted);
  hosts.world.run(host->stop());
}

}  // namespace
}  // namespace pyrsia::host
