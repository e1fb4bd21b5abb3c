#include "bootstrap/client/client.hpp"

#include "sim/scripted_web.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

namespace pyrsia::bootstrap {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// Ids of the Ed25519 public keys 00..1f, 01..20 and so on, by their multihash.
PeerId id(int first) {
  Bytes multihash{0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
  for (int i = 0; i < 32; ++i) multihash.push_back(static_cast<std::uint8_t>(first + i));
  return *PeerId::from_bytes(multihash);
}

const std::string kUrl = "http://boot.example/status";
const std::string kUrl2 = "http://boot2.example/status";
const PeerId kSelf = id(100);

std::string entry(const std::string& address, const PeerId& peer) {
  return address + "/p2p/" + peer.to_string();
}

std::string document(const std::vector<std::string>& entries) {
  std::string list;
  for (const auto& text : entries) list += (list.empty() ? "\"" : ",\"") + text + "\"";
  return "{\"peers_count\":1,\"peer_id\":\"\",\"peer_addrs\":[" + list + "]}";
}

class BootstrapClient : public testing::Test {
 protected:
  BootstrapClient() {
    directory_ = fs::path(testing::TempDir()) /
                 ("pyrsia-client-" + std::to_string(::getpid()) + "-" +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(directory_);
    config_.urls = {kUrl};
  }
  ~BootstrapClient() override { fs::remove_all(directory_); }

  Client client() {
    return {env_,
            config_,
            classifier_,
            kSelf,
            Logger("bootstrap", sink_),
            metrics_,
            [this](const BootstrapProgress& progress) { progress_.push_back(progress); }};
  }

  /// The text of the one progress of stage failed; empty if there is none.
  std::string failure() const {
    std::string text;
    for (const auto& progress : progress_) {
      if (progress.stage == BootstrapProgress::Stage::failed) text += progress.text;
    }
    return text;
  }

  /// What one fetch of `body` says has failed.
  std::string failure_of(const std::string& body) {
    progress_.clear();
    env_.pages[kUrl].body = body;
    auto asking = client();
    auto [fetched] = world_.run(asking.fetch());
    EXPECT_EQ(fetched.error(), Errc::malformed);
    EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
    return failure();
  }

  sim::World world_;
  sim::ScriptedWeb env_{world_};
  fs::path directory_;
  ClientConfig config_;
  AddressClassifier classifier_;
  LogSink sink_;
  Metrics metrics_;
  std::vector<BootstrapProgress> progress_;
};

TEST_F(BootstrapClient, WhomAFetchHasSentSomethingToIsTold) {
  env_.pages[kUrl].body = document({entry("/ip4/8.8.8.8/tcp/1", id(2))});
  const std::vector contacted{*IpAddress::parse("9.9.9.1"), *IpAddress::parse("9.9.9.2")};
  env_.pages[kUrl].contacted = contacted;
  auto asking = client();
  std::vector<IpAddress> told;
  asking.set_on_contact([&](const IpAddress& ip) { told.push_back(ip); });
  auto [fetched] = world_.run(asking.fetch());
  EXPECT_TRUE(fetched);
  EXPECT_EQ(told, contacted);
  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
}

TEST_F(BootstrapClient, AllEntriesAreUsedRankedAndMergedByPeer) {
  env_.pages[kUrl].body = document({
      entry("/ip4/127.0.0.1/tcp/1", id(1)),
      entry("/ip4/8.8.8.8/tcp/1", id(2)),
      entry("/ip4/10.0.0.1/tcp/2", id(1)),
      entry("/ip4/9.9.9.9/tcp/1", id(1)),
      entry("/ip4/0.0.0.0/tcp/1", id(3)),
  });
  auto asking = client();

  auto [fetched] = world_.run(asking.fetch());

  ASSERT_TRUE(fetched) << failure();
  ASSERT_EQ(fetched->size(), 2U);
  EXPECT_EQ((*fetched)[0].peer, id(2));
  EXPECT_EQ((*fetched)[1].peer, id(1));
  const std::vector expected{*Multiaddr::parse("/ip4/9.9.9.9/tcp/1"),
                             *Multiaddr::parse("/ip4/127.0.0.1/tcp/1"),
                             *Multiaddr::parse("/ip4/10.0.0.1/tcp/2")};
  EXPECT_EQ((*fetched)[1].addresses, expected);
  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
}

TEST_F(BootstrapClient, ConfirmedAddressesComeFirst) {
  const auto plain = entry("/ip4/8.8.8.8/tcp/1", id(1));
  const auto confirmed = entry("/ip4/9.9.9.9/tcp/1", id(2));
  auto body = document({plain, confirmed});
  body.insert(body.size() - 1, ",\"confirmed\":[\"" + confirmed + "\"]");
  env_.pages[kUrl].body = body;
  auto asking = client();

  auto [fetched] = world_.run(asking.fetch());

  ASSERT_TRUE(fetched);
  EXPECT_EQ(fetched->front().peer, id(2));
  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
}

TEST_F(BootstrapClient, AnHttpStatusDoesNotMatterIfTheBodyIsGood) {
  env_.pages[kUrl].body = document({entry("/ip4/8.8.8.8/tcp/1", id(1))});
  env_.pages[kUrl].status = 503;
  auto asking = client();

  EXPECT_TRUE(std::get<0>(world_.run(asking.fetch())));
  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
}

TEST_F(BootstrapClient, EachBadDocumentIsNamedWithItsUrl) {
  const auto prefix = "Could not read status from " + kUrl + ": ";
  EXPECT_EQ(failure_of("<html>"), prefix + "it is not JSON (at byte 0 of 6)");
  EXPECT_EQ(failure_of("{}"), prefix +
                                  "did not receive an array of peer_addrs in JSON: there is no "
                                  "field peer_addrs");
  EXPECT_EQ(failure_of(document({entry("/ip4/8.8.8.8/tcp/1", kSelf)})),
            prefix + "every entry of peer_addrs has our own peer id");
  EXPECT_EQ(failure_of(document({entry("/ip4/0.0.0.0/tcp/1", id(1))})),
            prefix + "no entry of peer_addrs has an address that can be used");
  env_.pages[kUrl].status = 404;
  EXPECT_EQ(failure_of("x"), prefix + "it is not JSON (at byte 0 of 1) (HTTP status 404)");
}

TEST_F(BootstrapClient, OwnEntryIsPassedOver) {
  env_.pages[kUrl].body =
      document({entry("/ip4/8.8.8.8/tcp/1", kSelf), entry("/ip4/9.9.9.9/tcp/1", id(1))});
  auto asking = client();

  auto [fetched] = world_.run(asking.fetch());

  ASSERT_TRUE(fetched);
  EXPECT_EQ(fetched->size(), 1U);
  EXPECT_EQ(metrics_.skipped_entries.value(), 1U);
  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
}

TEST_F(BootstrapClient, FailuresOfTheWebAreTold) {
  const auto prefix = "Could not read status from " + kUrl + ": ";
  const std::vector<std::tuple<Errc, std::string, std::string>> cases{
      {Errc::refused, "", "connection refused"},
      {Errc::refused, "could not connect", "connection refused"},
      {Errc::network_failed, "the certificate has expired", "the certificate has expired"},
      {Errc::limit_reached, "", "too many redirects"},
      {Errc::too_large, "aborted", "the answer is over the limit of 65536 bytes"},
      {Errc::not_found, "", "the host name does not exist"},
      {Errc::closed, "", "the server closed the connection before it answered"},
      {Errc::invalid_argument, "", "not a URL of http or https"}};
  for (const auto& [error, detail, expected] : cases) {
    progress_.clear();
    env_.pages[kUrl].error = error;
    env_.pages[kUrl].detail = detail;
    auto asking = client();
    auto [fetched] = world_.run(asking.fetch());
    EXPECT_EQ(fetched.error(), error);
    EXPECT_EQ(failure(), prefix + expected);
    EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
  }
}

TEST_F(BootstrapClient, SilentServerCostsTheTimeoutAndNoMore) {
  env_.pages[kUrl].delay = 24h;
  auto asking = client();

  auto [fetched] = world_.run(asking.fetch());

  EXPECT_EQ(fetched.error(), Errc::timed_out);
  EXPECT_EQ(world_.now(), TimePoint(10s));
  EXPECT_EQ(failure(), "Could not read status from " + kUrl + ": no complete answer within 10 s");
  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
}

TEST_F(BootstrapClient, SlowUrlDoesNotHoldUpAGoodOne) {
  config_.urls = {kUrl2, kUrl};
  env_.pages[kUrl] = {100ms, document({entry("/ip4/8.8.8.8/tcp/1", id(1))})};
  env_.pages[kUrl2] = {3s, document({entry("/ip4/9.9.9.9/tcp/1", id(2))})};
  auto asking = client();

  auto [first] = world_.run(asking.fetch());

  ASSERT_TRUE(first);
  EXPECT_EQ(world_.now(), TimePoint(600ms));
  EXPECT_EQ(first->size(), 1U);
  world_.run_for(5s);
  auto [second] = world_.run(asking.fetch());  // What came late counts now.
  ASSERT_TRUE(second);
  EXPECT_EQ(second->size(), 2U);
  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
}

TEST_F(BootstrapClient, OneGoodUrlIsEnough) {
  config_.urls = {kUrl2, kUrl};
  env_.pages[kUrl].body = document({entry("/ip4/8.8.8.8/tcp/1", id(1))});
  env_.pages[kUrl2].error = Errc::refused;
  auto asking = client();

  EXPECT_TRUE(std::get<0>(world_.run(asking.fetch())));
  EXPECT_EQ(metrics_.failures.value(), 1U);
  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
}

TEST_F(BootstrapClient, WithoutUrlNothingIsAsked) {
  config_.urls.clear();
  auto asking = client();

  EXPECT_EQ(std::get<0>(world_.run(asking.fetch())).error(), Errc::unavailable);
  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
}

TEST_F(BootstrapClient, StopEndsAFetchOfTheBackground) {
  config_.urls = {kUrl, kUrl2};
  env_.pages[kUrl].body = document({entry("/ip4/8.8.8.8/tcp/1", id(1))});
  env_.pages[kUrl2].delay = 9s;
  auto asking = client();
  ASSERT_TRUE(std::get<0>(world_.run(asking.fetch())));

  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
  EXPECT_EQ(world_.now(), TimePoint(500ms));
}

TEST_F(BootstrapClient, DelaysDoubleWithinTheirBounds) {
  auto asking = client();
  Duration bound = 2s;
  for (int round = 0; round < 40; ++round) {
    const auto delay = asking.next_delay();
    EXPECT_GE(delay, std::max<Duration>(1s, bound / 2));
    EXPECT_LE(delay, bound);
    bound = std::min<Duration>(bound * 2, 5min);
  }
  asking.joined();
  EXPECT_LE(asking.next_delay(), 2s);
}

TEST_F(BootstrapClient, AnswersOutliveTheProcess) {
  config_.cache_file = directory_ / "new/cache.json";
  env_.pages[kUrl].body = document({entry("/ip4/8.8.8.8/tcp/1", id(1))});
  auto before = client();
  ASSERT_TRUE(std::get<0>(world_.run(before.fetch())));
  ASSERT_TRUE(std::get<0>(world_.run(before.stop())));

  auto after = client();
  auto [cached] = world_.run(after.cached());

  ASSERT_TRUE(cached);
  EXPECT_EQ(cached->front().peer, id(1));
  struct stat info{};
  ASSERT_EQ(::stat(config_.cache_file->c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  world_.run_for(24h * 8);
  EXPECT_EQ(std::get<0>(world_.run(after.cached())).error(), Errc::not_found);
  EXPECT_TRUE(std::get<0>(world_.run(after.stop())));
}

TEST_F(BootstrapClient, TheCacheRemembersWhatWorked) {
  config_.cache_file = directory_ / "cache.json";
  env_.pages[kUrl].body =
      document({entry("/ip4/8.8.8.8/tcp/1", id(1)), entry("/ip4/9.9.9.9/tcp/1", id(2))});
  auto before = client();
  ASSERT_TRUE(std::get<0>(world_.run(before.fetch())));

  before.confirm(id(2), *Multiaddr::parse("/ip4/9.9.9.9/tcp/1"));
  before.confirm(id(2), *Multiaddr::parse("/ip4/9.9.9.9/tcp/2"));  // Not of the document.

  ASSERT_TRUE(std::get<0>(world_.run(before.stop())));
  auto after = client();
  auto [cached] = world_.run(after.cached());
  ASSERT_TRUE(cached);
  EXPECT_EQ(cached->front().peer, id(2));
  EXPECT_EQ(cached->front().addresses.size(), 1U);
  // A new document is taken in the order of its server, which spreads its clients by it.
  auto [fetched] = world_.run(after.fetch());
  ASSERT_TRUE(fetched);
  EXPECT_EQ(fetched->front().peer, id(1));
  EXPECT_TRUE(std::get<0>(world_.run(after.stop())));
}

TEST_F(BootstrapClient, DamagedCacheIsAsNone) {
  config_.cache_file = directory_ / "cache.json";
  auto asking = client();
  EXPECT_EQ(std::get<0>(world_.run(asking.cached())).error(), Errc::not_found);
  EXPECT_EQ(metrics_.cache_failures.value(), 0U);
  for (const std::string text :
       {"", "{", "[]", "{\"schema\":\"other/1\",\"documents\":[]}",
        R"({"schema":"pyrsia.bootstrap/1","documents":[7,{"url":"x"}]})"}) {
    std::ofstream(*config_.cache_file) << text;
    EXPECT_EQ(std::get<0>(world_.run(asking.cached())).error(), Errc::not_found) << text;
  }
  EXPECT_EQ(metrics_.cache_failures.value(), 4U);
  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
}

TEST_F(BootstrapClient, FullDiskCostsTheCacheOnly) {
  config_.cache_file = "/dev/full/cache.json";  // Not a directory: cannot be written either.
  env_.pages[kUrl].body = document({entry("/ip4/8.8.8.8/tcp/1", id(1))});
  auto asking = client();

  EXPECT_TRUE(std::get<0>(world_.run(asking.fetch())));

  EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
  EXPECT_EQ(metrics_.cache_failures.value(), 1U);
}

TEST_F(BootstrapClient, FailedReplacementLeavesTheOldFile) {
  const auto file = directory_ / "cache.json";
  ASSERT_TRUE(replace_file(file, "old"));
  fs::create_directory(directory_ / "taken");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit few{2, before.rlim_max};
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);

  ::setrlimit(RLIMIT_FSIZE, &few);  // Two bytes of it are written, as on a disk that gets full.
  const auto replaced = replace_file(file, "new");
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);

  EXPECT_FALSE(replaced);
  EXPECT_FALSE(replace_file(directory_ / "taken", "new"));  // A directory cannot be replaced.
  EXPECT_EQ(*load_file(file), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 2);  // No temporary is left.
}

// The web fails at request 0, 1, 2, … until none fails: always an answer, and always an end.
TEST_F(BootstrapClient, EndsCleanlyWhicheverUrlFails) {
  config_.urls = {kUrl, kUrl2};
  for (const Errc error : {Errc::timed_out, Errc::closed, Errc::refused, Errc::malformed}) {
    for (int failing = 0; failing < 4; ++failing) {
      int bit = 0;
      for (const auto& url : config_.urls) {
        const bool is_bad = (failing >> bit++ & 1) != 0;
        env_.pages[url] = {1ms * bit, document({entry("/ip4/8.8.8.8/tcp/1", id(bit))})};
        if (is_bad) env_.pages[url].error = error;
      }
      auto asking = client();
      auto [fetched] = world_.run(asking.fetch());
      EXPECT_EQ(fetched.has_value(), failing != 3) << failing;
      if (!fetched) {
        EXPECT_EQ(fetched.error(), error);
      }
      EXPECT_TRUE(std::get<0>(world_.run(asking.stop())));
    }
  }
}

}  // namespace
}  // namespace pyrsia::bootstrap
