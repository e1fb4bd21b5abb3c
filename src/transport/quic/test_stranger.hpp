/// For tests: packets of nobody.
#pragma once

#include "transport/quic/test_peers.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace pyrsia::transport::quic {

/// Sends what it likes to B's port.
struct Stranger {
  explicit Stranger(Peers& p)
      : peers(p), socket(p.host_a.udp_bind(sim::at("1.2.3.4", 999)).value()) {}

  void send(BytesView bytes) { EXPECT_TRUE(socket->send(sim::at("5.6.7.8", 4001), bytes)); }
  /// All that comes back within a second.
  std::vector<Bytes> answers() {
    std::vector<Bytes> out;
    peers.world.run(collect(out));
    return out;
  }
  Task<> collect(std::vector<Bytes>& out) {
    for (;;) {
      auto receiving = socket->receive_batch();
      PYRSIA_CO_TRY(const auto batch,
                    co_await with_timeout(peers.host_a, Duration(std::chrono::seconds(1)),
                                          std::move(receiving)));
      for (const auto& datagram : batch)
        out.emplace_back(datagram.bytes.begin(), datagram.bytes.end());
    }
  }

  Peers& peers;
  std::unique_ptr<UdpSocket> socket;
};

/// The first packets of so many dials, as they are on the wire.
inline std::vector<Bytes> first_packets(Peers& peers, std::size_t count) {
  std::vector<Bytes> packets;
  struct Catch {
    static Task<Bytes> one(UdpSocket& from) {
      PYRSIA_CO_TRY(const auto batch, co_await from.receive_batch());
      co_return Bytes(batch[0].bytes.begin(), batch[0].bytes.end());
    }
    static Task<Connection> dial(Peers& all) {
      const auto remote = address("/ip4/5.6.7.8/udp/777/quic-v1");
      auto dialing = all.a.dial(remote, test_key(2).peer_id(), DialOptions());
      co_return co_await with_timeout(all.host_a, Duration(std::chrono::milliseconds(100)),
                                      std::move(dialing));
    }
  };
  while (packets.size() < count) {
    const auto socket = peers.host_b.udp_bind(sim::at("5.6.7.8", 777)).value();
    auto [dialed, caught] = peers.world.run(Catch::dial(peers), Catch::one(*socket));
    packets.push_back(caught.value());
    peers.world.run_for(std::chrono::milliseconds(100));  // Its farewell is not for the next one.
  }
  return packets;
}

}  // namespace pyrsia::transport::quic
