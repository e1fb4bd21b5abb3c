// Somebody on the way between two hosts that speak QUIC: he sees every packet, can send as either
// of them, and has no key. What he adds costs its bytes and nothing else, where RFC 9000 lets us
// say no.
#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"
#include "sim_node.hpp"
#include "transport/quic/connection_id.hpp"
#include "transport/quic/stateless.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>

namespace pyrsia::test {
namespace {

using namespace std::chrono_literals;
namespace quic = transport::quic;

constexpr std::uint64_t kTransferBytes = 300'000;
constexpr std::size_t kMaxForgedBytes = 1500;
/// From one size of a sweep to the next.
constexpr std::size_t kSizeStep = 7;
/// By one attack: what he sends is answered, and the answers pass him too.
constexpr std::uint64_t kMaxInjected = 1000;

enum class Way { to_server, to_client };

Way back(Way way) {
  return way == Way::to_server ? Way::to_client : Way::to_server;
}

bool is_long(BytesView packet) {
  return !packet.empty() && (packet[0] & 0x80) != 0;
}

/// Both of a long header, in its order. Must be one.
struct Ids {
  explicit Ids(BytesView packet) {
    const std::size_t size = packet[5];
    destination.assign(packet.begin() + 6, packet.begin() + 6 + long(size));
    const auto source_size = packet[6 + size];
    const auto at = packet.begin() + 7 + long(size);
    source.assign(at, at + source_size);
  }
  Bytes destination;
  Bytes source;
};

/// Both hosts take it for the other. Forwards every datagram, after its attack has seen it.
class Tap {
 public:
  using Attack = void (*)(Tap& tap, Way way, BytesView real);

  explicit Tap(sim::Network& network)
      : host_(network.add_host({.name = "tap", .addresses = {"9.9.9.9", "9.9.9.8"}})),
        front_(host_.udp_bind({IpAddress::v4({9, 9, 9, 9}), 4001}).value()),
        behind_(host_.udp_bind({IpAddress::v4({9, 9, 9, 9}), 4002}).value()),
        aside_(host_.udp_bind({IpAddress::v4({9, 9, 9, 8}), 4003}).value()),
        tasks_(host_) {
    tasks_.spawn(forward(*front_, Way::to_server));
    tasks_.spawn(forward(*behind_, Way::to_client));
  }
  Task<> stop() {
    tasks_.cancel();
    co_return co_await tasks_.join();
  }

  void set_attack(Attack attack) { attack_ = attack; }
  /// From the address that the receiver takes for its peer's.
  void inject(Way way, BytesView bytes) {
    ++injected_;
    send(way == Way::to_server ? *behind_ : *front_, way, bytes);
  }
  /// From another.
  void inject_aside(Way way, BytesView bytes) {
    ++injected_;
    send(*aside_, way, bytes);
  }
  /// The connection id of the receiver, as packets that go that way have it now.
  BytesView id(Way way) const { return ids_[std::size_t(way)]; }
  /// Of the client's first packet: who knows them has the keys of an Initial. RFC 9001, 5.2.
  const Ids& first_ids() const { return *first_; }
  std::uint64_t injected() const { return injected_; }
  std::mt19937_64& random() { return random_; }
  Bytes noise(std::size_t size) {
    Bytes bytes(size);
    for (auto& byte : bytes) byte = std::uint8_t(random_());
    return bytes;
  }

 private:
  Task<> forward(UdpSocket& from, Way way) {
    for (;;) {
      PYRSIA_CO_TRY(const auto batch, co_await from.receive_batch());
      for (const auto& datagram : batch) {
        if (way == Way::to_server) client_ = datagram.from;
        learn(way, datagram.bytes);
        if (attack_ && injected_ < kMaxInjected) attack_(*this, way, datagram.bytes);
        send(way == Way::to_server ? *behind_ : *front_, way, datagram.bytes);
      }
    }
  }
  void learn(Way way, BytesView packet) {
    auto& id = ids_[std::size_t(way)];
    if (is_long(packet)) {
      const Ids ids(packet);
      if (way == Way::to_server && !first_) first_ = ids;
      id = ids.destination;
      ids_[std::size_t(back(way))] = ids.source;
    } else if (packet.size() > quic::kConnectionIdBytes) {
      id.assign(packet.begin() + 1, packet.begin() + 1 + quic::kConnectionIdBytes);
    }
  }
  void send(UdpSocket& from, Way way, BytesView bytes) {
    const Endpoint server{IpAddress::v4({1, 2, 3, 10}), SimNode::kPort};
    EXPECT_TRUE(from.send(way == Way::to_server ? server : client_, bytes));
  }

  sim::SimHost& host_;
  std::unique_ptr<UdpSocket> front_;   ///< Towards the client.
  std::unique_ptr<UdpSocket> behind_;  ///< Towards the server.
  std::unique_ptr<UdpSocket> aside_;
  Endpoint client_;
  std::array<Bytes, 2> ids_;
  std::optional<Ids> first_;
  Attack attack_ = nullptr;
  std::uint64_t injected_ = 0;
  std::mt19937_64 random_{5};
  TaskGroup tasks_;
};

void append(Bytes& to, BytesView more) {
  to.insert(to.end(), more.begin(), more.end());
}

/// A long header, with the ids that packets of that way have.
Bytes long_header(Tap& tap, Way way, std::uint8_t first, std::array<std::uint8_t, 4> version) {
  Bytes packet{first};
  append(packet, version);
  for (const auto id : {tap.id(way), tap.id(back(way))}) {
    packet.push_back(std::uint8_t(id.size()));
    append(packet, id);
  }
  return packet;
}

constexpr std::array<std::uint8_t, 4> kVersion1{0, 0, 0, 1};

void flip_a_bit(Tap& tap, Way way, BytesView real) {
  Bytes forged(real.begin(), real.end());
  const auto bit = tap.injected() * 37 % (forged.size() * 8);
  forged[bit / 8] ^= std::uint8_t(1U << (bit % 8));
  tap.inject(way, forged);
}

void flip_a_bit_of_the_header(Tap& tap, Way way, BytesView real) {
  Bytes forged(real.begin(), real.end());
  const auto bit = tap.injected() % 160;
  if (bit / 8 >= forged.size()) return;
  forged[bit / 8] ^= std::uint8_t(1U << (bit % 8));
  tap.inject(way, forged);
}

void cut(Tap& tap, Way way, BytesView real) {
  tap.inject(way, real.first(1 + tap.injected() * kSizeStep % (real.size() - 1)));
}

void lengthen(Tap& tap, Way way, BytesView real) {
  Bytes forged(real.begin(), real.end());
  append(forged, tap.noise(1 + tap.injected() * kSizeStep % 40));
  tap.inject(way, forged);
}

void repeat(Tap& tap, Way way, BytesView real) {
  tap.inject(way, real);
}

void be_first_from_elsewhere(Tap& tap, Way way, BytesView real) {
  // Each is a migration, as far as a server can tell.
  if (tap.random()() % 50 == 0) tap.inject_aside(way, real);
}

void seal_with_a_wrong_key(Tap& tap, Way way, BytesView) {
  auto forged = tap.noise(1 + tap.injected() * kSizeStep % kMaxForgedBytes);
  forged[0] = std::uint8_t(0x40 | (forged[0] & 0x3f));
  const auto id = tap.id(way);
  std::copy_n(id.begin(), std::min(id.size(), forged.size() - 1), forged.begin() + 1);
  tap.inject(way, forged);
}

void reset_with_a_wrong_token(Tap& tap, Way way, BytesView) {
  auto forged = tap.noise(21 + tap.injected() * kSizeStep % kMaxForgedBytes);
  forged[0] = std::uint8_t(0x40 | (forged[0] & 0x3f));
  tap.inject(way, forged);
}

/// 0 Initial, 1 0-RTT, 2 Handshake, 3 Retry.
void send_long(Tap& tap, Way way, std::uint8_t type) {
  const auto bits = std::uint8_t(tap.random()() & 0x0f);
  auto forged = long_header(tap, way, std::uint8_t(0xc0 | type << 4 | bits), kVersion1);
  const std::size_t size = type == 0 ? 1200 : 60 + tap.injected() * kSizeStep % 1400;
  if (type == 0) forged.push_back(0);  // No token.
  const auto left = size - forged.size();
  if (type != 3 && left > 2) {
    forged.push_back(std::uint8_t(0x40 | (left - 2) >> 8));
    forged.push_back(std::uint8_t(left - 2));
  }
  append(forged, tap.noise(size - forged.size()));
  tap.inject(way, forged);
}

void send_every_long_type(Tap& tap, Way way, BytesView) {
  send_long(tap, way, std::uint8_t(tap.injected() % 4));
}

void negotiate_versions(Tap& tap, Way way, std::array<std::uint8_t, 4> offered) {
  auto forged = long_header(tap, way, 0xc0, {0, 0, 0, 0});
  append(forged, offered);
  tap.inject(way, forged);
}

void negotiate_unknown_versions(Tap& tap, Way way, BytesView) {
  negotiate_versions(tap, way, {0xff, 0, 0, 29});
}

void speak_an_unknown_version(Tap& tap, Way way, BytesView) {
  auto forged = long_header(tap, way, 0xc0, {0xff, 0, 0, 29});
  forged.resize(1200);
  tap.inject(way, forged);
}

/// A server's CONNECTION_CLOSE in an Initial.
Bytes close_of_server(const Ids& first, bool is_key_right) {
  ngtcp2_pkt_hd header{};
  header.version = NGTCP2_PROTO_VER_V1;
  auto key = first.destination;
  if (!is_key_right) key[0] ^= 1;
  ngtcp2_cid_init(&header.dcid, key.data(), key.size());
  ngtcp2_cid_init(&header.scid, first.source.data(), first.source.size());
  quic::StatelessPacket made;
  const auto packet = quic::make_refusal(header, quic::kConnectionRefused, made);
  return {packet.begin(), packet.end()};
}

void close_late(Tap& tap, Way way, BytesView) {
  if (way == Way::to_client) tap.inject(way, close_of_server(tap.first_ids(), true));
}

// Towards a client that dials, before the server's first packet.

void close_with_a_wrong_key(Tap& tap, Way way, BytesView real) {
  if (way == Way::to_server && is_long(real))
    tap.inject(Way::to_client, close_of_server(Ids(real), false));
}

void close_from_elsewhere(Tap& tap, Way way, BytesView real) {
  if (way == Way::to_server && is_long(real))
    tap.inject_aside(Way::to_client, close_of_server(Ids(real), true));
}

void close(Tap& tap, Way way, BytesView real) {
  if (way == Way::to_server && is_long(real))
    tap.inject(Way::to_client, close_of_server(Ids(real), true));
}

void offer_version_1(Tap& tap, Way way, BytesView) {
  if (way == Way::to_server) negotiate_versions(tap, Way::to_client, kVersion1);
}

void offer_unknown_versions(Tap& tap, Way way, BytesView) {
  if (way == Way::to_server) negotiate_versions(tap, Way::to_client, {0xff, 0, 0, 29});
}

void offer_unknown_versions_with_a_wrong_id(Tap& tap, Way way, BytesView real) {
  if (way != Way::to_server || !is_long(real)) return;
  auto forged = long_header(tap, Way::to_client, 0xc0, {0, 0, 0, 0});
  forged.back() ^= 1;
  append(forged, std::array<std::uint8_t, 4>{0xff, 0, 0, 29});
  tap.inject(Way::to_client, forged);
}

/// When the server's own first packet has come, all else is ignored. RFC 9000, 6.2 and 17.2.5.2.
void offer_unknown_versions_late(Tap& tap, Way way, BytesView real) {
  if (way != Way::to_client) return;
  tap.inject(way, real);
  negotiate_versions(tap, way, {0xff, 0, 0, 29});
}

void retry_with_a_wrong_tag(Tap& tap, Way way, BytesView) {
  if (way != Way::to_server) return;
  auto forged = long_header(tap, Way::to_client, 0xf0, kVersion1);
  append(forged, tap.noise(40));
  tap.inject(Way::to_client, forged);
}

void retry_late(Tap& tap, Way way, BytesView real) {
  if (way != Way::to_client || !is_long(real)) return;
  tap.inject(way, real);
  auto forged = long_header(tap, way, 0xf0, kVersion1);
  append(forged, tap.noise(40));
  tap.inject(way, forged);
}

void reset_a_dial(Tap& tap, Way way, BytesView real) {
  if (way == Way::to_server) reset_with_a_wrong_token(tap, Way::to_client, real);
}

void answer_with_noise(Tap& tap, Way way, BytesView) {
  if (way == Way::to_server) send_long(tap, Way::to_client, std::uint8_t(tap.injected() % 4));
}

struct Case {
  const char* name;
  Tap::Attack attack;
  /// Each datagram is thrown away by itself, and counted.
  bool is_all_discarded = true;
};

/// Two whole hosts, and the tap on the way between them.
struct Setting {
  Setting()
      : network(world), server_host(add("server", "1.2.3.10")), node_host(add("node", "5.6.7.8")) {
    network.set_default_path({.one_way_delay = 10ms});
    server.host().on("/test/echo", [](PeerId, std::unique_ptr<Stream> stream) {
      return echo(std::move(stream));
    });
    world.run(server.start(), node.start());
  }
  ~Setting() {
    tap.set_attack(nullptr);
    auto [node_stopped, server_stopped] = world.run(node.stop(), server.stop());
    EXPECT_TRUE(node_stopped && server_stopped) << world.deadlock_report();
    world.run(tap.stop());
  }

  sim::SimHost& add(const char* name, const char* ip) {
    return network.add_host({.name = name, .addresses = {ip}});
  }
  static Config config() {
    auto config = boot_config();
    config.listen = listen_by_both();
    return config;
  }
  static Task<> echo(std::unique_ptr<Stream> stream) {
    std::array<std::uint8_t, 8192> bytes;
    for (;;) {
      PYRSIA_CO_TRY(const auto count, co_await stream->read_some(bytes));
      if (count == 0) co_return co_await stream->close_write();
      PYRSIA_CO_TRY(co_await stream->write_all(BytesView(bytes).first(count)));
    }
  }
  static std::uint8_t byte_at(std::uint64_t place) {
    return std::uint8_t(place * 7 + (place >> 8) * 13 + (place >> 16));
  }
  static Task<> write(Stream& stream) {
    Bytes bytes(kTransferBytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = byte_at(i);
    PYRSIA_CO_TRY(co_await stream.write_all(bytes));
    co_return co_await stream.close_write();
  }
  /// Returns how many right bytes came. Errors: `Errc::malformed` at a wrong one.
  static Task<std::uint64_t> read(Stream& stream) {
    std::array<std::uint8_t, 8192> bytes;
    for (std::uint64_t place = 0;;) {
      PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
      if (count == 0) co_return place;
      for (std::size_t i = 0; i < count; ++i, ++place)
        if (bytes[i] != byte_at(place)) co_return Errc::malformed;
    }
  }
  Task<std::uint64_t> transfer() {
    PYRSIA_CO_TRY(const auto stream,
                  co_await node.host().open_stream(server.peer_id(), "/test/echo"));
    TaskGroup writing(node.machine());
    writing.spawn(write(*stream));
    const auto count = co_await read(*stream);
    if (!count) stream->reset();
    PYRSIA_CO_TRY(co_await writing.join());
    co_return count;
  }
  Result<> connect() {
    const std::vector<Multiaddr> addresses{*Multiaddr::parse("/ip4/9.9.9.9/udp/4001/quic-v1")};
    auto [connected] = world.run(node.host().connect(server.peer_id(), addresses));
    connected_at = world.now();
    return connected;
  }
  /// All bytes go there and back, over the one connection.
  void expect_whole_transfer() {
    auto [count] = world.run(with_timeout(node.machine(), 2min, transfer()));
    ASSERT_TRUE(count) << count.error();
    EXPECT_EQ(*count, kTransferBytes);
    const auto peers = node.host().peers();
    ASSERT_EQ(peers.size(), 1U);
    EXPECT_GE(peers.front().connected_for, world.now() - connected_at) << "it is another one";
  }
  static std::uint64_t counter(SimNode& of, const std::string& name) {
    return of.host().counters().at("pyrsia_quic_" + name + "_total");
  }
  std::uint64_t discarded() {
    std::uint64_t sum = 0;
    for (auto* each : {&node, &server})
      for (const auto* name : {"discarded_datagrams", "unknown_datagrams", "version_negotiations",
                               "handshakes_failed"})
        sum += counter(*each, name);
    return sum;
  }

  sim::World world{1};
  sim::Network network;
  sim::SimHost& server_host;
  sim::SimHost& node_host;
  SimNode server{server_host, 1, config()};
  SimNode node{node_host, 2, config()};
  Tap tap{network};
  TimePoint connected_at{};
};

TEST(QuicAttacker, BreaksNoConnectionThatIsThereAndCostsItNoByte) {
  const std::vector<Case> cases{
      {"a bit of a real packet", flip_a_bit},
      {"a bit of its header", flip_a_bit_of_the_header},
      {"a real packet that is cut, at every size", cut},
      {"a real packet with something behind it", lengthen},
      {"a real packet once more", repeat, false},
      {"a real packet from elsewhere, first", be_first_from_elsewhere, false},
      {"a packet with a wrong key, of every size", seal_with_a_wrong_key},
      {"a reset with a wrong token, of every size", reset_with_a_wrong_token},
      {"long headers of every type", send_every_long_type},
      {"version negotiation", negotiate_unknown_versions},
      {"an unknown version", speak_an_unknown_version},
      {"an end in an Initial", close_late},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.name);
    Setting setting;
    const auto connected = setting.connect();
    ASSERT_TRUE(connected) << connected.error();
    setting.world.run_for(1s);
    const auto before = setting.discarded();

    setting.tap.set_attack(each.attack);
    setting.expect_whole_transfer();
    setting.tap.set_attack(nullptr);
    setting.world.run_for(1s);

    EXPECT_GT(setting.tap.injected(), 5U);
    if (each.is_all_discarded) EXPECT_GE(setting.discarded() - before, setting.tap.injected());
    setting.expect_whole_transfer();
  }
}

TEST(QuicAttacker, KeepsNoClientFromConnectingWhereTheSpecLetsItGoOn) {
  const std::vector<Case> cases{
      {"an end with a wrong key", close_with_a_wrong_key},
      {"an end from elsewhere", close_from_elsewhere},
      {"the version that was asked for", offer_version_1},
      {"another version, with a wrong id", offer_unknown_versions_with_a_wrong_id},
      {"another version, after an answer", offer_unknown_versions_late, false},
      {"a Retry with a wrong tag", retry_with_a_wrong_tag},
      {"a Retry, after an answer", retry_late, false},
      {"a reset with a wrong token, of every size", reset_a_dial},
      {"noise with a header of every type", answer_with_noise},
      {"a bit of each packet", flip_a_bit, false},
      {"each packet, cut", cut, false},
      {"each packet once more", repeat, false},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.name);
    Setting setting;
    setting.tap.set_attack(each.attack);
    const auto connected = setting.connect();
    ASSERT_TRUE(connected) << connected.error();
    setting.expect_whole_transfer();
    setting.tap.set_attack(nullptr);
    setting.world.run_for(1s);
    EXPECT_GE(setting.tap.injected(), 1U);
    if (each.is_all_discarded) EXPECT_GE(setting.discarded(), setting.tap.injected());
  }
}

// Nothing tells these from a server's own word. RFC 9000, 6.2 and 10.2.3.
TEST(QuicAttacker, EndsOneDialWhereTheSpecLetsItAndNotTheNext) {
  for (const auto& each :
       {Case{"another version", offer_unknown_versions}, Case{"an end", close}}) {
    SCOPED_TRACE(each.name);
    Setting setting;
    setting.tap.set_attack(each.attack);
    const auto began = setting.world.now();
    EXPECT_FALSE(setting.connect());
    EXPECT_LT(setting.world.now() - began, Duration(1s)) << "it waited all the same";
    setting.tap.set_attack(nullptr);
    setting.world.run_for(1min);
    const auto connected = setting.connect();
    EXPECT_TRUE(connected) << connected.error();
  }
}

}  // namespace
}  // namespace pyrsia::test
