#include "sim/network.hpp"

#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::sim {
namespace {

using namespace std::chrono_literals;

/// A datagram that was received, and when.
struct Received {
  Endpoint from;
  std::string text;
  TimePoint at;
};

Task<Received> receive(Env& env, UdpSocket& socket) {
  std::array<std::uint8_t, 2000> bytes;
  PYRSIA_CO_TRY(const auto datagram, co_await socket.receive(bytes));
  Received received;
  received.from = datagram.from;
  received.text = as_text(std::span(bytes).first(std::min(bytes.size(), datagram.size)));
  received.at = env.now();
  co_return received;
}

Task<Received> receive_in(Env& env, UdpSocket& socket, Duration limit) {
  return with_timeout(env, limit, receive(env, socket));
}

NatConfig nat_at(const std::string& external) {
  NatConfig config;
  config.external = {IpAddress::parse(external).value()};
  return config;
}

/// Two homes with a NAT box each and a server that all can reach, everything 10 ms apart.
struct Homes {
  explicit Homes(const NatConfig& config_a = nat_at("5.0.0.1"),
                 const NatConfig& config_b = nat_at("6.0.0.1"))
      : nat_a(net.add_nat(config_a)), nat_b(net.add_nat(config_b)) {
    net.set_default_path(delay_of(10ms));
  }

  /// The outer endpoint of `socket`, as the server sees it.
  Endpoint seen_by_server(UdpSocket& socket) {
    EXPECT_TRUE(socket.send(at("9.0.0.1", 53), as_bytes("who am I?")));
    auto [received] = world.run(receive_in(server, *server_socket, 1s));
    return received ? received->from : Endpoint{};
  }
  bool passes(UdpSocket& from, const Endpoint& to, UdpSocket& receiver) {
    EXPECT_TRUE(from.send(to, as_bytes("hello")));
    auto [received] = world.run(receive_in(server, receiver, 1s));
    return received.has_value();
  }

  World world;
  Network net{world};
  SimNat& nat_a;
  SimNat& nat_b;
  SimHost& a = net.add_host({"a", {"192.168.1.2"}, &nat_a});
  SimHost& a2 = net.add_host({"a2", {"192.168.1.3"}, &nat_a});
  SimHost& b = net.add_host({"b", {"192.168.1.2"}, &nat_b});
  SimHost& server = net.add_host({"server", {"9.0.0.1"}});
  std::unique_ptr<UdpSocket> server_socket = server.udp_bind(at("9.0.0.1", 53)).value();
  std::unique_ptr<UdpSocket> socket_a = a.udp_bind(at("0.0.0.0", 5000)).value();
  std::unique_ptr<UdpSocket> socket_a2 = a2.udp_bind(at("0.0.0.0", 5000)).value();
  std::unique_ptr<UdpSocket> socket_b = b.udp_bind(at("0.0.0.0", 5000)).value();
};

TEST(SimNetwork, ADatagramTakesTheDelayOfItsPathAndOfBothAccesses) {
  World world;
  Network net(world);
  auto& a = net.add_host({"a", {"1.0.0.1"}, nullptr, 3ms});
  auto& b = net.add_host({"b", {"1.0.0.2"}, nullptr, 4ms});
  net.set_path_one_way(a, b, delay_of(20ms));
  net.set_path_one_way(b, a, delay_of(50ms));
  const auto from = a.udp_bind(at("1.0.0.1", 1)).value();
  const auto to = b.udp_bind(at("0.0.0.0", 2)).value();
  EXPECT_TRUE(from->send(at("1.0.0.2", 2), as_bytes("there")));
  auto [there] = world.run(receive(b, *to));
  EXPECT_EQ(there->at, TimePoint(27ms));
  EXPECT_EQ(there->from, at("1.0.0.1", 1));
  EXPECT_EQ(there->text, "there");
  EXPECT_TRUE(to->send(there->from, as_bytes("back")));
  auto [back] = world.run(receive(a, *from));
  EXPECT_EQ(back->at, TimePoint(27ms + 57ms));
  EXPECT_EQ(back->from, at("1.0.0.2", 2));
}

TEST(SimNetwork, BandwidthQueuesPacketsOneAfterAnother) {
  TwoHosts hosts;
  auto path = delay_of(50ms);
  path.bytes_per_second = 100'000;
  hosts.net.set_path(hosts.a, hosts.b, path);
  const auto from = hosts.a.udp_bind(at("1.2.3.4", 1)).value();
  const auto to = hosts.b.udp_bind(at("5.6.7.8", 2)).value();
  const Bytes kilobyte(972);  // 1000 with the headers of IP and UDP: 10 ms.
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(from->send(at("5.6.7.8", 2), kilobyte));
  for (int i = 1; i <= 3; ++i) {
    auto [received] = hosts.world.run(receive(hosts.b, *to));
    EXPECT_EQ(received->at, TimePoint(50ms + i * 10ms));
  }
}

TEST(SimNetwork, WhatWouldWaitBehindTooMuchIsLost) {
  TwoHosts hosts;
  auto path = delay_of(50ms);
  path.bytes_per_second = 1000;
  path.max_queued_bytes = 3000;
  hosts.net.set_path(hosts.a, hosts.b, path);
  const auto from = hosts.a.udp_bind(at("1.2.3.4", 1)).value();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(from->send(at("5.6.7.8", 2), Bytes(972)));
  EXPECT_EQ(hosts.net.dropped_count(), 6U);
}

TEST(SimNetwork, AShareOfDatagramsIsLostOrOvertaken) {
  TwoHosts hosts;
  auto path = delay_of(50ms);
  path.loss = 0.2;
  path.reorder = 0.1;
  hosts.net.set_path(hosts.a, hosts.b, path);
  const auto from = hosts.a.udp_bind(at("1.2.3.4", 1)).value();
  const auto to = hosts.b.udp_bind(at("5.6.7.8", 2)).value();
  int received_count = 0;
  int overtaken_count = 0;
  int last = -1;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(from->send(at("5.6.7.8", 2), as_bytes(std::to_string(i))));
    hosts.world.run_for(1ms);
  }
  for (;;) {
    auto [received] = hosts.world.run(receive_in(hosts.b, *to, 1s));
    if (!received) break;
    ++received_count;
    const auto number = std::stoi(received->text);
    overtaken_count += number < last ? 1 : 0;
    last = std::max(last, number);
  }
  EXPECT_NEAR(received_count, 800, 50);
  EXPECT_NEAR(overtaken_count, 80, 40);
}

TEST(SimNetwork, AHostBehindANatIsSeenAtTheBoxAndReachedOnlyInAnswer) {
  Homes homes;
  const auto seen = homes.seen_by_server(*homes.socket_a);
  EXPECT_EQ(seen, at("5.0.0.1", 5000));
  EXPECT_TRUE(homes.passes(*homes.server_socket, seen, *homes.socket_a));
  EXPECT_FALSE(homes.passes(*homes.socket_b, seen, *homes.socket_a));
}

TEST(SimNetwork, TwoPortRestrictedNatsArePunchedByBothSides) {
  Homes homes;
  const auto seen_a = homes.seen_by_server(*homes.socket_a);
  const auto seen_b = homes.seen_by_server(*homes.socket_b);
  EXPECT_FALSE(homes.passes(*homes.socket_a, seen_b, *homes.socket_b));
  EXPECT_TRUE(homes.passes(*homes.socket_b, seen_a, *homes.socket_a));
  EXPECT_TRUE(homes.passes(*homes.socket_a, seen_b, *homes.socket_b));
}

TEST(SimNetwork, ASymmetricNatIsNotPunchedThroughItsSeenPort) {
  auto symmetric = nat_at("5.0.0.1");
  symmetric.mapping = Dependence::address_and_port_dependent;
  symmetric.allocation = PortAllocation::random;
  Homes homes(symmetric);
  const auto seen_a = homes.seen_by_server(*homes.socket_a);
  const auto seen_b = homes.seen_by_server(*homes.socket_b);
  EXPECT_FALSE(homes.passes(*homes.socket_a, seen_b, *homes.socket_b));
  EXPECT_FALSE(homes.passes(*homes.socket_b, seen_a, *homes.socket_a));
}

TEST(SimNetwork, TcpIsPunchedByTwoDialsThatMeet) {
  Homes homes;
  auto [a, b] = homes.world.run(dial_from(homes.a, at("0.0.0.0", 7000), at("6.0.0.1", 8000)),
                                dial_from(homes.b, at("0.0.0.0", 8000), at("5.0.0.1", 7000)));
  ASSERT_TRUE(a);
  ASSERT_TRUE(b);
  EXPECT_EQ((*a)->local(), at("192.168.1.2", 7000));
  EXPECT_EQ((*a)->remote(), at("6.0.0.1", 8000));
  EXPECT_EQ(homes.world.now(), TimePoint(20ms));
}

TEST(SimNetwork, HostsOfOneNatReachEachOtherOutsideOnlyByHairpin) {
  for (const bool has_hairpin : {false, true}) {
    auto config = nat_at("5.0.0.1");
    config.has_hairpin = has_hairpin;
    config.filtering = Dependence::endpoint_independent;
    Homes homes(config);
    const auto seen = homes.seen_by_server(*homes.socket_a);
    EXPECT_TRUE(homes.socket_a2->send(seen, as_bytes("neighbour")));
    auto [received] = homes.world.run(receive_in(homes.a, *homes.socket_a, 1s));
    EXPECT_EQ(received.has_value(), has_hairpin);
    if (received) {
      EXPECT_EQ(received->from, at("5.0.0.1", 5001));
    }
    EXPECT_TRUE(homes.passes(*homes.socket_a2, at("192.168.1.2", 5000), *homes.socket_a));
  }
}

TEST(SimNetwork, AMappingThatIsNotUsedExpires) {
  Homes homes;
  const auto seen = homes.seen_by_server(*homes.socket_a);
  homes.world.run_for(100s);
  EXPECT_TRUE(homes.passes(*homes.server_socket, seen, *homes.socket_a));
  homes.world.run_for(20s);
  EXPECT_FALSE(homes.passes(*homes.server_socket, seen, *homes.socket_a));
}

TEST(SimNetwork, AForwardedTcpPortIsReachedAndARefusingNatAnswers) {
  auto config = nat_at("5.0.0.1");
  config.forwards = {{Protocol::tcp, 4001, at("192.168.1.2", 4001)}};
  config.refuses_tcp = true;
  Homes homes(config);
  const auto listener = homes.a.tcp_listen(at("0.0.0.0", 4001), TcpListenOptions{}).value();
  auto [dialed, accepted] = homes.world.run(dial(homes.b, at("5.0.0.1", 4001)), listener->accept());
  ASSERT_TRUE(dialed);
  EXPECT_EQ((*accepted)->local(), at("192.168.1.2", 4001));
  EXPECT_EQ((*accepted)->remote().ip.to_string(), "6.0.0.1");
  const auto start = homes.world.now();
  auto [refused] = homes.world.run(dial(homes.b, at("5.0.0.1", 4002)));
  EXPECT_EQ(refused.error(), Errc::refused);
  EXPECT_EQ(homes.world.now() - start, 20ms);
  auto [silent] = homes.world.run(dial(homes.server, at("6.0.0.1", 4002)));
  EXPECT_EQ(silent.error(), Errc::timed_out);
}

TEST(SimNetwork, BehindTwoNatsAHostIsSeenAtTheOuterOne) {
  World world;
  Network net(world);
  net.set_default_path(delay_of(10ms));
  auto carrier_config = nat_at("5.0.0.1");
  carrier_config.allocation = PortAllocation::sequential;
  carrier_config.has_hairpin = true;
  carrier_config.filtering = Dependence::endpoint_independent;
  auto& carrier = net.add_nat(carrier_config);
  auto& home = net.add_nat(nat_at("100.64.0.2"), &carrier);
  auto& flat = net.add_nat(nat_at("100.64.0.3"), &carrier);
  auto& inner = net.add_host({"inner", {"192.168.1.2"}, &home});
  auto& customer = net.add_host({"customer", {"192.168.1.2"}, &flat});
  auto& server = net.add_host({"server", {"9.0.0.1"}});
  net.set_path(inner, customer, delay_of(2ms));
  const auto at_inner = inner.udp_bind(at("192.168.1.2", 5000)).value();
  const auto at_customer = customer.udp_bind(at("192.168.1.2", 6000)).value();
  const auto at_server = server.udp_bind(at("9.0.0.1", 53)).value();

  EXPECT_TRUE(at_inner->send(at("9.0.0.1", 53), as_bytes("out")));
  auto [seen] = world.run(receive(server, *at_server));
  EXPECT_EQ(seen->from, at("5.0.0.1", 1024));
  EXPECT_EQ(seen->at, TimePoint(10ms));
  EXPECT_TRUE(at_server->send(seen->from, as_bytes("in")));
  auto [back] = world.run(receive(inner, *at_inner));
  EXPECT_EQ(back->from, at("9.0.0.1", 53));
  // Two customers of one carrier meet at its hairpin; each home filters by what it has sent.
  EXPECT_TRUE(at_customer->send(at("9.0.0.1", 53), as_bytes("out")));
  auto [other] = world.run(receive(server, *at_server));
  EXPECT_TRUE(at_inner->send(other->from, as_bytes("punch")));
  world.run_for(1s);
  const auto start = world.now();
  EXPECT_TRUE(at_customer->send(seen->from, as_bytes("punch")));
  auto [punched] = world.run(receive(inner, *at_inner));
  EXPECT_EQ(punched->from, other->from);
  EXPECT_EQ(punched->at - start, 2ms);
}

TEST(SimNetwork, AFirewallKeepsAddressesAndFiltersWhatComesIn) {
  World world;
  Network net(world);
  net.set_default_path(delay_of(10ms));
  auto& firewall = net.add_nat(NatConfig{});
  auto& inner = net.add_host({"inner", {"7.0.0.1", "2001:db8::7"}, &firewall});
  auto& server = net.add_host({"server", {"9.0.0.1", "2001:db8::9"}});
  const auto inside = inner.tcp_listen(at("::", 80), TcpListenOptions{}).value();
  const auto outside = server.tcp_listen(at("9.0.0.1", 80), TcpListenOptions{}).value();
  auto [filtered] = world.run(with_timeout(server, 5s, dial(server, at("2001:db8::7", 80))));
  EXPECT_EQ(filtered.error(), Errc::timed_out);
  auto [dialed, accepted] = world.run(dial(inner, at("9.0.0.1", 80)), outside->accept());
  ASSERT_TRUE(dialed);
  EXPECT_EQ((*accepted)->remote().ip.to_string(), "7.0.0.1");
  firewall.table().add_forward({Protocol::tcp, 80, at("2001:db8::7", 80)});
  auto [allowed] = world.run(dial(server, at("2001:db8::7", 80)));
  EXPECT_TRUE(allowed);
}

TEST(SimNetwork, APartitionSilencesBothDirectionsUntilItHeals) {
  Homes homes;
  const auto seen = homes.seen_by_server(*homes.socket_a);
  homes.net.partition({&homes.nat_a}, {&homes.server});
  EXPECT_FALSE(homes.passes(*homes.socket_a, at("9.0.0.1", 53), *homes.server_socket));
  EXPECT_FALSE(homes.passes(*homes.server_socket, seen, *homes.socket_a));
  EXPECT_TRUE(homes.passes(*homes.socket_b, at("9.0.0.1", 53), *homes.server_socket));
  homes.net.heal();
  EXPECT_TRUE(homes.passes(*homes.socket_a, at("9.0.0.1", 53), *homes.server_socket));
}

TEST(SimNetwork, OldConnectionsFallSilentWhenTheAddressChanges) {
  TwoHosts hosts;
  auto [socket] = hosts.world.run(dial(hosts.a, at("5.6.7.8", 80)));
  hosts.a.set_addresses({"4.4.4.4"});
  EXPECT_EQ(hosts.a.interface_addresses().back().ip.to_string(), "4.4.4.4");
  EXPECT_EQ(hosts.a.interface_addresses().size(), 3U);
  auto [old] = hosts.world.run(with_timeout(hosts.a, 1min, (*socket)->wait_readable()));
  EXPECT_EQ(old.error(), Errc::timed_out);
  auto [fresh] = hosts.world.run(dial(hosts.a, at("5.6.7.8", 80)));
  ASSERT_TRUE(fresh);
  EXPECT_EQ((*fresh)->local().ip.to_string(), "4.4.4.4");
}

TEST(SimUdp, SocketsHaveBounds) {
  TwoHosts hosts;
  const auto from = hosts.a.udp_bind(at("0.0.0.0", 0)).value();
  EXPECT_GE(from->local().port, 32768);
  EXPECT_EQ(hosts.a.udp_bind(from->local()).error(), Errc::address_in_use);
  EXPECT_EQ(hosts.a.udp_bind(at("8.8.8.8", 1)).error(), Errc::invalid_argument);
  EXPECT_EQ(from->send(at("5.6.7.8", 1), Bytes(65508)).error(), Errc::too_large);
  EXPECT_EQ(from->send(at("2001:db8::2", 1), Bytes(1)).error(), Errc::unreachable);
  const auto to = hosts.b.udp_bind(at("0.0.0.0", 1)).value();
  for (int i = 0; i < 300; ++i) EXPECT_TRUE(from->send(at("5.6.7.8", 1), Bytes(1000)));
  hosts.world.run_for(1s);
  EXPECT_EQ(hosts.world.probe_count("udp: receive queue is full"), 300 - kUdpQueueBytes / 1000);
  std::array<std::uint8_t, 10> small;
  auto [datagram] = hosts.world.run(to->receive(small));
  EXPECT_EQ(datagram->size, 1000U);
}

TEST(SimUdp, ClosingEndsAPendingReceive) {
  TwoHosts hosts;
  const auto socket = hosts.b.udp_bind(at("0.0.0.0", 1)).value();
  TaskGroup tasks(hosts.b);
  std::array<std::uint8_t, 10> bytes;
  Result<> end = Errc::deadlock;
  struct Waiter {
    static Task<> wait(UdpSocket& waiting, std::span<std::uint8_t> out, Result<>& result) {
      const auto received = co_await waiting.receive(out);
      result = received.error();
      co_return ok;
    }
  };
  tasks.spawn(Waiter::wait(*socket, bytes, end));
  hosts.world.run_for(1s);
  socket->close();
  hosts.world.run_for(1s);
  EXPECT_EQ(tasks.size(), 0U);
  EXPECT_EQ(end.error(), Errc::closed);
}

Task<> talk(Env& env, Endpoint remote) {
  PYRSIA_CO_TRY(const auto socket, co_await dial(env, remote));
  PYRSIA_CO_TRY(co_await socket->write_all(as_bytes("hello")));
  std::array<std::uint8_t, 5> echo;
  PYRSIA_CO_TRY(co_await read_exactly(*socket, echo));
  co_return co_await socket->close_write();
}

Task<> echo(TcpListener& listener) {
  PYRSIA_CO_TRY(const auto socket, co_await listener.accept());
  std::array<std::uint8_t, 5> bytes;
  PYRSIA_CO_TRY(co_await read_exactly(*socket, bytes));
  PYRSIA_CO_TRY(co_await socket->write_all(bytes));
  PYRSIA_CO_TRY(co_await socket->read_some(bytes));
  co_return co_await socket->close_write();
}

std::vector<std::string> trace_of(std::uint64_t seed) {
  TwoHosts hosts(seed);
  auto path = delay_of(20ms);
  path.jitter = 5ms;
  path.loss = 0.2;
  hosts.net.set_default_path(path);
  std::vector<std::string> lines;
  hosts.net.set_trace([&](const std::string& line) { lines.push_back(line); });
  auto [talked, echoed] = hosts.world.run(talk(hosts.a, at("5.6.7.8", 80)), echo(*hosts.listener));
  EXPECT_TRUE(talked);
  return lines;
}

TEST(SimNetwork, TheSameSeedGivesTheSameTraceAndAnotherDoesNot) {
  const auto first = trace_of(1);
  EXPECT_GT(first.size(), 10U);
  EXPECT_EQ(first, trace_of(1));
  EXPECT_NE(first, trace_of(2));
}

TEST(SimNetwork, HostsDrawNumbersOfTheirOwnFromTheSeed) {
  TwoHosts first;
  TwoHosts same;
  TwoHosts other(2);
  const auto drawn = first.a.random_below(1'000'000'000);
  EXPECT_EQ(same.b.random_below(1'000'000'000), first.b.random_below(1'000'000'000));
  EXPECT_EQ(same.a.random_below(1'000'000'000), drawn);
  EXPECT_NE(other.a.random_below(1'000'000'000), drawn);
}

TEST(SimNetwork, EveryOperationCanBeBrokenInTurnAndNothingHangs) {
  int failures = 0;
  for (std::uint64_t broken = 0;; ++broken) {
    ASSERT_LT(broken, 100U);
    SCOPED_TRACE(broken);
    World world;
    Network net(world);
    net.set_default_path(delay_of(10ms));
    net.fail_operation(broken);
    auto& a = net.add_host({"a", {"1.2.3.4"}});
    auto& b = net.add_host({"b", {"5.6.7.8"}});
    const auto listener = b.tcp_listen(at("5.6.7.8", 80), TcpListenOptions{});
    if (!listener) continue;
    auto [talked, echoed] = world.run(with_timeout(a, 1min, talk(a, at("5.6.7.8", 80))),
                                      with_timeout(b, 1min, echo(**listener)));
    EXPECT_NE(talked.has_error() ? talked.error() : Error(), Errc::deadlock);
    failures += talked && echoed ? 0 : 1;
    if (net.operation_count() <= broken) {
      EXPECT_TRUE(talked);
      EXPECT_TRUE(echoed);
      break;
    }
  }
  EXPECT_GE(failures, 8);
}

TEST(SimNetwork, ADeadlockIsReportedWithWhoWaitsForWhat) {
  TwoHosts hosts;
  auto [socket] = hosts.world.run(dial(hosts.a, at("5.6.7.8", 80)));
  auto [accepted] = hosts.world.run(hosts.listener->accept());
  auto [reader, acceptor] = hosts.world.run((*socket)->wait_readable(), hosts.listener->accept());
  EXPECT_EQ(reader.error(), Errc::deadlock);
  EXPECT_EQ(acceptor.error(), Errc::deadlock);
  const auto& report = hosts.world.deadlock_report();
  EXPECT_NE(report.find("2 of 2 tasks wait"), report.npos) << report;
  EXPECT_NE(report.find("a:\n  tcp 1.2.3.4:"), report.npos) << report;
  EXPECT_NE(report.find("waits to read"), report.npos) << report;
  EXPECT_NE(report.find("tcp 5.6.7.8:80 waits to accept"), report.npos) << report;
}

}  // namespace
}  // namespace pyrsia::sim
