#include "sim_resident.hpp"

#include "runtime/timeout.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pyrsia::test {
namespace {

using namespace std::chrono_literals;
using sim::Dependence;

const std::string kEcho = "/town/echo/1";

const sim::PortForward* forward_to(const sim::NatConfig& box, const Endpoint& inner) {
  const auto found = std::ranges::find(box.forwards, inner, &sim::PortForward::inner);
  return found == box.forwards.end() ? nullptr : &*found;
}

}  // namespace

Truth truth_of(const IpAddress& ip, const std::vector<Box>& boxes) {
  Truth truth{true, false};
  std::optional<Endpoint> inner = Endpoint{ip, SimNode::kPort};
  for (const auto& [nat, box] : boxes) {
    if (const auto* forward = inner ? forward_to(box, *inner) : nullptr) {
      if (!box.external.empty()) inner = Endpoint{box.external.front(), forward->external_port};
      continue;
    }
    if (!box.external.empty()) inner.reset();
    if (box.filtering == Dependence::address_and_port_dependent) return {false, true};
    const bool is_clear = box.filtering == Dependence::endpoint_independent &&
                          box.mapping == Dependence::endpoint_independent;
    if (!is_clear) truth.may_be_unreachable = true;
  }
  return truth;
}

Resident::Resident(sim::SimHost& machine, std::vector<Box> boxes, std::uint8_t number,
                   Config config, bootstrap::DirectoryConfig directory)
    : machine_(machine),
      boxes_(std::move(boxes)),
      number_(number),
      config_(std::move(config)),
      directory_(std::move(directory)),
      peer_(key_of(number).peer_id()),
      tasks_(machine) {}

Task<> Resident::start() {
  machine_.restart();
  node_ = std::make_unique<SimNode>(machine_, number_, config_, directory_);
  node_->host().on(kEcho, [this](const PeerId&, std::unique_ptr<Stream> stream) {
    return echo(std::move(stream));
  });
  PYRSIA_CO_TRY(co_await node_->start());
  tasks_.spawn(live());
  co_return ok;
}

Task<> Resident::stop() {
  tasks_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.join());
  co_return co_await node_->stop();
}

Task<> Resident::live() {
  for (;;) {
    const auto pause = 10s + Duration(std::int64_t(machine_.random_below(40'000'000'000)));
    PYRSIA_CO_TRY(co_await machine_.sleep_for(pause));
    if (friends_.empty()) continue;
    const auto* other = friends_[machine_.random_below(friends_.size())];
    const auto peer = other->peer();
    std::vector<Multiaddr> addresses;
    for (const auto& ip : other->machine_.addresses())
      addresses.push_back(Multiaddr::tcp({ip, SimNode::kPort}));
    auto visiting = visit(peer, std::move(addresses));
    const auto visited = co_await with_timeout(machine_, 30s, std::move(visiting));
    if (!visited && visited.error() == Errc::cancelled) co_return visited.error();
    visit_count_ += visited ? 1 : 0;
  }
}

Task<> Resident::visit(PeerId peer, std::vector<Multiaddr> addresses) {
  PYRSIA_CO_TRY(co_await node_->host().connect(peer, std::move(addresses)));
  PYRSIA_CO_TRY(const auto stream, co_await node_->host().open_stream(peer, kEcho));
  Bytes question(1 + machine_.random_below(20'000));
  machine_.random(question);
  PYRSIA_CO_TRY(co_await stream->write_all(question));
  PYRSIA_CO_TRY(co_await stream->close_write());
  Bytes answer(question.size());
  PYRSIA_CO_TRY(co_await read_exactly(*stream, answer));
  EXPECT_TRUE(answer == question);
  PYRSIA_CO_TRY(co_await node_->host().ping(peer));
  co_return ok;
}

Task<> Resident::echo(std::unique_ptr<Stream> stream) {
  co_return co_await with_timeout(machine_, 1min, echo_all(*stream));
}

Task<> Resident::echo_all(Stream& stream) {
  Bytes bytes(4096);
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
    if (count == 0) co_return co_await stream.close_write();
    PYRSIA_CO_TRY(co_await stream.write_all(std::span(bytes).first(count)));
  }
}

}  // namespace pyrsia::test
