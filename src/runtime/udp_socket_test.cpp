/// UDP in batches, on loopback.
#include "runtime/real_env.hpp"
#include "runtime/timeout.hpp"

#include <gtest/gtest.h>

#include <array>
#include <numeric>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLimit = 20s;

/// A pair of sockets on loopback.
struct Pair {
  explicit Pair(const std::string& ip, const UdpOptions& options = {})
      : one(env->udp_bind(any_port(ip), options).value()),
        two(env->udp_bind(any_port(ip), options).value()) {}

  static Endpoint any_port(const std::string& ip) { return {IpAddress::parse(ip).value(), 0}; }
  Result<> run(Task<> task) {
    return pyrsia::run(*env, with_timeout(*env, kLimit, std::move(task)), nullptr);
  }

  std::unique_ptr<Env> env = make_real_env(RealEnvConfig());
  std::unique_ptr<UdpSocket> one;
  std::unique_ptr<UdpSocket> two;
};

struct Copy {
  Endpoint from;
  IpAddress to;
  std::uint8_t ecn = 0;
  Bytes bytes;
};

Task<> receive(UdpSocket& socket, std::size_t count, std::vector<Copy>& copies) {
  while (copies.size() < count) {
    PYRSIA_CO_TRY(const auto batch, co_await socket.receive_batch());
    for (const auto& datagram : batch) {
      copies.push_back({datagram.from, datagram.to, datagram.ecn,
                        Bytes(datagram.bytes.begin(), datagram.bytes.end())});
    }
  }
  co_return ok;
}

std::vector<Copy> received(Pair& pair, std::size_t count) {
  std::vector<Copy> copies;
  EXPECT_TRUE(pair.run(receive(*pair.two, count, copies)));
  return copies;
}

Bytes numbers(std::size_t count) {
  Bytes bytes(count);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t(0));
  return bytes;
}

class UdpBatch : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, UdpBatch, testing::Values("127.0.0.1", "::1"));

UdpOptions reading_ecn() {
  UdpOptions options;
  options.reads_ecn = true;
  return options;
}

TEST_P(UdpBatch, CarriesAddressesAndEcn) {
  Pair pair(GetParam(), reading_ecn());
  std::array<OutgoingDatagram, 2> out;
  for (auto& datagram : out) datagram.to = pair.two->local();
  out[0].bytes = as_bytes("plain");
  out[1].bytes = as_bytes("marked");
  out[1].ecn = 2;
  EXPECT_EQ(pair.one->send_batch(out).value(), 2U);
  const auto copies = received(pair, 2);
  ASSERT_EQ(copies.size(), 2U);
  EXPECT_EQ(as_text(copies[0].bytes), "plain");
  EXPECT_EQ(copies[0].ecn, 0);
  EXPECT_EQ(as_text(copies[1].bytes), "marked");
  EXPECT_EQ(copies[1].ecn, 2);
  for (const auto& copy : copies) {
    EXPECT_EQ(copy.from, pair.one->local());
    EXPECT_EQ(copy.to, pair.two->local().ip);
  }
  EXPECT_EQ(pair.one->metrics().send_calls.value(), 1U);
}

TEST_P(UdpBatch, EcnThatNobodyReadsIsNone) {
  Pair pair(GetParam());
  OutgoingDatagram marked;
  marked.to = pair.two->local();
  marked.bytes = as_bytes("marked");
  marked.ecn = 2;
  EXPECT_EQ(pair.one->send_batch({&marked, 1}).value(), 1U);
  const auto copies = received(pair, 1);
  ASSERT_EQ(copies.size(), 1U);
  EXPECT_EQ(copies[0].ecn, 0);
  EXPECT_EQ(copies[0].to, pair.two->local().ip);
}

TEST_P(UdpBatch, SegmentsArriveAsDatagrams) {
  Pair pair(GetParam(), reading_ecn());
  const auto bytes = numbers(1000 * 40 + 7);
  OutgoingDatagram train;
  train.to = pair.two->local();
  train.bytes = bytes;
  train.segment_bytes = 1000;
  train.ecn = 1;
  EXPECT_EQ(pair.one->send_batch({&train, 1}).value(), 1U);
  const auto copies = received(pair, 41);
  ASSERT_EQ(copies.size(), 41U);
  Bytes all;
  for (const auto& copy : copies) {
    EXPECT_EQ(copy.ecn, 1);
    all.insert(all.end(), copy.bytes.begin(), copy.bytes.end());
  }
  EXPECT_EQ(copies[0].bytes.size(), 1000U);
  EXPECT_EQ(copies[40].bytes.size(), 7U);
  EXPECT_EQ(all, bytes);
  EXPECT_EQ(pair.one->metrics().sent.value(), 41U);
  EXPECT_EQ(pair.two->metrics().received.value(), 41U);
}

TEST(UdpSocket, ALargeDatagramIsAnErrorOfItsOwn) {
  UdpOptions options;
  options.dont_fragment = true;
  Pair pair("127.0.0.1", options);
  const Bytes huge(70'000);
  std::array<OutgoingDatagram, 3> out;
  for (auto& datagram : out) datagram.to = pair.two->local();
  out[0].bytes = as_bytes("first");
  out[1].bytes = huge;
  out[2].bytes = as_bytes("third");
  const std::span all(out);
  EXPECT_EQ(pair.one->send_batch(all).value(), 1U);
  EXPECT_EQ(pair.one->send_batch(all.subspan(1)).error(), Errc::too_large);
  EXPECT_EQ(pair.one->send_batch(all.subspan(2)).value(), 1U);
  EXPECT_EQ(as_text(received(pair, 2)[1].bytes), "third");
}

TEST(UdpSocket, SegmentsOfOtherSizesThanTheKernelTakesAreCutByUs) {
  Pair pair("127.0.0.1");
  const Bytes bytes(100, 7);
  OutgoingDatagram train;
  train.to = {IpAddress::parse("255.255.255.255").value(), 9};  // Refused, whole and cut.
  train.bytes = bytes;
  train.segment_bytes = 60;
  EXPECT_FALSE(pair.one->send_batch({&train, 1}));
  train.to = pair.two->local();
  EXPECT_EQ(pair.one->send_batch({&train, 1}).value(), 1U);
  EXPECT_EQ(received(pair, 2).size(), 2U);
}

TEST(UdpSocket, EmptyDatagramsArrive) {
  Pair pair("127.0.0.1");
  EXPECT_TRUE(pair.one->send(pair.two->local(), BytesView()));
  EXPECT_TRUE(received(pair, 1)[0].bytes.empty());
}

TEST(UdpSocket, LeavesFromTheAddressThatWasAskedFor) {
  Pair pair("0.0.0.0");
  const auto chosen = IpAddress::v4({127, 0, 0, 5});
  OutgoingDatagram datagram;
  datagram.to = {IpAddress::v4({127, 0, 0, 9}), pair.two->local().port};
  datagram.from = chosen;
  datagram.bytes = as_bytes("x");
  EXPECT_EQ(pair.one->send_batch({&datagram, 1}).value(), 1U);
  const auto copies = received(pair, 1);
  EXPECT_EQ(copies[0].from.ip, chosen);
  EXPECT_EQ(copies[0].to, datagram.to.ip);
}

Task<> fill_and_drain(Pair& pair) {
  const Bytes bytes(1000);
  std::vector<OutgoingDatagram> many(64);
  for (auto& datagram : many) {
    datagram.to = pair.two->local();
    datagram.bytes = bytes;
  }
  std::size_t sent = 0;
  for (int i = 0; i < 1000; ++i) {
    PYRSIA_CO_TRY(const auto count, pair.one->send_batch(many));
    sent += count;
    if (count == 0) PYRSIA_CO_TRY(co_await pair.one->wait_writable());
  }
  EXPECT_GE(sent, 32U);
  pair.one->close();
  const auto closed = co_await pair.one->wait_writable();
  EXPECT_EQ(closed.error(), Errc::closed);
  EXPECT_EQ(pair.one->send_batch(many).error(), Errc::closed);
  co_return ok;
}

TEST(UdpSocket, ManyCallsNeverBlockForGood) {
  Pair pair("127.0.0.1");
  EXPECT_TRUE(pair.run(fill_and_drain(pair)));
}

Task<> receive_errors(UdpSocket& socket, std::size_t count, std::vector<UdpError>& errors) {
  while (errors.size() < count) {
    PYRSIA_CO_TRY(const auto error, co_await socket.receive_error());
    errors.push_back(error);
  }
  co_return ok;
}

TEST(UdpErrors, AreToldWithWhomTheyConcernAndWhoSaysSo) {
  for (const auto* ip : {"127.0.0.1", "::1"}) {
    UdpOptions options;
    options.hears_errors = true;
    options.hop_limit = 3;
    Pair pair(ip, options);
    const auto nobody = pair.two->local();
    pair.two->close();
    const Bytes bytes = numbers(10);
    std::vector<UdpError> errors;
    // The second one leaves though there is an error of the first.
    for (std::size_t i = 1; i <= 2; ++i) {
      EXPECT_TRUE(pair.one->send(nobody, bytes));
      EXPECT_TRUE(pair.run(receive_errors(*pair.one, i, errors)));
    }
    for (const auto& error : errors) {
      EXPECT_EQ(error.to, nobody);
      EXPECT_EQ(error.from, nobody.ip);
      EXPECT_EQ(error.kind, UdpError::Kind::refused);
    }
  }
}

TEST(UdpErrors, SeveralMayWaitAndASendGoesOn) {
  UdpOptions options;
  options.hears_errors = true;
  Pair pair("127.0.0.1", options);
  const auto nobody = pair.two->local();
  pair.two->close();
  const Bytes bytes = numbers(10);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(pair.one->send(nobody, bytes));
  std::vector<UdpError> errors;
  EXPECT_TRUE(pair.run(receive_errors(*pair.one, 5, errors)));
}

TEST(UdpErrors, AreForSocketsThatWereBoundForThem) {
  Pair pair("127.0.0.1");
  std::vector<UdpError> errors;
  EXPECT_EQ(pair.run(receive_errors(*pair.one, 1, errors)).error(), Errc::not_supported);
}

}  // namespace
}  // namespace pyrsia
