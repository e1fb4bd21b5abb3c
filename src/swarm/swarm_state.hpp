#pragma once

#include "swarm/dialer.hpp"
#include "swarm/listeners.hpp"
#include "swarm/streams.hpp"
#include "swarm/swarm.hpp"

namespace pyrsia::swarm {

/// The parts of a swarm, oldest first: each uses only those before it.
struct Swarm::State {
  State(Env& env, const KeyPair& key, const Config& config, const AddressClassifier& classifier,
        Logger log);

  Task<> tick_for_ever();

  Shared shared;
  Notifier notifier;
  Connections connections;
  Streams streams;
  Listeners listeners;
  Dialer dialer;
  std::size_t calls = 0;  ///< Tasks inside connect() or open_stream(); stop() waits for them.
  bool is_stopping = false;
  Event calls_ended;
  TaskGroup tasks;
};

}  // namespace pyrsia::swarm
