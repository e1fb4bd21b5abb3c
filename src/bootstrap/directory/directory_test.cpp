#include "bootstrap/directory/directory.hpp"

#include "sim/scripted_web.hpp"

#include <gtest/gtest.h>

namespace pyrsia::bootstrap {
namespace {

using namespace std::chrono_literals;

PeerId id(int first) {
  Bytes multihash{0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
  for (int i = 0; i < 32; ++i) multihash.push_back(static_cast<std::uint8_t>(first + i));
  return *PeerId::from_bytes(multihash);
}

const std::string kUrlB = "http://b.example/status";
const std::string kUrlC = "http://c.example/status";

Multiaddr address(const std::string& text) {
  return *Multiaddr::parse(text);
}

Multiaddr entry(const std::string& text, int peer) {
  return address(text).with_peer(id(peer));
}

std::string answer(int peer, const std::vector<Multiaddr>& entries) {
  StatusDocument document;
  document.peer_id = id(peer);
  document.peer_addrs = entries;
  return write_status(document);
}

class Node final : public LocalNode {
 public:
  PeerId peer_id() const override { return id(1); }
  std::vector<Multiaddr> listen_addresses() const override { return listening; }
  std::vector<Multiaddr> advertised_addresses() const override { return advertised; }
  std::vector<PeerId> connected_peers() const override { return peers; }

  std::vector<Multiaddr> listening{address("/ip4/127.0.0.1/tcp/44000"),
                                   address("/ip4/10.0.0.7/tcp/44000")};
  std::vector<Multiaddr> advertised{address("/ip4/8.8.8.8/tcp/44000")};
  std::vector<PeerId> peers;
};

class BootDirectory : public testing::Test {
 protected:
  Directory directory() {
    return {env_, config_, classifier_, node_, Logger("directory", sink_), metrics_};
  }

  /// The lists of all turns.
  static std::vector<std::vector<Multiaddr>> lists(Directory& directory) {
    std::vector<std::vector<Multiaddr>> lists;
    std::vector<std::string> problems;
    for (const auto& text : directory.documents()) {
      const auto read = read_status(text, problems);
      lists.push_back(read ? read->peer_addrs : std::vector<Multiaddr>());
    }
    return lists;
  }

  sim::World world_;
  sim::ScriptedWeb env_{world_};
  DirectoryConfig config_;
  AddressClassifier classifier_;
  Node node_;
  LogSink sink_;
  DirectoryMetrics metrics_;
};

using Lists = std::vector<std::vector<Multiaddr>>;

const auto kOwn = entry("/ip4/8.8.8.8/tcp/44000", 1);
const auto kB = entry("/ip4/9.9.9.9/tcp/44000", 2);
const auto kC = entry("/ip4/7.7.7.7/tcp/44000", 3);

TEST_F(BootDirectory, AloneItListsItself) {
  node_.peers = {id(7), id(8)};
  auto directory = this->directory();

  EXPECT_EQ(directory.documents().front(), "{\"peers_count\":2,\"peer_id\":\"" + id(1).to_string() +
                                               "\",\"peer_addrs\":[\"" + kOwn.to_string() + "\"]}");
}

TEST_F(BootDirectory, PlainTcpIsListedFirstAsTheOriginalKnowsNothingElse) {
  const auto quic = address("/ip4/8.8.8.8/udp/44000/quic-v1");
  node_.advertised.insert(node_.advertised.begin(), quic);
  auto directory = this->directory();
  const Lists expected{{kOwn, quic.with_peer(id(1))}};
  EXPECT_EQ(lists(directory), expected);
}

TEST_F(BootDirectory, EveryHealthyMemberHasItsTurnAtTheHead) {
  config_.members = {kUrlB, kUrlC};
  env_.pages[kUrlB + "?check"].body = answer(2, {kB});
  env_.pages[kUrlC + "?check"].body = answer(3, {kC});
  auto directory = this->directory();

  directory.start();
  world_.run_for(1s);

  const Lists expected{{kOwn, kB, kC}, {kB, kC, kOwn}, {kC, kOwn, kB}};
  EXPECT_EQ(lists(directory), expected);
  EXPECT_TRUE(std::get<0>(world_.run(directory.stop())));
}

TEST_F(BootDirectory, DeadMemberLeavesInSecondsAndComesBack) {
  config_.members = {kUrlB};
  env_.pages[kUrlB + "?check"].body = answer(2, {kB});
  auto directory = this->directory();
  directory.start();
  world_.run_for(1s);
  ASSERT_EQ(lists(directory).size(), 2U);

  env_.pages[kUrlB + "?check"].delay = 24h;
  world_.run_for(8s);
  EXPECT_EQ(lists(directory), Lists{{kOwn}});

  env_.pages[kUrlB + "?check"].delay = 0s;
  world_.run_for(5s);
  EXPECT_EQ(lists(directory).size(), 2U);
  EXPECT_EQ(metrics_.members_entered.value(), 2U);
  EXPECT_EQ(metrics_.members_left.value(), 1U);
  EXPECT_TRUE(std::get<0>(world_.run(directory.stop())));
}

TEST_F(BootDirectory, OneBadAnswerCostsNothing) {
  config_.members = {kUrlB};
  env_.pages[kUrlB + "?check"].body = answer(2, {kB});
  auto directory = this->directory();
  directory.start();
  world_.run_for(1s);

  env_.pages[kUrlB + "?check"].status = 500;
  world_.run_for(2s);
  env_.pages[kUrlB + "?check"].status = 200;
  world_.run_for(10s);

  EXPECT_EQ(lists(directory).size(), 2U);
  EXPECT_EQ(metrics_.members_left.value(), 0U);
  EXPECT_TRUE(std::get<0>(world_.run(directory.stop())));
}

TEST_F(BootDirectory, MembersSpeakForThemselvesOnly) {
  config_.members = {kUrlB};
  env_.pages[kUrlB + "?check"].body =
      answer(2, {kC, entry("/ip4/10.1.1.1/tcp/1", 2), kB, entry("/ip4/1.1.1.1/tcp/1", 1)});
  auto directory = this->directory();

  directory.start();
  world_.run_for(1s);

  const Lists expected{{kOwn, kB}, {kB, kOwn}};
  EXPECT_EQ(lists(directory), expected);
  EXPECT_TRUE(std::get<0>(world_.run(directory.stop())));
}

TEST_F(BootDirectory, OurselvesAmongTheMembersCountOnce) {
  config_.members = {kUrlB, kUrlC};
  env_.pages[kUrlB + "?check"].body = answer(1, {kOwn});
  env_.pages[kUrlC + "?check"].body = answer(3, {kC});
  auto directory = this->directory();

  directory.start();
  world_.run_for(1s);

  EXPECT_EQ(lists(directory).size(), 2U);
  EXPECT_TRUE(std::get<0>(world_.run(directory.stop())));
}

TEST_F(BootDirectory, UselessMembersAreOutAndToldWhy) {
  config_.members = {kUrlB};
  auto directory = this->directory();
  directory.start();
  const std::vector<std::pair<std::string, std::string>> cases{
      {"{}", "did not receive an array of peer_addrs in JSON: there is no field peer_addrs"},
      {R"({"peer_addrs":[")" + kB.to_string() + "\"]}", "its peer_id is absent or not a peer id"},
      {answer(2, {kC}), "it lists no address of its own that others can use"}};
  for (const auto& [body, why] : cases) {
    env_.pages[kUrlB + "?check"].body = body;
    world_.run_for(5s);
    EXPECT_EQ(lists(directory), Lists{{kOwn}});
    EXPECT_EQ(directory.members().all()[0].last_problem, why);
  }
  EXPECT_TRUE(std::get<0>(world_.run(directory.stop())));
}

TEST_F(BootDirectory, OnlyAddressesThatOthersCanUseAreListed) {
  node_.advertised = {address("/ip4/127.0.0.1/tcp/1"), address("/ip4/192.168.1.1/tcp/1")};
  auto directory = this->directory();

  EXPECT_EQ(lists(directory), Lists{{}});
  EXPECT_EQ(directory.documents().front(),
            "{\"peers_count\":0,\"peer_id\":\"" + id(1).to_string() + "\",\"peer_addrs\":[]}");
}

TEST_F(BootDirectory, ExternalIpTakesThePlaceOfEveryListenIp) {
  config_.external_ip = "203.0.113.7";
  auto directory = this->directory();

  EXPECT_EQ(lists(directory), Lists{{entry("/ip4/203.0.113.7/tcp/44000", 1)}});
}

TEST_F(BootDirectory, ExternalIpThatIsNoIpv4ChangesNothing) {
  for (const std::string text : {"boot.example", "2001:db8::1", "1.2.3", "1.2.3.4.5"}) {
    config_.external_ip = text;
    auto directory = this->directory();
    EXPECT_EQ(lists(directory), Lists{{kOwn}});
  }
}

TEST_F(BootDirectory, AnnouncedAddressesAreListedWhateverTheirClass) {
  config_.announce = {address("/ip4/10.9.9.9/tcp/5")};
  auto directory = this->directory();

  EXPECT_EQ(lists(directory), (Lists{{entry("/ip4/10.9.9.9/tcp/5", 1), kOwn}}));
}

TEST_F(BootDirectory, DocumentsAreMadeAnewOnlyWhenSomethingChanged) {
  auto directory = this->directory();
  directory.documents();
  const auto before = directory.generation();
  world_.run_for(10s);
  directory.documents();
  EXPECT_EQ(directory.generation(), before);

  node_.peers = {id(9)};
  directory.documents();
  EXPECT_EQ(directory.generation(), before);  // Not older than refresh_interval.
  world_.run_for(250ms);
  directory.documents();
  EXPECT_EQ(directory.generation(), before + 1);
}

TEST_F(BootDirectory, LongListIsCutToWhatReadersTake) {
  for (int i = 0; i < 20; ++i) {
    const auto url = "http://m" + std::to_string(i) + ".example/status";
    config_.members.push_back(url);
    std::vector<Multiaddr> own;
    for (int port = 1; port <= 20; ++port) {
      own.push_back(entry("/ip4/1.2.3.4/tcp/" + std::to_string(port), 2 + i));
    }
    env_.pages[url + "?check"].body = answer(2 + i, own);
  }
  auto directory = this->directory();
  directory.start();
  world_.run_for(1s);

  EXPECT_EQ(directory.documents().size(), 21U);
  for (const auto& text : directory.documents()) EXPECT_LE(text.size(), kMaxStatusBytes);
  EXPECT_EQ(lists(directory).front().size(), kMaxStatusEntries);
  EXPECT_TRUE(std::get<0>(world_.run(directory.stop())));
}

// The web fails at check 0, 1, 2, …: the list is right again as soon as it does not.
TEST_F(BootDirectory, EndsCleanlyWheneverTheWebFails) {
  config_.members = {kUrlB};
  for (const Errc error : {Errc::timed_out, Errc::closed, Errc::too_large, Errc::not_found}) {
    auto directory = this->directory();
    directory.start();
    env_.pages[kUrlB + "?check"] = {.body = "", .error = error};
    world_.run_for(20s);
    EXPECT_EQ(lists(directory).size(), 1U);
    env_.pages[kUrlB + "?check"] = {.body = answer(2, {kB})};
    world_.run_for(20s);
    EXPECT_EQ(lists(directory).size(), 2U);
    EXPECT_TRUE(std::get<0>(world_.run(directory.stop())));
  }
}

}  // namespace
}  // namespace pyrsia::bootstrap
