// What real programs behind kernel NATs have written down is told again: the same verdicts must
// come of it, and none that is not the truth. The data is made by tests/lab/record_evidence.py.
#include "host/reachability_record.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

namespace pyrsia::host {
namespace {

namespace fs = std::filesystem;
using Outcome = DialBack::Outcome;

struct Recording {
  std::string name;
  std::string text;     ///< NAME.evidence
  std::string verdict;  ///< NAME.verdict
  std::string truth;    ///< The first line of that, after "truth: ".

  std::vector<RecordedInput> inputs() const {
    std::vector<RecordedInput> out;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line == kRecordHeader) continue;
      auto input = from_line(line);
      EXPECT_TRUE(input) << name << ": " << line;
      if (input) out.push_back(*std::move(input));
    }
    return out;
  }
  /// What must be told one after another. "open, which nobody can tell": nothing.
  std::vector<Reachability> wanted() const {
    if (truth == "open") return {Reachability::reachable};
    if (truth == "closed") return {Reachability::unreachable};
    if (truth == "closed, then open") return {Reachability::unreachable, Reachability::reachable};
    if (truth == "open, then closed") return {Reachability::reachable, Reachability::unreachable};
    EXPECT_EQ(truth, "open, which nobody can tell") << name;
    return {};
  }
};

std::string content(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<Recording> recordings() {
  std::vector<Recording> out;
  for (const auto& entry : fs::directory_iterator(PYRSIA_EVIDENCE_DIR)) {
    auto file = entry.path();
    if (file.extension() != ".evidence") continue;
    Recording one{file.stem().string(), content(file), {}, {}};
    one.verdict = content(file.replace_extension(".verdict"));
    constexpr std::string_view kTruth = "truth: ";
    EXPECT_TRUE(one.verdict.starts_with(kTruth)) << one.name;
    one.truth = one.verdict.substr(0, one.verdict.find('\n')).substr(kTruth.size());
    out.push_back(std::move(one));
  }
  EXPECT_GE(out.size(), 15U);
  std::ranges::sort(out, {}, &Recording::name);
  return out;
}

Replay told(const Recording& recording, const std::vector<RecordedInput>& inputs) {
  std::string text(kRecordHeader);
  for (const auto& input : inputs) text += "\n" + to_line(input);
  std::size_t bad_line = 0;
  auto out = replay(text, &bad_line);
  EXPECT_TRUE(out) << recording.name << ", line " << bad_line;
  return out ? *std::move(out) : Replay();
}

/// As record_evidence.py writes it.
std::string verdict_text(const std::string& truth, const Replay& replayed) {
  std::ostringstream out;
  out << "truth: " << truth << "\n";
  for (const auto& [at, change] : replayed.changes)
    out << name(change.old_status) << " -> " << name(change.new_status) << ": " << change.reason
        << "\n";
  const auto line = [&](const std::string& who, const auto& verdict) {
    out << who << " " << name(verdict.status) << (verdict.is_confirmed ? ", confirmed" : "") << ": "
        << verdict.reason << "\n";
  };
  line("node", replayed.report);
  for (const auto& one : replayed.report.addresses) line(one.address.to_string(), one);
  return out.str();
}

/// What was told one after another; not to know is to tell nothing.
std::vector<Reachability> told_statuses(const Replay& replayed) {
  std::vector<Reachability> out;
  for (const auto& [at, change] : replayed.changes) {
    const auto now = change.new_status;
    if (now != Reachability::unknown && (out.empty() || out.back() != now)) out.push_back(now);
  }
  return out;
}

TEST(RecordedEvidence, ComesToTheSameVerdictsForTheSameReasons) {
  for (const auto& recording : recordings()) {
    const auto replayed = replay(recording.text, nullptr);
    ASSERT_TRUE(replayed) << recording.name;
    EXPECT_EQ(verdict_text(recording.truth, *replayed), recording.verdict) << recording.name;
  }
}

TEST(RecordedEvidence, ComesToTheTruthWithoutAFlip) {
  for (const auto& recording : recordings()) {
    const auto replayed = told(recording, recording.inputs());
    EXPECT_EQ(told_statuses(replayed), recording.wanted()) << recording.name;
  }
}

TEST(RecordedEvidence, ToBeToldOfTheTimeChangesNothing) {
  for (const auto& recording : recordings()) {
    std::vector<RecordedInput> inputs;
    for (const auto& input : recording.inputs()) {
      inputs.push_back(input);
      inputs.push_back({input.at, TimePassed()});
    }
    const auto replayed = told(recording, inputs);
    EXPECT_EQ(verdict_text(recording.truth, replayed), recording.verdict) << recording.name;
  }
}

// One server more, of a network of its own, says the contrary of whatever another has said. That it
// was let in it can only show where we had written to it.
TEST(RecordedEvidence, OneLiarTurnsNoVerdict) {
  std::size_t lies = 0;
  for (const auto& recording : recordings()) {
    std::vector<RecordedInput> inputs;
    for (auto input : recording.inputs()) {
      inputs.push_back(input);
      auto* said = std::get_if<DialBack>(&input.input);
      if (!said || said->outcome == Outcome::no_evidence) continue;
      // On an address of our own who got in is believed, as a firewall tells ports apart (ADR 20,
      // 4): who was kept out has nothing to show there.
      if (said->outcome == Outcome::not_reached && recording.name == "firewall") continue;
      ++lies;
      said->server_ip = IpAddress::v4({1, 99, 7, 10});
      const bool is_reached = said->outcome == Outcome::reached;
      said->outcome = is_reached ? Outcome::not_reached : Outcome::reached;
      said->dialed_from = is_reached ? std::nullopt : said->server_ip;
      said->is_from_known_ip = true;
      inputs.push_back(input);
    }
    EXPECT_EQ(told_statuses(told(recording, inputs)), recording.wanted()) << recording.name;
  }
  EXPECT_GT(lies, 50U);
}

TEST(RecordedEvidence, WithoutAnyOneOfTheServersNoVerdictIsWrong) {
  for (const auto& recording : recordings()) {
    const auto all = recording.inputs();
    std::set<PeerId> servers;
    for (const auto& input : all)
      if (const auto* said = std::get_if<DialBack>(&input.input)) servers.insert(said->server);
    for (const auto& silent : servers) {
      auto inputs = all;
      std::erase_if(inputs, [&](const RecordedInput& input) {
        const auto* said = std::get_if<DialBack>(&input.input);
        return said && said->server == silent;
      });
      const auto found = told_statuses(told(recording, inputs));
      auto wanted = recording.wanted();
      ASSERT_LE(found.size(), wanted.size()) << recording.name;
      wanted.resize(found.size());  // With two left a change may stay unnoticed.
      EXPECT_EQ(found, wanted) << recording.name;
    }
  }
}

}  // namespace
}  // namespace pyrsia::host
