#include "runtime/network_watcher.hpp"

#include "runtime/real_env.hpp"
#include "runtime/refused_calls.hpp"
#include "runtime/timeout.hpp"

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace pyrsia {
namespace {

using namespace std::chrono_literals;

template <class T>
Bytes message(std::uint16_t type, const T& body) {
  nlmsghdr header{};
  header.nlmsg_len = NLMSG_LENGTH(sizeof body);
  header.nlmsg_type = type;
  Bytes bytes(NLMSG_SPACE(sizeof body));
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + NLMSG_HDRLEN, &body, sizeof body);
  return bytes;
}

rtmsg route(std::uint8_t table, std::uint8_t type) {
  rtmsg out{};
  out.rtm_table = table;
  out.rtm_type = type;
  return out;
}

ifinfomsg link(unsigned change) {
  ifinfomsg out{};
  out.ifi_change = change;
  return out;
}

TEST(NetworkWatcher, AddressesLinksAndMainRoutesAreChanges) {
  EXPECT_TRUE(tells_of_change(message(RTM_NEWADDR, ifaddrmsg{})));
  EXPECT_TRUE(tells_of_change(message(RTM_DELADDR, ifaddrmsg{})));
  EXPECT_TRUE(tells_of_change(message(RTM_NEWLINK, link(IFF_UP))));
  EXPECT_TRUE(tells_of_change(message(RTM_DELLINK, link(0))));
  EXPECT_TRUE(tells_of_change(message(RTM_NEWROUTE, route(RT_TABLE_MAIN, RTN_UNICAST))));
  EXPECT_TRUE(tells_of_change(message(RTM_DELROUTE, route(RT_TABLE_MAIN, RTN_UNICAST))));
}

TEST(NetworkWatcher, NoiseIsNot) {
  EXPECT_FALSE(tells_of_change(message(RTM_NEWLINK, link(0))));
  EXPECT_FALSE(tells_of_change(message(RTM_NEWROUTE, route(RT_TABLE_LOCAL, RTN_LOCAL))));
  EXPECT_FALSE(tells_of_change(message(RTM_NEWNEIGH, ndmsg{})));
  auto cloned = route(RT_TABLE_MAIN, RTN_UNICAST);
  cloned.rtm_flags = RTM_F_CLONED;
  EXPECT_FALSE(tells_of_change(message(RTM_NEWROUTE, cloned)));
  EXPECT_FALSE(tells_of_change({}));
}

TEST(NetworkWatcher, SecondMessagesAreSeenAndCutOnesAreNot) {
  auto both = message(RTM_NEWNEIGH, ndmsg{});
  const auto second = message(RTM_NEWADDR, ifaddrmsg{});
  both.insert(both.end(), second.begin(), second.end());
  EXPECT_TRUE(tells_of_change(both));
  for (std::size_t size = 0; size < second.size(); ++size)
    EXPECT_FALSE(tells_of_change(BytesView(second).first(size))) << size;
}

Task<> watch_for(Env& env, Duration limit) {
  PYRSIA_CO_TRY(const auto watcher, env.watch_network());
  co_return co_await with_timeout(env, limit, watcher->changed());
}

enum Exit { as_it_should, no_filter, other_way };

/// What a watcher comes to whose socket gives this error, in a process of its own.
int watch_failing(int error, bool (*is_right)(const Result<>& ended)) {
  const auto child = ::fork();
  if (child == 0) {
    const auto env = make_real_env({});
    if (!refuse_calls({{SYS_recvfrom, {{3, MSG_TRUNC}}, error}})) ::_exit(no_filter);
    const auto ended = run(*env, watch_for(*env, 20s), nullptr);
    ::_exit(is_right(ended) ? as_it_should : other_way);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(NetworkWatcher, WhatWasDroppedForWantOfRoomMayHaveBeenAnyChange) {
  const auto is_change = [](const Result<>& ended) { return ended.has_value(); };
  EXPECT_EQ(watch_failing(ENOBUFS, is_change), as_it_should);
}

TEST(NetworkWatcher, ASocketThatFailsEndsTheWatching) {
  const auto is_failure = [](const Result<>& ended) { return ended == Errc::network_failed; };
  EXPECT_EQ(watch_failing(EIO, is_failure), as_it_should);
}

TEST(NetworkWatcher, AQuietNetworkIsNoError) {
  const auto env = make_real_env({});
  const auto ended = run(*env, watch_for(*env, 1ms), nullptr);
  // Something may have changed just then; more than that cannot be asked of a real machine.
  EXPECT_TRUE(ended || ended.error() == Errc::timed_out) << ended.error();
}

}  // namespace
}  // namespace pyrsia
