#include "bootstrap/status/document.hpp"

#include <gtest/gtest.h>

namespace pyrsia::bootstrap {
namespace {

constexpr std::string_view kId = "12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A";
const std::string kAddress = "/ip4/104.198.178.107/tcp/44000/p2p/" + std::string(kId);

std::string document_with(const std::string& entries) {
  return R"({"peers_count":3,"peer_id":")" + std::string(kId) + R"(","peer_addrs":)" + entries +
         "}";
}

/// The last problem of a text that cannot be read; "" if it can.
std::string failure_of(std::string_view text) {
  std::vector<std::string> problems;
  const auto read = read_status(text, problems);
  if (read) return "";
  EXPECT_EQ(read.error(), Errc::malformed);
  return problems.empty() ? "no line at all" : problems.back();
}

TEST(StatusDocument, WrittenAsTheOriginalWritesIt) {
  StatusDocument document;
  document.peers_count = 3;
  document.peer_id = *PeerId::parse(kId);
  document.peer_addrs.push_back(*Multiaddr::parse(kAddress));

  EXPECT_EQ(write_status(document), document_with("[\"" + kAddress + "\"]"));
}

TEST(StatusDocument, ReadsWhatItWrites) {
  StatusDocument document;
  document.peers_count = 7;
  document.peer_id = *PeerId::parse(kId);
  document.peer_addrs = {*Multiaddr::parse(kAddress),
                         *Multiaddr::parse("/dns4/a.example/tcp/1/p2p/" + std::string(kId))};
  document.confirmed = {document.peer_addrs[1]};
  std::vector<std::string> problems;

  const auto read = read_status(write_status(document), problems);

  ASSERT_TRUE(read) << problems.back();
  EXPECT_EQ(*read, document);
  EXPECT_TRUE(problems.empty());
}

TEST(StatusDocument, OtherFieldsMayBeAbsentWrongOrUnknown) {
  for (const std::string rest :
       {"", R"(,"peers_count":-1,"peer_id":7)", R"(,"peers_count":"x","peer_id":"x","new":[{}])",
        R"(,"confirmed":[1,"/ip4/1.2.3.4/tcp/1"],"peers_count":1.5)"}) {
    std::vector<std::string> problems;
    const auto read = read_status(R"({"peer_addrs":[")" + kAddress + "\"]" + rest + "}", problems);
    ASSERT_TRUE(read) << rest;
    EXPECT_EQ(read->peer_addrs.size(), 1U);
    EXPECT_EQ(read->peers_count, 0U);
    EXPECT_FALSE(read->peer_id);
    EXPECT_TRUE(read->confirmed.empty());
    EXPECT_TRUE(problems.empty());
  }
}

TEST(StatusDocument, EachFailureIsToldApart) {
  const std::string no_array = "did not receive an array of peer_addrs in JSON: ";
  EXPECT_EQ(failure_of(""), "it is not JSON (the body is empty)");
  EXPECT_EQ(failure_of("<html>"), "it is not JSON (at byte 0 of 6)");
  EXPECT_EQ(failure_of(R"({"peer_addrs":[)"), "it is not JSON (at byte 15 of 15)");
  EXPECT_EQ(failure_of(document_with("[]") + "x").substr(0, 14), "it is not JSON");
  EXPECT_EQ(failure_of("[1]"), no_array + "the document is an array, not an object");
  EXPECT_EQ(failure_of("7"), no_array + "the document is a number, not an object");
  EXPECT_EQ(failure_of("{}"), no_array + "there is no field peer_addrs");
  EXPECT_EQ(failure_of(document_with("\"x\"")), no_array + "peer_addrs is a string");
  EXPECT_EQ(failure_of(document_with("null")), no_array + "peer_addrs is null");
  EXPECT_EQ(failure_of(document_with("[]")),
            "did not receive a valid array of peer_addrs in JSON: it is empty");
  EXPECT_EQ(failure_of(document_with(R"([""])")), "peer_addrs[0] is empty");
  EXPECT_EQ(failure_of(document_with("[7]")), "peer_addrs[0] is a number, not a string");
  EXPECT_EQ(failure_of(document_with("[\"foo\"]")), "peer_addrs[0] \"foo\" is not a multiaddr");
  EXPECT_EQ(failure_of(document_with("[\"/ip4/1.2.3.4/tcp/1\"]")),
            "peer_addrs[0] \"/ip4/1.2.3.4/tcp/1\" has no peer id at its end: expected /p2p/<id>");
  EXPECT_EQ(failure_of(document_with("[\"/ip4/1.2.3.4/tcp/1/p2p/QmZ\"]")),
            "peer_addrs[0] \"/ip4/1.2.3.4/tcp/1/p2p/QmZ\" ends in an invalid hash for a peer id "
            "after /p2p");
  EXPECT_EQ(failure_of(document_with("[\"/p2p/" + std::string(kId) + "\"]")),
            "peer_addrs[0] \"/p2p/" + std::string(kId) + "\" has no address before /p2p");
  EXPECT_EQ(failure_of(document_with("[1,null]")),
            "none of the 2 entries of peer_addrs can be used; the first: peer_addrs[0] is a "
            "number, not a string");
}

TEST(StatusDocument, BadEntriesCostOnlyThemselves) {
  std::vector<std::string> problems;

  const auto read =
      read_status(document_with("[\"\",\"" + kAddress + "\",{},\"" + kAddress + "\"]"), problems);

  ASSERT_TRUE(read);
  EXPECT_EQ(read->peer_addrs, std::vector{*Multiaddr::parse(kAddress)});
  const std::vector<std::string> expected{"peer_addrs[0] is empty",
                                          "peer_addrs[2] is an object, not a string"};
  EXPECT_EQ(problems, expected);
}

TEST(StatusDocument, DoubledPeerIdOfOldPeersIsOne) {
  std::vector<std::string> problems;

  const auto read =
      read_status(document_with("[\"" + kAddress + "/p2p/" + std::string(kId) + "\"]"), problems);

  ASSERT_TRUE(read);
  EXPECT_EQ(read->peer_addrs[0].to_string(), kAddress);
}

TEST(StatusDocument, OnlySoManyEntriesAreUsed) {
  std::string entries;
  for (int port = 1; port <= 300; ++port) {
    entries += (port > 1 ? ",\"" : "[\"") + std::string("/ip4/1.2.3.4/tcp/") +
               std::to_string(port) + "/p2p/" + std::string(kId) + "\"";
  }
  std::vector<std::string> problems;

  const auto read = read_status(document_with(entries + "]"), problems);

  ASSERT_TRUE(read);
  EXPECT_EQ(read->peer_addrs.size(), kMaxStatusEntries);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0], "peer_addrs has 300 entries: only the first 256 are used");
}

TEST(StatusDocument, TooLongOrTooDeepIsRefused) {
  std::vector<std::string> problems;
  EXPECT_EQ(read_status(std::string(kMaxStatusBytes + 1, ' '), problems).error(), Errc::too_large);
  EXPECT_EQ(read_status(std::string(kMaxStatusBytes, '['), problems).error(), Errc::malformed);
}

TEST(StatusDocument, QuotedTextCannotForgeALogLine) {
  EXPECT_EQ(in_quotes("a\nb\"\xff"), "\"a\\x0ab\\x22\\xff\"");
  EXPECT_EQ(in_quotes(std::string(100, 'x')), "\"" + std::string(80, 'x') + "...\"");
}

}  // namespace
}  // namespace pyrsia::bootstrap
