/// UDP where the kernel refuses what makes it fast: each case in a process of its own, behind a
/// filter for system calls (seccomp(2)).
#include "runtime/real_env.hpp"
#include "runtime/refused_calls.hpp"
#include "runtime/timeout.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <numeric>
#include <optional>
#include <vector>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kSegment = 1000;
constexpr std::size_t kBytes = 40 * kSegment + 7;

Task<> receive(UdpSocket& socket, std::size_t count, std::vector<Bytes>& datagrams) {
  while (datagrams.size() < count) {
    PYRSIA_CO_TRY(const auto batch, co_await socket.receive_batch());
    for (const auto& each : batch) datagrams.emplace_back(each.bytes.begin(), each.bytes.end());
  }
  co_return ok;
}

struct Outcome {
  bool has_arrived = false;
  UdpMetrics sender;
  UdpMetrics receiver;
};

/// Sends the same train twice, and looks at what comes.
Outcome send_trains() {
  const auto env = make_real_env(RealEnvConfig());
  const Endpoint any{IpAddress::v4_loopback(), 0};
  const auto one = env->udp_bind(any, {}).value();
  const auto two = env->udp_bind(any, {}).value();
  Bytes bytes(kBytes);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t(0));
  OutgoingDatagram train;
  train.to = two->local();
  train.bytes = bytes;
  train.segment_bytes = kSegment;
  Outcome out;
  out.has_arrived = true;
  for (int i = 0; i < 2; ++i) {
    const auto sent = one->send_batch({&train, 1});
    std::vector<Bytes> datagrams;
    auto receiving = with_timeout(*env, Duration(20s), receive(*two, 41, datagrams));
    const auto received = run(*env, std::move(receiving), nullptr);
    Bytes all;
    for (const auto& each : datagrams) all.insert(all.end(), each.begin(), each.end());
    out.has_arrived =
        out.has_arrived && sent && *sent == 1 && received && datagrams.size() == 41 && all == bytes;
  }
  out.sender = one->metrics();
  out.receiver = two->metrics();
  return out;
}

enum Exit { as_it_should, no_filter, lost, other_way };

/// `is_right` says whether it went the way that it should.
int run_refused(const std::vector<RefusedCall>& refusals, bool (*is_right)(const Outcome&)) {
  const auto child = ::fork();
  if (child == 0) {
    if (!refuse_calls(refusals)) ::_exit(no_filter);
    const auto outcome = send_trains();
    if (!outcome.has_arrived) ::_exit(lost);
    ::_exit(is_right(outcome) ? as_it_should : other_way);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const RefusedCall kNoSegments{SYS_setsockopt, {{1, SOL_UDP}, {2, UDP_SEGMENT}}, ENOPROTOOPT};
const RefusedCall kNoJoining{SYS_setsockopt, {{1, SOL_UDP}, {2, UDP_GRO}}, ENOPROTOOPT};
/// A train is one message, a train that was cut is more.
const RefusedCall kNoOffload{SYS_sendmmsg, {{2, 1}}, EIO};
const RefusedCall kNoSendMany{SYS_sendmmsg, {}, ENOSYS};
const RefusedCall kNoReceiveMany{SYS_recvmmsg, {}, ENOSYS};

TEST(UdpFallback, NothingRefusedATrainIsOneCallEachWay) {
  const auto is_right = [](const Outcome& outcome) {
    return outcome.sender.segments_refused.value() == 0 && outcome.sender.send_calls.value() == 2;
  };
  EXPECT_EQ(run_refused({}, is_right), as_it_should);
}

TEST(UdpFallback, WithoutSegmentsTheyLeaveInOneCallAsDatagrams) {
  const auto is_right = [](const Outcome& outcome) {
    return outcome.sender.segments_refused.value() == 2 && outcome.sender.send_calls.value() == 2 &&
           outcome.sender.sent.value() == 82;
  };
  EXPECT_EQ(run_refused({kNoSegments}, is_right), as_it_should);
}

TEST(UdpFallback, AnInterfaceWithoutOffloadIsAskedOnce) {
  const auto is_right = [](const Outcome& outcome) {
    return outcome.sender.segments_refused.value() == 2 && outcome.sender.send_calls.value() == 3;
  };
  EXPECT_EQ(run_refused({kNoOffload}, is_right), as_it_should);
}

TEST(UdpFallback, WithoutCallsForManyEachDatagramHasItsOwn) {
  const auto is_right = [](const Outcome& outcome) { return outcome.sender.sent.value() == 82; };
  EXPECT_EQ(run_refused({kNoSegments, kNoSendMany, kNoReceiveMany}, is_right), as_it_should);
  EXPECT_EQ(run_refused({kNoSendMany, kNoReceiveMany}, is_right), as_it_should);
}

TEST(UdpFallback, WithoutJoiningDatagramsComeOneByOne) {
  const auto is_right = [](const Outcome& outcome) {
    return outcome.receiver.received.value() == 82;
  };
  EXPECT_EQ(run_refused({kNoJoining}, is_right), as_it_should);
  EXPECT_EQ(run_refused({kNoJoining, kNoReceiveMany}, is_right), as_it_should);
}

}  // namespace
}  // namespace pyrsia
