#include "sim/http.hpp"

#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::sim {
namespace {

using namespace std::chrono_literals;

/// b answers every request by one fixed text, and closes.
struct Responder : TwoHosts {
  explicit Responder(std::string text) : answer(std::move(text)), tasks(b) {
    net.dns().add("boot.test", {"5.6.7.8"});
    tasks.spawn(serve());
  }
  ~Responder() { world.run(stop()); }

  Task<> serve() {
    for (;;) {
      PYRSIA_CO_TRY(const auto socket, co_await listener->accept());
      std::array<std::uint8_t, 1000> bytes;
      const auto count = co_await socket->read_some(bytes);
      if (!count) continue;
      request = as_text(std::span(bytes).first(*count));
      const auto written = co_await socket->write_all(as_bytes(answer));
      if (!written) continue;
      PYRSIA_CO_TRY(co_await socket->close_write());
      // Not before the peer has closed too: destroying the socket would reset it.
      const auto end = co_await socket->read_some(bytes);
      if (!end) continue;
    }
  }
  Task<> stop() {
    tasks.cancel();
    co_return co_await tasks.join();
  }

  Result<HttpResponse> get(const std::string& url) {
    HttpRequest wanted;
    wanted.url = url;
    wanted.max_body_bytes = 1000;
    auto [response] = world.run(a.http_get(wanted, &detail));
    return std::move(response);
  }

  std::string answer;
  std::string request;
  std::string detail;
  TaskGroup tasks;
};

TEST(SimHttp, AResponseOfKnownLengthTakesTwoRoundTrips) {
  Responder hosts(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}ignored");
  auto response = hosts.get("http://boot.test:80/status?x=1#part");
  ASSERT_TRUE(response) << hosts.detail;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->content_type, "application/json");
  EXPECT_EQ(response->body, "{}");
  EXPECT_EQ(response->contacted, std::vector{*IpAddress::parse("5.6.7.8")});
  EXPECT_EQ(hosts.world.now(), TimePoint(200ms));
  EXPECT_TRUE(hosts.request.starts_with("GET /status?x=1 HTTP/1.1\r\nHost: boot.test:80\r\n"))
      << hosts.request;
}

TEST(SimHttp, ABodyMayEndWithTheConnectionOrByItsLastChunk) {
  Responder to_end("HTTP/1.1 404 Not Found\r\n\r\nnothing here");
  auto response = to_end.get("http://5.6.7.8");
  ASSERT_TRUE(response) << to_end.detail;
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, "nothing here");

  Responder chunks(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, you all "
      "\r\n0\r\n\r\n");
  response = chunks.get("http://boot.test");
  ASSERT_TRUE(response) << chunks.detail;
  EXPECT_EQ(response->body, "hello, you all ");
}

TEST(SimHttp, AFewBytesAtATimeAreTheSameAnswer) {
  Responder hosts("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
  hosts.net.set_max_read_bytes(3);
  auto response = hosts.get("http://boot.test");
  ASSERT_TRUE(response) << hosts.detail;
  EXPECT_EQ(response->body, "hello");
  EXPECT_EQ(hosts.request, "GET");
}

TEST(SimHttp, RedirectsAreFollowedUpToTheirLimit) {
  Responder hosts("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n");
  const auto response = hosts.get("http://boot.test/first");
  EXPECT_EQ(response.error(), Errc::limit_reached);
  EXPECT_TRUE(hosts.request.starts_with("GET /again ")) << hosts.request;
  EXPECT_EQ(hosts.detail, "following redirects to /again: limit_reached");
}

TEST(SimHttp, FailuresAreToldApart) {
  Responder hosts("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n");
  EXPECT_EQ(hosts.get("http://boot.test/big").error(), Errc::too_large);
  EXPECT_EQ(hosts.get("ftp://boot.test").error(), Errc::invalid_argument);
  EXPECT_EQ(hosts.get("http://boot.test:port").error(), Errc::invalid_argument);
  EXPECT_EQ(hosts.get("http://nobody.test").error(), Errc::not_found);
  EXPECT_EQ(hosts.detail, "resolving nobody.test: not_found");
  EXPECT_EQ(hosts.get("http://boot.test:81").error(), Errc::refused);
  EXPECT_EQ(hosts.detail, "connecting to 5.6.7.8:81: refused");
  hosts.answer = "garbage\r\n\r\n";
  EXPECT_EQ(hosts.get("http://boot.test").error(), Errc::network_failed);
  hosts.answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort";
  EXPECT_EQ(hosts.get("http://boot.test").error(), Errc::closed);
  hosts.answer = "HTTP/1.1 200 OK\r\n\r\n" + std::string(1001, 'x');
  EXPECT_EQ(hosts.get("http://boot.test").error(), Errc::too_large);
  hosts.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n";
  EXPECT_EQ(hosts.get("http://boot.test").error(), Errc::too_large);
  hosts.b.crash();
  EXPECT_EQ(hosts.get("http://boot.test").error(), Errc::timed_out);
  EXPECT_EQ(hosts.detail, "connecting to 5.6.7.8:80: timed_out");
}

Task<std::vector<IpAddress>> resolve(Env& env, std::string name, IpFamily family) {
  co_return co_await env.resolve(std::move(name), family);
}

TEST(SimDns, AnswersByFamilyAfterItsDelay) {
  TwoHosts hosts;
  hosts.net.dns().add("both.test", {"1.1.1.1", "2001:db8::1"});
  hosts.net.dns().add_txt("_dnsaddr.both.test", {"dnsaddr=/ip4/1.1.1.1"});
  hosts.net.dns().set_delay(30ms);
  auto [any, v4, v6, text] = hosts.world.run(
      resolve(hosts.a, "both.test", IpFamily::any), resolve(hosts.a, "both.test", IpFamily::v4),
      resolve(hosts.a, "both.test", IpFamily::v6), hosts.a.resolve_txt("_dnsaddr.both.test"));
  EXPECT_EQ(any->size(), 2U);
  ASSERT_EQ(v4->size(), 1U);
  EXPECT_EQ(v4->front().to_string(), "1.1.1.1");
  ASSERT_EQ(v6->size(), 1U);
  EXPECT_EQ(v6->front().to_string(), "2001:db8::1");
  EXPECT_EQ(text->front(), "dnsaddr=/ip4/1.1.1.1");
  EXPECT_EQ(hosts.world.now(), TimePoint(30ms));
}

TEST(SimDns, LiteralsAndLocalhostCostNothing) {
  TwoHosts hosts;
  hosts.net.dns().set_delay(30ms);
  auto [literal, local] = hosts.world.run(resolve(hosts.a, "2001:db8::9", IpFamily::any),
                                          resolve(hosts.a, "localhost", IpFamily::v4));
  EXPECT_EQ(literal->front().to_string(), "2001:db8::9");
  EXPECT_EQ(local->front().to_string(), "127.0.0.1");
  EXPECT_EQ(hosts.world.now(), TimePoint(0ms));
}

TEST(SimDns, FailuresCanBeMade) {
  TwoHosts hosts;
  auto& dns = hosts.net.dns();
  dns.add("a.test", {"1.1.1.1"});
  dns.fail("a.test", Errc::timed_out);
  auto [failed, unknown] = hosts.world.run(resolve(hosts.a, "a.test", IpFamily::any),
                                           resolve(hosts.a, "b.test", IpFamily::any));
  EXPECT_EQ(failed.error(), Errc::timed_out);
  EXPECT_EQ(unknown.error(), Errc::not_found);
  dns.add("a.test", {});
  dns.fail_all(Errc::unavailable);
  auto [all] = hosts.world.run(resolve(hosts.a, "a.test", IpFamily::any));
  EXPECT_EQ(all.error(), Errc::unavailable);
  dns.fail_all(std::nullopt);
  auto [again, no_text] =
      hosts.world.run(resolve(hosts.a, "a.test", IpFamily::any), hosts.a.resolve_txt("a.test"));
  EXPECT_EQ(again->size(), 1U);
  EXPECT_EQ(no_text.error(), Errc::not_found);
  dns.remove("a.test");
  auto [gone] = hosts.world.run(resolve(hosts.a, "a.test", IpFamily::any));
  EXPECT_EQ(gone.error(), Errc::not_found);
}

}  // namespace
}  // namespace pyrsia::sim
