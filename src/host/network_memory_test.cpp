#include "host/network_memory.hpp"

#include "host/test_scratch.hpp"
#include "sim/world.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace pyrsia::host {
namespace {

const LogSink kNoLog;

NetworkKey key(int number) {
  return {"192.168." + std::to_string(number) + ".1", "02:00:00:00:00:01",
          "192.168." + std::to_string(number) + ".0/24"};
}

KnownNetwork network(int number) {
  KnownNetwork out;
  out.key = key(number);
  out.seen_at = WallTime(std::chrono::seconds(1'767'225'600 + number));
  out.protocol = "pcp";
  out.nonce = "000102030405060708090a0b";
  out.verdict = "reachable";
  out.port_mapping = "endpoint_independent";
  return out;
}

TEST(NetworkMemory, WhatIsWrittenIsReadAgain) {
  const std::vector<KnownNetwork> networks{network(1), network(2)};
  EXPECT_TRUE(read_networks(write_networks(networks)) == networks);
}

TEST(NetworkMemory, EntriesThatAreNoGoodAreLeftOut) {
  const auto read = read_networks(
      R"({"schema":"pyrsia.networks/1","more":1,"networks":[7,{},{"gateway":"1.2.3.4"},)"
      R"({"gateway":5,"hardware_address":"a","prefix":"x"},)"
      R"({"gateway":"10.0.0.1","hardware_address":"a","prefix":"10.0.0.0/8","seen_at":-1},)"
      R"({"gateway":"10.0.0.1","hardware_address":"a","prefix":"10.0.0.0/8","verdict":7},)"
      R"({"gateway":"a\u0007","hardware_address":"a","prefix":"x"},)"
      R"({"gateway":"10.0.0.2","prefix":"10.0.0.0/8"},)"
      R"({"gateway":"10.0.0.1","hardware_address":"a","prefix":"10.0.0.0/8","later":[1],)"
      R"("servers":["a",7]}]})");
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 1U);
  EXPECT_EQ(read->front().key.gateway, "10.0.0.1");
}

TEST(NetworkMemory, SaysInWordsWhatWasTheCaseAndBelievesNoOtherText) {
  EXPECT_EQ(words_of(network(1)),
            "when last in this network: reachable, seen by all peers at one port");
  KnownNetwork bad;
  bad.verdict = bad.port_mapping = "have a nice day";
  EXPECT_EQ(words_of(bad), "");
  bad.port_mapping = "endpoint_dependent";
  EXPECT_EQ(words_of(bad), "when last in this network: seen by each peer at another port");
}

TEST(NetworkMemory, OtherFilesAreRefused) {
  EXPECT_EQ(read_networks("").error(), Errc::malformed);
  EXPECT_EQ(read_networks("[]").error(), Errc::malformed);
  EXPECT_EQ(read_networks(R"({"schema":"other/1","networks":[]})").error(), Errc::malformed);
  EXPECT_EQ(read_networks(R"({"schema":"pyrsia.networks/1","networks":{}})").error(),
            Errc::malformed);
  EXPECT_EQ(read_networks(std::string(kMaxMemoryBytes + 1, ' ')).error(), Errc::too_large);
}

TEST(NetworkMemory, TheNetworkThatWasNotSeenForLongestMakesRoom) {
  sim::World world;
  NetworkMemory memory(world.env(), std::nullopt, Logger("host", kNoLog));
  for (int i = 0; i < static_cast<int>(kMaxNetworks); ++i) memory.at(key(i))->protocol = "pcp";
  EXPECT_EQ(memory.at(key(0))->protocol, "pcp");  // Seen again.
  memory.at(key(200));
  EXPECT_NE(memory.find(key(0)), nullptr);
  EXPECT_EQ(memory.find(key(1)), nullptr);
  EXPECT_EQ(memory.metrics().forgotten.value(), 1U);
}

TEST(NetworkMemory, AnotherRouterWithTheSameNumbersIsAnotherNetwork) {
  sim::World world;
  NetworkMemory memory(world.env(), std::nullopt, Logger("host", kNoLog));
  memory.at(key(1))->protocol = "pcp";
  auto other = key(1);
  other.hardware_address = "02:00:00:00:00:99";
  EXPECT_EQ(memory.find(other), nullptr);
  EXPECT_EQ(memory.at(other)->protocol, "");
  EXPECT_EQ(memory.find(key(1))->protocol, "pcp");
}

TEST(NetworkMemory, ARouterWhoseHardwareAddressIsNotKnownIsNeitherFoundNorKept) {
  sim::World world;
  NetworkMemory memory(world.env(), std::nullopt, Logger("host", kNoLog));
  memory.at(key(1))->protocol = "pcp";
  auto unknown = key(1);
  unknown.hardware_address.clear();
  EXPECT_EQ(memory.find(unknown), nullptr);
  EXPECT_EQ(memory.at(unknown), nullptr);
  EXPECT_EQ(memory.find(key(1))->protocol, "pcp");
}

TEST(NetworkMemory, WithoutAFileNothingIsReadOrWritten) {
  sim::World world;
  NetworkMemory memory(world.env(), std::nullopt, Logger("host", kNoLog));
  EXPECT_TRUE(std::get<0>(world.run(memory.load())));
  memory.at(key(1))->protocol = "pcp";
  EXPECT_TRUE(std::get<0>(world.run(memory.save())));
  EXPECT_EQ(memory.metrics().reads.value(), 0U);
  EXPECT_EQ(memory.metrics().writes.value(), 0U);
  EXPECT_EQ(memory.metrics().write_failures.value(), 0U);
}

TEST(NetworkMemory, ItLastsFromOneStartToTheNextAndIsForItsOwnerOnly) {
  const Scratch scratch;
  const auto file = scratch.path / "deep" / "networks.json";
  sim::World world;
  NetworkMemory first(world.env(), file, Logger("host", kNoLog));
  EXPECT_TRUE(std::get<0>(world.run(first.load())));
  first.at(key(1))->protocol = "upnp";
  EXPECT_TRUE(std::get<0>(world.run(first.save())));
  EXPECT_TRUE(std::get<0>(world.run(first.save())));
  EXPECT_EQ(first.metrics().writes.value(), 1U);
  EXPECT_EQ(std::filesystem::status(file).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  NetworkMemory second(world.env(), file, Logger("host", kNoLog));
  EXPECT_TRUE(std::get<0>(world.run(second.load())));
  ASSERT_NE(second.find(key(1)), nullptr);
  EXPECT_EQ(second.find(key(1))->protocol, "upnp");
}

TEST(NetworkMemory, ASpoiledOrUnwritableFileIsCountedAndHarmless) {
  const Scratch scratch;
  std::ofstream(scratch.path / "networks.json") << "{";
  sim::World world;
  NetworkMemory spoiled(world.env(), scratch.path / "networks.json", Logger("host", kNoLog));
  EXPECT_TRUE(std::get<0>(world.run(spoiled.load())));
  EXPECT_EQ(spoiled.metrics().read_failures.value(), 1U);
  NetworkMemory blocked(world.env(), scratch.path / "networks.json" / "x", Logger("host", kNoLog));
  blocked.at(key(1));
  EXPECT_TRUE(std::get<0>(world.run(blocked.save())));
  EXPECT_EQ(blocked.metrics().write_failures.value(), 1U);
}

TEST(NetworkMemory, TheKeyIsTheRouterAndThePrefix) {
  const Gateway gateway{"eth0", *IpAddress::parse("10.1.2.1"), "02:00:00:00:00:01"};
  EXPECT_EQ(key_of(gateway, {"eth0", *IpAddress::parse("10.1.130.77"), 17}),
            (NetworkKey{"10.1.2.1", "02:00:00:00:00:01", "10.1.128.0/17"}));
  EXPECT_EQ(key_of(gateway, {"eth0", *IpAddress::parse("2a00:1:2:3::4"), 64}).prefix,
            "2a00:1:2:3::/64");
}

}  // namespace
}  // namespace pyrsia::host
