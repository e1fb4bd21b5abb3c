#include "bootstrap/directory/status_service.hpp"

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

Multiaddr address_of(int peer) {
  return *Multiaddr::parse("/ip4/8.8.8." + std::to_string(peer) + "/tcp/44000");
}

class Node final : public LocalNode {
 public:
  PeerId peer_id() const override { return id(1); }
  std::vector<Multiaddr> listen_addresses() const override { return {address_of(1)}; }
  std::vector<Multiaddr> advertised_addresses() const override { return {address_of(1)}; }
  std::vector<PeerId> connected_peers() const override { return peers; }

  std::vector<PeerId> peers;
};

class StatusServiceTest : public testing::Test {
 protected:
  /// Two other members, which answer.
  DirectoryConfig two_members() {
    DirectoryConfig config;
    for (int peer = 2; peer <= 3; ++peer) {
      const auto url = "http://m" + std::to_string(peer) + ".example/status";
      config.members.push_back(url);
      StatusDocument document;
      document.peer_id = id(peer);
      document.peer_addrs = {address_of(peer).with_peer(id(peer))};
      env_.pages[url + "?check"].body = write_status(document);
    }
    return config;
  }

  http::Response ask(const http::Router& router, const std::string& method,
                     const std::string& path) {
    http::Request request;
    request.method = method;
    request.path = path;
    auto [response] = world_.run(router.handle(request));
    return *response;
  }

  /// Which member is at the head of one answer.
  int head_of_list(const http::Router& router) {
    const auto response = ask(router, "GET", "/status");
    const std::string bytes = response.prebuilt ? response.prebuilt->bytes : "";
    std::vector<std::string> problems;
    const auto document =
        read_status(bytes.substr(std::min(bytes.size(), response.prebuilt->head_bytes)), problems);
    if (!document) return 0;
    for (int peer = 1; peer <= 3; ++peer) {
      if (document->peer_addrs[0].peer_id() == id(peer)) return peer;
    }
    return 0;
  }

  sim::World world_;
  sim::ScriptedWeb env_{world_};
  AddressClassifier classifier_;
  Node node_;
  LogSink sink_;
  DirectoryMetrics metrics_;
  Directory directory_{env_,    two_members(), classifier_, node_, Logger("directory", sink_),
                       metrics_};
};

TEST_F(StatusServiceTest, GoesRoundTheHealthyMembers) {
  StatusService service(directory_, node_, nullptr);
  http::Router router;
  service.mount(router);
  directory_.start();
  world_.run_for(1s);

  std::vector<int> heads;
  for (int i = 0; i < 7; ++i) heads.push_back(head_of_list(router));

  EXPECT_EQ(heads, (std::vector{1, 2, 3, 1, 2, 3, 1}));
  EXPECT_TRUE(std::get<0>(world_.run(directory_.stop())));
}

TEST_F(StatusServiceTest, HealthChecksUseUpNoTurn) {
  StatusService service(directory_, node_, nullptr);
  http::Router router;
  service.mount(router);
  directory_.start();
  world_.run_for(1s);
  http::Request check;
  check.method = "GET";
  check.path = "/status";
  check.query["check"] = "";

  EXPECT_EQ(head_of_list(router), 1);
  EXPECT_TRUE(std::get<0>(world_.run(router.handle(check))));
  EXPECT_EQ(head_of_list(router), 2);
  EXPECT_TRUE(std::get<0>(world_.run(directory_.stop())));
}

TEST_F(StatusServiceTest, ResponseIsMadeOnceUntilTheListChanges) {
  StatusService service(directory_, node_, nullptr);
  http::Router router;
  service.mount(router);

  const auto first = ask(router, "GET", "/status").prebuilt;
  const auto second = ask(router, "GET", "/status").prebuilt;
  node_.peers = {id(9)};
  world_.run_for(1s);
  const auto third = ask(router, "GET", "/status").prebuilt;

  EXPECT_EQ(first, second);
  EXPECT_NE(first, third);
  EXPECT_NE(third->bytes.find("{\"peers_count\":1,\"peer_id\":\""), std::string::npos);
  EXPECT_NE(third->bytes.find("Content-Type: application/json\r\n"), std::string::npos);
}

TEST_F(StatusServiceTest, PeersAreAnArrayOfIds) {
  StatusService service(directory_, node_, nullptr);
  http::Router router;
  service.mount(router);
  EXPECT_EQ(ask(router, "GET", "/peers").body, "[]");
  node_.peers = {id(4), id(5)};

  const auto response = ask(router, "GET", "/peers");

  EXPECT_EQ(response.body, "[\"" + id(4).to_string() + "\",\"" + id(5).to_string() + "\"]");
  EXPECT_EQ(response.content_type, "application/json");
}

TEST_F(StatusServiceTest, MetricsAreInThePrometheusFormat) {
  StatusService service(directory_, node_, [] {
    return std::map<std::string, std::uint64_t>{{"pyrsia_peers", 3}, {"pyrsia_dials_total", 7}};
  });
  http::Router router;
  service.mount(router);

  EXPECT_EQ(ask(router, "GET", "/metrics").body,
            "# TYPE pyrsia_dials_total counter\npyrsia_dials_total 7\n"
            "# TYPE pyrsia_peers gauge\npyrsia_peers 3\n");
}

TEST_F(StatusServiceTest, OtherPathsAndMethodsGetTheErrorEnvelope) {
  StatusService service(directory_, node_, nullptr);
  http::Router router;
  service.mount(router);

  EXPECT_EQ(ask(router, "GET", "/nowhere").status, 404);
  EXPECT_EQ(ask(router, "GET", "/nowhere").body.find("{\"errors\":[{\"code\":"), 0U);
  EXPECT_EQ(ask(router, "POST", "/status").status, 405);
}

}  // namespace
}  // namespace pyrsia::bootstrap
