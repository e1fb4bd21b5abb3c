/// Names and HTTP, against tiny servers on loopback.
#include "runtime/real_env.hpp"
#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLimit = 20s;
const Endpoint kAnyPort{IpAddress::v4_loopback(), 0};
constexpr std::uint8_t kA = 1, kAaaa = 28, kTxt = 16;

/// The DNS question's name and type.
struct Question {
  std::string name;
  std::uint8_t type = 0;
  std::size_t end = 0;  ///< Of the question, in the message.
};

Question question_of(BytesView message) {
  Question question;
  std::size_t at = 12;
  while (at < message.size() && message[at] != 0) {
    const std::size_t length = message[at];
    question.name +=
        (question.name.empty() ? "" : ".") + std::string(as_text(message.subspan(at + 1, length)));
    at += 1 + length;
  }
  question.type = message[at + 2];
  question.end = at + 5;
  return question;
}

struct Answer {
  std::uint8_t code = 0;       ///< 3: no such name; 2: server failure.
  std::vector<Bytes> records;  ///< Data only; all of the question's type.
};

Bytes encode(BytesView query, const Question& question, const Answer& answer) {
  Bytes out(query.begin(), query.begin() + std::ptrdiff_t(question.end));
  out[2] = 0x81;
  out[3] = static_cast<std::uint8_t>(0x80 | answer.code);
  out[7] = static_cast<std::uint8_t>(answer.records.size());
  out[9] = out[11] = 0;
  for (const auto& record : answer.records) {
    const std::array<std::uint8_t, 12> head = {0xc0,
                                               12,
                                               0,
                                               question.type,
                                               0,
                                               1,
                                               0,
                                               0,
                                               0,
                                               60,
                                               std::uint8_t(record.size() >> 8),
                                               std::uint8_t(record.size())};
    out.insert(out.end(), head.begin(), head.end());
    out.insert(out.end(), record.begin(), record.end());
  }
  return out;
}

Bytes text_record(std::initializer_list<std::string_view> chunks) {
  Bytes out;
  for (const auto chunk : chunks) {
    out.push_back(static_cast<std::uint8_t>(chunk.size()));
    out.insert(out.end(), chunk.begin(), chunk.end());
  }
  return out;
}

/// Records of about 900 bytes in all: too many for a message without EDNS.
std::vector<Bytes> long_texts() {
  const std::string text(200, 'x');
  return std::vector<Bytes>(4, text_record({text}));
}

bool has_edns(BytesView query) {
  return query[11] > 0;
}

Bytes truncated(BytesView query) {
  auto out = encode(query, question_of(query), {});
  out[2] |= 0x02;
  return out;
}

/// What the test's name server knows. "silent.test" it never answers.
Bytes answer_to(BytesView query) {
  const auto question = question_of(query);
  Answer answer;
  if (question.name == "garbage.test") return Bytes(query.begin(), query.begin() + 2);
  if (question.name == "both.test") {
    if (question.type == kA) answer.records = {{192, 0, 2, 1}, {192, 0, 2, 2}};
    if (question.type == kAaaa)
      answer.records = {{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  } else if (question.name == "here.test") {
    if (question.type == kA) answer.records = {{127, 0, 0, 1}};
  } else if (question.name == "text.test" && question.type == kTxt) {
    answer.records = {text_record({"one ", "two"}), text_record({"three"})};
  } else if (question.name == "many.test" && question.type == kTxt) {
    answer.records.assign(36, text_record({""}));  // All that 512 bytes hold.
  } else if (question.name == "long.test") {
    if (!has_edns(query)) return truncated(query);
    answer.records = long_texts();
  } else if (question.name == "broken.test") {
    answer.code = 2;
  } else {
    answer.code = 3;
  }
  return encode(query, question, answer);
}

Task<> serve_names(UdpSocket& socket) {
  std::array<std::uint8_t, 512> buffer{};
  for (;;) {
    PYRSIA_CO_TRY(const auto datagram, co_await socket.receive(buffer));
    const auto query = std::span(buffer).first(datagram.size);
    const auto name = question_of(query).name;
    if (name == "silent.test") continue;
    const auto answer = name == "stream.test" ? truncated(query) : answer_to(query);
    PYRSIA_CO_TRY(socket.send(datagram.from, answer));
  }
}

/// Answers one connection's first question with long_texts(): what the datagram said was cut.
Task<> serve_names_by_stream(TcpListener& listener) {
  PYRSIA_CO_TRY(const auto socket, co_await listener.accept());
  std::array<std::uint8_t, 2> length{};
  PYRSIA_CO_TRY(co_await read_exactly(*socket, length));
  Bytes query(std::size_t(length[0] << 8 | length[1]));
  PYRSIA_CO_TRY(co_await read_exactly(*socket, query));
  Answer answer;
  answer.records = long_texts();
  const auto message = encode(query, question_of(query), answer);
  length = {std::uint8_t(message.size() >> 8), std::uint8_t(message.size())};
  PYRSIA_CO_TRY(co_await socket->write_all(length));
  PYRSIA_CO_TRY(co_await socket->write_all(message));
  std::array<std::uint8_t, 1> end{};
  PYRSIA_CO_TRY(co_await socket->read_some(end));
  co_return ok;
}

/// An Env whose name server is the test's own.
class RealNet : public testing::Test {
 protected:
  RealNet() {
    const auto server_env = make_real_env({});
    const auto probe = server_env->udp_bind(kAnyPort);
    const auto port = (*probe)->local().port;
    RealEnvConfig config;
    config.dns_servers = "127.0.0.1:" + std::to_string(port);
    config.dns_timeout = 300ms;
    probe.value()->close();
    env_ = make_real_env(config);
    const Endpoint at{IpAddress::v4_loopback(), port};
    names_ = env_->udp_bind(at).value();
    tasks_.emplace(*env_);
    tasks_->spawn(serve_names(*names_));
  }
  ~RealNet() override { stop_all(); }

  void stop_all() { (void)run(*env_, stop(*tasks_), nullptr); }

  static Task<> stop(TaskGroup& tasks) {
    tasks.cancel();
    co_return co_await tasks.join();
  }
  template <class T>
  static Task<> store(Task<T> task, std::optional<Result<T>>& out) {
    out.emplace(co_await std::move(task));
    co_return ok;
  }
  template <class T>
  Result<T> run_main(Task<T> task) {
    std::optional<Result<T>> out;
    auto main = store(with_timeout(*env_, kLimit, std::move(task)), out);
    (void)run(*env_, std::move(main), nullptr);
    return *std::move(out);
  }
  Env& env() { return *env_; }
  TaskGroup& tasks() { return *tasks_; }
  /// Where the name server is.
  Endpoint names() const { return names_->local(); }

 private:
  std::unique_ptr<Env> env_;
  std::unique_ptr<UdpSocket> names_;
  std::optional<TaskGroup> tasks_;
};

TEST_F(RealNet, ResolvesAddressesOfTheFamilyAskedFor) {
  EXPECT_EQ(run_main(env().resolve("both.test", IpFamily::any))->size(), 3U);
  const auto v4 = run_main(env().resolve("both.test", IpFamily::v4));
  EXPECT_EQ(v4->size(), 2U);
  EXPECT_EQ(run_main(env().resolve("both.test", IpFamily::v6))->front().to_string(), "2001:db8::1");
  EXPECT_EQ(run_main(env().resolve("here.test", IpFamily::v6)).error(), Errc::not_found);
}

TEST_F(RealNet, LiteralsAndLocalhostNeedNoServer) {
  const auto literal = run_main(env().resolve("192.0.2.7", IpFamily::any));
  EXPECT_EQ(literal->front().to_string(), "192.0.2.7");
  EXPECT_EQ(run_main(env().resolve("192.0.2.7", IpFamily::v6)).error(), Errc::not_found);
  const auto local = run_main(env().resolve("localhost", IpFamily::v4));
  EXPECT_EQ(local->front(), IpAddress::v4_loopback());
}

TEST_F(RealNet, TextRecordsAreJoinedAndBounded) {
  const std::vector<std::string> expected = {"one two", "three"};
  EXPECT_EQ(run_main(env().resolve_txt("text.test")).value(), expected);
  EXPECT_EQ(run_main(env().resolve_txt("many.test"))->size(), 32U);
  EXPECT_EQ(run_main(env().resolve_txt("both.test")).error(), Errc::not_found);
}

TEST_F(RealNet, TextRecordsMayTakeMoreThan512Bytes) {
  const auto found = run_main(env().resolve_txt("long.test"));
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->size(), 4U);
}

TEST_F(RealNet, AnAnswerThatWasCutIsAskedForByTcp) {
  const auto listener = env().tcp_listen(names(), TcpListenOptions()).value();
  tasks().spawn(serve_names_by_stream(*listener));
  const auto found = run_main(env().resolve_txt("stream.test"));
  stop_all();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->size(), 4U);
}

TEST_F(RealNet, FailuresOfNamesAreToldApart) {
  EXPECT_EQ(run_main(env().resolve("nothing.test", IpFamily::any)).error(), Errc::not_found);
  EXPECT_EQ(run_main(env().resolve("", IpFamily::any)).error(), Errc::not_found);
  EXPECT_EQ(run_main(env().resolve(std::string("a\0b", 3), IpFamily::any)).error(),
            Errc::not_found);
  EXPECT_EQ(run_main(env().resolve("silent.test", IpFamily::any)).error(), Errc::timed_out);
  EXPECT_EQ(run_main(env().resolve("broken.test", IpFamily::any)).error(), Errc::unavailable);
  const auto garbage = run_main(env().resolve("garbage.test", IpFamily::any));
  EXPECT_EQ(garbage.error(), Errc::timed_out);
  EXPECT_EQ(run_main(env().resolve_txt("nothing.test")).error(), Errc::not_found);
}

Task<> abandoned_queries(Env& env) {
  for (int i = 0; i < 10; ++i) {
    const auto late = co_await with_timeout(env, 1ms, env.resolve("silent.test", IpFamily::any));
    EXPECT_EQ(late.error(), Errc::timed_out);
  }
  // Their answers, or their timeouts, come when nobody waits.
  co_return co_await env.sleep_for(400ms);
}

TEST_F(RealNet, ACancelledQueryIsForgotten) {
  EXPECT_TRUE(run_main(abandoned_queries(env())));
}

/// A server of one fixed answer to each connection, which then goes on by `rest`.
struct TinyServer {
  Env& env;
  std::unique_ptr<TcpListener> listener;
  std::string answer;
  std::size_t rest_bytes = 0;  ///< Zeros after the answer.
  bool hangs = false;
  std::string seen;

  Task<> serve() {
    for (;;) {
      PYRSIA_CO_TRY(auto socket, co_await listener->accept());
      std::array<std::uint8_t, 2048> buffer{};
      PYRSIA_CO_TRY(const auto count, co_await socket->read_some(buffer));
      seen = as_text(std::span(buffer).first(count));
      if (hangs) PYRSIA_CO_TRY(co_await env.sleep_for(kLimit));
      // The client may leave in the middle: that is its right.
      (void)co_await socket->write_all(as_bytes(answer));
      const Bytes zeros(64 * 1024);
      for (std::size_t sent = 0; sent < rest_bytes; sent += zeros.size())
        if (!co_await socket->write_all(zeros)) break;
      if (co_await socket->close_write()) (void)co_await socket->read_some(buffer);
    }
  }
};

class RealHttp : public RealNet {
 protected:
  RealHttp() : server_{env(), env().tcp_listen(kAnyPort, {}).value(), "", 0, false, ""} {
    tasks().spawn(server_.serve());
  }
  ~RealHttp() override { stop_all(); }

  std::string url(const std::string& host = "127.0.0.1") {
    return "http://" + host + ":" + std::to_string(server_.listener->local().port) + "/status";
  }
  Result<HttpResponse> get(const std::string& url) {
    HttpRequest request;
    request.url = url;
    request.timeout = timeout_;
    detail_.clear();
    return run_main(env().http_get(request, &detail_));
  }

  TinyServer server_;
  Duration timeout_ = 5s;
  std::string detail_;
};

TEST_F(RealHttp, GetsADocument) {
  server_.answer =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
  const auto response = get(url());
  ASSERT_TRUE(response) << detail_;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->content_type, "application/json");
  EXPECT_EQ(response->body, "{}");
  EXPECT_EQ(response->contacted, std::vector{IpAddress::v4_loopback()});
  EXPECT_NE(server_.seen.find("User-Agent: pyrsia/"), std::string::npos) << server_.seen;
}

TEST_F(RealHttp, NamesAreResolvedByTheEnv) {
  server_.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
  EXPECT_TRUE(get(url("here.test"))) << detail_;
  EXPECT_EQ(get("http://nothing.test/").error(), Errc::not_found);
  EXPECT_EQ(detail_, "cannot resolve nothing.test");
}

TEST_F(RealHttp, AnyStatusIsASuccess) {
  server_.answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(get(url())->status, 404);
}

TEST_F(RealHttp, AHangTimesOut) {
  server_.hangs = true;
  timeout_ = 50ms;
  EXPECT_EQ(get(url()).error(), Errc::timed_out);
  EXPECT_EQ(detail_, "no complete answer within 50 ms");
}

TEST_F(RealHttp, EndlessRedirectsEnd) {
  server_.answer = "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(get(url()).error(), Errc::limit_reached);
  EXPECT_EQ(detail_, "more than 5 redirects");
}

TEST_F(RealHttp, ARedirectLeadsOnlyToHttp) {
  server_.answer = "HTTP/1.1 302 Found\r\nLocation: file:///etc/hosts\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(get(url()).error(), Errc::invalid_argument);
}

TEST_F(RealHttp, ALargeBodyIsRefusedAtTheLimit) {
  server_.rest_bytes = 100 << 20;
  server_.answer = "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n";
  EXPECT_EQ(get(url()).error(), Errc::too_large);
  server_.answer = "HTTP/1.1 200 OK\r\n\r\n";
  EXPECT_EQ(get(url()).error(), Errc::too_large);
  EXPECT_FALSE(detail_.empty());
}

TEST_F(RealHttp, BadUrlsAreTheCallersFault) {
  for (const auto* bad : {"file:///etc/hosts", "not a url", "", "http://", "ftp://127.0.0.1/"}) {
    EXPECT_EQ(get(bad).error(), Errc::invalid_argument) << bad;
    EXPECT_FALSE(detail_.empty()) << bad;
  }
}

TEST_F(RealHttp, AnEarlyEndIsSeen) {
  server_.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
  EXPECT_EQ(get(url()).error(), Errc::closed);
  server_.answer = "";
  EXPECT_EQ(get(url()).error(), Errc::closed);
}

/// Sets a variable of the environment for as long as it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

TEST_F(RealHttp, AProxyOfTheEnvironmentIsAskedForTheWholeUrl) {
  server_.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
  for (const auto* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) {
    const Variable proxy(name, url());
    EXPECT_TRUE(get("http://nothing.test/status")) << name << ": " << detail_;
    EXPECT_TRUE(server_.seen.starts_with("GET http://nothing.test/status ")) << server_.seen;
  }
}

TEST_F(RealHttp, NoProxyIsAskedForThisMachine) {
  server_.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
  const Variable proxy("http_proxy", "http://127.0.0.1:1");
  EXPECT_TRUE(get(url())) << detail_;
}

TEST_F(RealHttp, NoProxyIsAskedForThisMachineByItsName) {
  server_.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
  const Variable proxy("http_proxy", "http://127.0.0.1:1");
  EXPECT_TRUE(get(url("localhost"))) << detail_;
}

TEST_F(RealHttp, AProxyThatIsAHeaderOfARequestIsNoProxy) {
  const Variable proxy("HTTP_PROXY", url());
  const Variable method("REQUEST_METHOD", "GET");
  EXPECT_EQ(get("http://nothing.test/").error(), Errc::not_found);
}

TEST_F(RealHttp, ADeadProxyIsToldFromADeadServer) {
  const Variable proxy("http_proxy", url());
  server_.listener->close();
  EXPECT_EQ(get("http://nothing.test/").error(), Errc::network_failed);
  EXPECT_NE(detail_.find("a proxy is set"), std::string::npos) << detail_;
}

TEST_F(RealHttp, AClosedPortRefuses) {
  const auto at = url();
  server_.listener->close();
  const auto refused = get(at);
  EXPECT_EQ(refused.error(), Errc::refused) << detail_;
  EXPECT_FALSE(detail_.empty());
}

}  // namespace
}  // namespace pyrsia
