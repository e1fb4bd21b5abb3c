#pragma once

#include "node.hpp"

#include <pyrsia/multiaddr.hpp>

namespace pyrsia::bench {

struct Load {
  Multiaddr to;                 ///< Ends in /p2p.
  std::vector<Multiaddr> also;  ///< Dialed with `to`: nobody is there.
  Multiaddr listen;             ///< Of our side, where one is needed.
  std::string security = "/noise";
  int at_once = 1;
  Duration duration = std::chrono::seconds(5);
};

/// Bytes through so many streams of one connection.
Task<> throughput(Env& env, Load load);
/// The same the other way.
Task<> download(Env& env, Load load);
/// The time from a dial to the first byte on a stream, by so many peers one after another; `also`
/// are addresses of the same peer, as far as it knows.
Task<> first_byte(Env& env, Load load);
/// Connections, each with its identify, by so many peers at once.
Task<> setup(Env& env, Load load);
/// So many connections of as many peers that do nothing: the server's memory and CPU.
Task<> idle(Env& env, Load load);
/// AutoNAT v1 requests by so many peers at once.
Task<> autonat(Env& env, Load load);

}  // namespace pyrsia::bench
