#pragma once

#include "multi/address_class.hpp"
#include "runtime/env.hpp"
#include "swarm/config.hpp"
#include "swarm/dial_request.hpp"
#include "swarm/peer_store.hpp"
#include "transport/transport.hpp"

#include <pyrsia/key.hpp>
#include <pyrsia/log.hpp>

#include <memory>
#include <vector>

namespace pyrsia::swarm {

/// What the parts of a swarm share. Owned by the swarm, older than they.
struct Shared {
  Env& env;
  KeyPair key;
  PeerId local_peer;
  Config config;
  const AddressClassifier& classifier;
  Logger log;
  std::vector<std::unique_ptr<transport::Transport>> transports;
  Synthesis synthesis;  ///< May be empty.
  PeerStore peer_store;
  Metrics metrics;
};

}  // namespace pyrsia::swarm
