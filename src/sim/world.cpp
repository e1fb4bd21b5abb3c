#include "sim/world.hpp"

#include "sim/bare_env.hpp"

namespace pyrsia::sim {

World::World(std::uint64_t seed) : random_(seed), env_(std::make_unique<BareEnv>(*this)) {}

World::~World() = default;

void World::run_for(Duration duration) {
  const auto end = now_ + duration;
  drain();
  while (timers_.next() && *timers_.next() <= end) advance();
  now_ = end;
}

void World::drain() {
  io_.restart();
  io_.poll();
}

bool World::advance() {
  const auto next = timers_.next();
  if (!next) return false;
  now_ = std::max(now_, *next);
  timers_.expire_one(now_);
  drain();
  return true;
}

}  // namespace pyrsia::sim
