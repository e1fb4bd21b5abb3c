#include "sim/world.hpp"

#include "runtime/cancellation.hpp"
#include "sim/bare_env.hpp"

#include <cstdlib>
#include <numeric>

namespace pyrsia::sim {

World::World(std::uint64_t seed)
    : seed_(seed), random_(seed), env_(std::make_unique<BareEnv>(*this)) {}

World::~World() = default;

std::mt19937_64 World::random_stream(std::uint64_t stream) const {
  // SplitMix64 of both numbers, so that neighbours have nothing in common.
  auto mixed = seed_ * 0x9e3779b97f4a7c15 + stream + 1;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return std::mt19937_64(mixed ^ (mixed >> 31));
}

void World::run_for(Duration duration) {
  const auto end = now_ + duration;
  drain();
  while (advance(end)) {
  }
  now_ = end;
}

void World::set_describer(const void* owner, std::function<std::string()> describe) {
  if (describe) {
    describers_[owner] = std::move(describe);
  } else {
    describers_.erase(owner);
  }
}

void World::probe(std::string_view name) {
  const auto found = probes_.find(name);
  if (found != probes_.end()) {
    ++found->second;
  } else {
    probes_.emplace(name, 1);
  }
}

std::uint64_t World::probe_count(std::string_view name) const {
  const auto found = probes_.find(name);
  return found == probes_.end() ? 0 : found->second;
}

void World::rethrow_unless_cancelled(const std::exception_ptr& thrown) {
  if (!is_cancellation(thrown)) std::rethrow_exception(thrown);  // A bug: stop the test.
}

void World::report_deadlock(std::size_t waiting_count, std::size_t task_count) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  deadlock_report_ = std::to_string(waiting_count) + " of " + std::to_string(task_count) +
                     " tasks wait at " +
                     std::to_string(Milliseconds(now_.time_since_epoch()).count()) + " ms, seed " +
                     std::to_string(seed_) + "; " +
                     (timers_.next() ? "the run limit has passed" : "no timer is left") + "\n";
  for (const auto& [owner, describe] : describers_) deadlock_report_ += describe();
}

void World::drain() {
  io_.restart();
  io_.poll();
}

bool World::advance(TimePoint deadline) {
  const auto next = timers_.next();
  if (!next || *next > deadline) return false;
  now_ = std::max(now_, *next);
  timers_.expire_one(now_);
  drain();
  return true;
}

std::vector<std::uint64_t> seeds(std::size_t count) {
  if (const char* chosen = std::getenv("PYRSIA_SEED")) return {std::strtoull(chosen, nullptr, 10)};
  std::vector<std::uint64_t> all(count);
  std::iota(all.begin(), all.end(), 1);
  return all;
}

std::string seed_trace(std::uint64_t seed) {
  return "PYRSIA_SEED=" + std::to_string(seed) + " repeats this run";
}

}  // namespace pyrsia::sim
