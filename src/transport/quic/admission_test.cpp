/// Who is let in, and what strangers cost. Spec: RFC 9000, 8.1, 21.1.
#include "transport/quic/connection_id.hpp"
#include "transport/quic/stateless.hpp"
#include "transport/quic/test_stranger.hpp"

#include <gtest/gtest.h>

#include <map>

namespace pyrsia::transport::quic {
namespace {

using namespace std::chrono_literals;

/// Bytes of datagrams to and from each IP of 9.0.0.0/16. At no moment has one of them been sent
/// three times what it sent, whether headers are counted or not.
struct Traffic {
  struct Count {
    std::size_t sent = 0;
    std::size_t sent_datagrams = 0;
    std::size_t answered = 0;
    std::size_t answered_datagrams = 0;

    void expect_little() const {
      EXPECT_LT(answered, 3 * sent);
      // Ethernet, IPv4, UDP.
      EXPECT_LT(answered + 42 * answered_datagrams, 3 * (sent + 42 * sent_datagrams));
    }
  };

  explicit Traffic(Peers& p) : peers(p) {
    peers.net.set_trace([this](const std::string& line) { note(line); });
  }
  ~Traffic() { peers.net.set_trace(nullptr); }

  void note(const std::string& line) {
    const auto begin = line.find("sent: udp ");
    if (begin == line.npos) return;
    const auto size = std::stoul(line.substr(line.rfind('+') + 1));
    if (const auto from = line.find("udp 9.0."); from != line.npos) {
      auto& count = of_ip[ip_at(line, from + 4)];
      count.sent += size;
      ++count.sent_datagrams;
    }
    if (const auto to = line.find("> 9.0."); to != line.npos) {
      auto& count = of_ip[ip_at(line, to + 2)];
      count.answered += size;
      ++count.answered_datagrams;
      count.expect_little();
    }
  }
  static std::string ip_at(const std::string& line, std::size_t at) {
    return line.substr(at, line.find(':', at) - at);
  }

  Peers& peers;
  std::map<std::string, Count> of_ip;
};

TEST(QuicAdmission, AFloodFromFalseAddressesIsBoundedAndAmplifiesNothingForAnyOfThem) {
  Config config;
  config.retry_above_half_open = 16;
  config.max_half_open = 32;
  Peers peers(1, config);
  const auto packets = first_packets(peers, 300);
  // All of them at once, so that what is answered arrives.
  std::vector<std::string> sources;
  for (std::size_t i = 0; i < packets.size(); ++i)
    sources.push_back("9.0." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1));
  auto& spoofer = peers.net.add_host({"spoofer", sources});
  Traffic traffic(peers);
  std::vector<std::unique_ptr<UdpSocket>> sockets;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    sockets.push_back(spoofer.udp_bind(sim::at(sources[i], 1000)).value());
    EXPECT_TRUE(sockets.back()->send(sim::at("5.6.7.8", 4001), packets[i]));
    if (i % 10 == 0) peers.world.run_for(1ms);
  }
  peers.world.run_for(60ms);
  EXPECT_LE(peers.b.half_open_count(), 16U);
  EXPECT_EQ(peers.b.metrics().retries.value(), 300U - 16U);
  peers.world.run_for(30s);
  EXPECT_EQ(peers.b.half_open_count(), 0U);
  EXPECT_EQ(traffic.of_ip.size(), 300U);
  std::size_t more_than_sent = 0;
  for (const auto& [ip, count] : traffic.of_ip) {
    EXPECT_EQ(count.sent, 1200U) << ip;
    EXPECT_GT(count.answered, 0U) << ip;
    if (count.answered > count.sent) ++more_than_sent;
  }
  EXPECT_LE(more_than_sent, 16U);  // A Retry is smaller than what it answers.
  // Whoever is real gets in meanwhile and afterwards.
  EXPECT_TRUE(peers.connect());
}

TEST(QuicAdmission, WhoNeverAnswersGetsLessThanThreeTimesWhatItSent) {
  for (const std::size_t count : {1U, 2U, 3U}) {
    Peers peers;  // Which asks nobody for a Retry.
    const auto packet = first_packets(peers, 1)[0];
    auto& host = peers.net.add_host({"silent", {"9.0.0.1"}});
    const auto socket = host.udp_bind(sim::at("9.0.0.1", 1000)).value();
    Traffic traffic(peers);
    for (std::size_t i = 0; i < count; ++i)
      EXPECT_TRUE(socket->send(sim::at("5.6.7.8", 4001), packet));
    peers.world.run_for(60ms);
    EXPECT_EQ(peers.b.half_open_count(), 1U);
    peers.world.run_for(30s);
    EXPECT_EQ(peers.b.half_open_count(), 0U);
    EXPECT_EQ(peers.b.metrics().retries.value(), 0U);
    const auto seen = traffic.of_ip["9.0.0.1"];
    EXPECT_EQ(seen.sent, count * 1200);
    EXPECT_GE(seen.answered, 2 * 1200U);  // All that the handshake needs.
    seen.expect_little();
  }
}

TEST(QuicAdmission, WhoNeverHearsUsGetsLessThanThreeTimesWhatItSendsHoweverOften) {
  Peers peers;
  auto& host = peers.net.add_host({"deaf", {"9.0.0.1"}});
  Transport deaf(host, test_key(3), Config());
  peers.net.set_path_one_way(peers.host_b, host, sim::delay_of(1min));  // Too late for it.
  Traffic traffic(peers);
  const auto remote = address("/ip4/5.6.7.8/udp/4001/quic-v1");
  auto [dialed] = peers.world.run(deaf.dial(remote, test_key(2).peer_id(), DialOptions()));
  EXPECT_EQ(dialed.error(), Errc::timed_out);
  peers.world.run_for(2min);
  EXPECT_EQ(peers.b.half_open_count(), 0U);
  EXPECT_EQ(peers.b.metrics().retries.value(), 0U);
  const auto seen = traffic.of_ip["9.0.0.1"];
  EXPECT_GE(seen.sent_datagrams, 4U);  // Again and again.
  EXPECT_GT(seen.answered, seen.sent);
  seen.expect_little();
  peers.world.run(deaf.stop());
}

Task<Bytes> first_answer(UdpSocket& socket) {
  PYRSIA_CO_TRY(const auto batch, co_await socket.receive_batch());
  co_return Bytes(batch[0].bytes.begin(), batch[0].bytes.end());
}

/// A client that begins with a datagram of so many bytes and says no more, until the server gives
/// up; then it sends the smallest packets that ask for the server's farewell once more.
void begin_and_be_refused(std::size_t datagram_bytes) {
  Peers peers;
  auto packet = first_packets(peers, 1)[0];
  packet.resize(datagram_bytes);
  ASSERT_TRUE(peers.connect());  // So that the port stays.
  auto& host = peers.net.add_host({"silent", {"9.0.0.1"}});
  const auto socket = host.udp_bind(sim::at("9.0.0.1", 1000)).value();
  Traffic traffic(peers);
  EXPECT_TRUE(socket->send(sim::at("5.6.7.8", 4001), packet));
  auto [answer] = peers.world.run(first_answer(*socket));
  ASSERT_TRUE(answer);
  const std::size_t at = 6 + (*answer)[5];  // Of the server's own id.
  ASSERT_EQ((*answer)[at], kConnectionIdBytes);
  Bytes question{0x40};
  question.insert(question.end(), answer->begin() + long(at) + 1,
                  answer->begin() + long(at) + 1 + long(kConnectionIdBytes));
  peers.world.run_for(9s);  // All that may be sent has been.
  EXPECT_EQ(peers.b.half_open_count(), 1U);
  peers.listener.reset();  // Which ends what is half open.
  peers.world.run_for(100ms);
  EXPECT_EQ(peers.b.half_open_count(), 0U);
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_TRUE(socket->send(sim::at("5.6.7.8", 4001), question));
    peers.world.run_for(100ms);
  }
  traffic.of_ip["9.0.0.1"].expect_little();
}

TEST(QuicAdmission, AFarewellToWhoHasNotProvedItsAddressCountsToo) {
  for (std::size_t bytes = 1200; bytes <= 1400; bytes += 8) {
    SCOPED_TRACE(bytes);
    begin_and_be_refused(bytes);
  }
}

TEST(QuicAdmission, OneIpWithManyHalfOpenMustProveItsAddressAndOthersNeedNot) {
  Config config;
  config.retry_above_half_open_of_one_ip = 3;
  Peers peers(1, config);
  const auto packets = first_packets(peers, 6);
  std::vector<std::unique_ptr<UdpSocket>> sockets;
  const auto send = [&](sim::SimHost& host, const std::string& ip, std::size_t number) {
    sockets.push_back(host.udp_bind(sim::at(ip, std::uint16_t(1000 + number))).value());
    EXPECT_TRUE(sockets.back()->send(sim::at("5.6.7.8", 4001), packets[number]));
    peers.world.run_for(60ms);
  };
  auto& many = peers.net.add_host({"many", {"9.0.0.1"}});
  for (std::size_t i = 0; i < 5; ++i) send(many, "9.0.0.1", i);
  EXPECT_EQ(peers.b.half_open_count(), 3U);
  EXPECT_EQ(peers.b.metrics().retries.value(), 2U);
  send(peers.net.add_host({"other", {"9.0.0.2"}}), "9.0.0.2", 5);
  EXPECT_EQ(peers.b.half_open_count(), 4U);
  EXPECT_EQ(peers.b.metrics().retries.value(), 2U);
  peers.world.run_for(30s);  // All are forgotten, and with them the count of the IP.
  EXPECT_EQ(peers.b.half_open_count(), 0U);
}

TEST(QuicAdmission, AnIPv6NetworkCountsAsOneIp) {
  Config config;
  config.retry_above_half_open_of_one_ip = 3;
  Peers peers(1, config);
  const auto listening = peers.b.listen(address("/ip6/::/udp/4002/quic-v1")).value();
  const auto packets = first_packets(peers, 6);
  const std::vector<std::string> sources{"2600:1:1:100::1", "2600:1:1:101::1", "2600:1:1:1ff::1",
                                         "2600:1:1:100::2", "2600:1:1:155::1", "2600:1:1:200::1"};
  auto& many = peers.net.add_host({"many", sources});
  std::vector<std::unique_ptr<UdpSocket>> sockets;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    sockets.push_back(many.udp_bind(sim::at(sources[i], 1000)).value());
    EXPECT_TRUE(sockets.back()->send(sim::at("2600::2", 4002), packets[i]));
    peers.world.run_for(60ms);
  }
  EXPECT_EQ(peers.b.half_open_count(), 4U);
  EXPECT_EQ(peers.b.metrics().retries.value(), 2U);
}

/// A Retry's token, or what is left of it, as a client at `client` would bring it back.
struct Retried {
  Retried(Peers& p, const Secrets& s, const Endpoint& c) : peers(p), secrets(s), client(c) {
    const Bytes original{1, 2, 3, 4, 5, 6, 7, 8};
    ngtcp2_pkt_hd first{};
    first.version = NGTCP2_PROTO_VER_V1;
    ngtcp2_cid_init(&first.dcid, original.data(), original.size());
    first.scid = first.dcid;
    ngtcp2_cid_init(&new_id, original.data(), 4);
    StatelessPacket made;
    const auto packet = make_retry(peers.host_b, secrets, first, client, new_id, made);
    const std::size_t before = 1 + 4 + 1 + first.scid.datalen + 1 + new_id.datalen;
    const std::size_t tag = 16;
    token.assign(packet.begin() + std::ptrdiff_t(before), packet.end() - tag);
  }
  bool is_ours(BytesView brought, const Endpoint& from, const Secrets& known) {
    ngtcp2_pkt_hd header{};
    header.version = NGTCP2_PROTO_VER_V1;
    header.dcid = new_id;
    header.token = brought.data();
    header.tokenlen = brought.size();
    return read_retry_token(peers.host_b, known, header, from).has_value();
  }

  Peers& peers;
  const Secrets& secrets;
  Endpoint client;
  ngtcp2_cid new_id{};
  Bytes token;
};

TEST(QuicAdmission, ARetryTokenHoldsForItsAddressItsServerAndTenSeconds) {
  Peers peers;
  const Secrets ours(test_key(2));
  const Secrets foreign(test_key(3));
  const auto client = sim::at("1.2.3.4", 99);
  Retried retried(peers, ours, client);
  EXPECT_TRUE(retried.is_ours(retried.token, client, ours));
  EXPECT_FALSE(retried.is_ours(retried.token, client, foreign));
  EXPECT_FALSE(retried.is_ours(retried.token, sim::at("1.2.3.4", 98), ours));
  EXPECT_FALSE(retried.is_ours(retried.token, sim::at("1.2.3.5", 99), ours));
  for (std::size_t i = 0; i < retried.token.size(); ++i) {
    auto bent = retried.token;
    bent[i] ^= 1;
    EXPECT_FALSE(retried.is_ours(bent, client, ours)) << i;
    EXPECT_FALSE(retried.is_ours(BytesView(retried.token).first(i), client, ours)) << i;
  }
  peers.world.run_for(9s);
  EXPECT_TRUE(retried.is_ours(retried.token, client, ours));
  peers.world.run_for(2s);
  EXPECT_FALSE(retried.is_ours(retried.token, client, ours));
}

// Between the Retry and the client's second packet the server becomes another.
TEST(QuicAdmission, AForeignRetryTokenIsRefusedAsInvalidAtOnce) {
  Config config;
  config.retry_above_half_open = 0;
  Peers peers(1, config);
  Transport other(peers.host_b, test_key(9), config);
  std::unique_ptr<Listener> listener;
  struct Swap {
    static Task<> run(Peers& all, Transport& other, std::unique_ptr<Listener>& listener) {
      PYRSIA_CO_TRY(co_await all.host_b.sleep_for(Duration(60ms)));
      all.listener.reset();
      PYRSIA_CO_TRY(co_await all.host_b.sleep_for(Duration(1ms)));
      PYRSIA_CO_TRY(listener, other.listen(address("/ip4/0.0.0.0/udp/4001/quic-v1")));
      co_return ok;
    }
  };
  auto [dialed, swapped] = peers.world.run(peers.dial_b(), Swap::run(peers, other, listener));
  ASSERT_TRUE(swapped) << swapped.error();
  EXPECT_EQ(peers.b.metrics().retries.value(), 1U);
  EXPECT_EQ(dialed.error(), Errc::protocol_violation);  // INVALID_TOKEN: not a time-out.
  EXPECT_EQ(peers.world.now(), TimePoint(200ms));
  EXPECT_EQ(other.half_open_count(), 0U);
  EXPECT_EQ(other.metrics().retries.value(), 0U);
  listener.reset();
  peers.world.run(other.stop());
}

TEST(QuicAdmission, SoManyAnswersToStrangersASecondAndNoMore) {
  Config config;
  config.max_stateless_per_second = 5;
  Peers peers(1, config);
  Stranger stranger(peers);
  for (const std::uint64_t round : {1U, 2U}) {
    for (int i = 0; i < 20; ++i) stranger.send(Bytes(40, 0x55));
    EXPECT_EQ(stranger.answers().size(), 5U);  // Waits for more than a second.
    EXPECT_EQ(peers.b.metrics().stateless_limited.value(), 15U * round);
  }
  EXPECT_TRUE(peers.connect());  // Which is no answer to a stranger.
}

}  // namespace
}  // namespace pyrsia::transport::quic
