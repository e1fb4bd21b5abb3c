#include "transport/quic/test_peers.hpp"

#include <cstdlib>

using namespace pyrsia;
using namespace pyrsia::transport;

namespace {

constexpr std::size_t kMaxDatagrams = 32;
constexpr std::size_t kLongIdOffset = 6;
constexpr std::size_t kShortIdOffset = 1;

/// Takes the first packet of a dial; returns the connection id that the client gave itself.
Task<Bytes> first_packet_id(UdpSocket& socket, Endpoint& client) {
  PYRSIA_CO_TRY(const auto batch, co_await socket.receive_batch());
  const auto packet = batch[0].bytes;
  client = batch[0].from;
  const std::size_t at = kLongIdOffset + packet[kLongIdOffset - 1] + 1;
  co_return Bytes(packet.begin() + std::ptrdiff_t(at),
                  packet.begin() + std::ptrdiff_t(at + packet[at - 1]));
}

Task<Connection> dial(quic::Peers& peers) {
  const auto remote = quic::address("/ip4/5.6.7.8/udp/777/quic-v1");
  co_return co_await peers.a.dial(remote, quic::test_key(2).peer_id(), DialOptions());
}

/// Each datagram: one byte of choice, two of length, the bytes. Choice: bit 0 to the client (else
/// to the listener), bit 1 with the client's connection id where a header has it, bit 2 filled up
/// to the size of a first packet.
Task<> answer(quic::Peers& peers, UdpSocket& socket, BytesView input) {
  Endpoint client;
  PYRSIA_CO_TRY(const auto id, co_await first_packet_id(socket, client));
  for (std::size_t i = 0; i < kMaxDatagrams && input.size() > 3; ++i) {
    const auto choice = input[0];
    const auto wanted = std::size_t(input[1]) << 8 | input[2];
    input = input.subspan(3);
    const auto taken = input.first(std::min(wanted, input.size()));
    input = input.subspan(taken.size());
    Bytes bytes(taken.begin(), taken.end());
    if ((choice & 4) != 0 && bytes.size() < 1200) bytes.resize(1200);
    const bool is_long = !bytes.empty() && (bytes[0] & 0x80) != 0;
    const auto at = is_long ? kLongIdOffset : kShortIdOffset;
    if ((choice & 2) != 0 && bytes.size() >= at + id.size())
      std::copy(id.begin(), id.end(), bytes.begin() + std::ptrdiff_t(at));
    const auto to = (choice & 1) != 0 ? client : sim::at("5.6.7.8", 4001);
    if (bytes.size() <= kMaxDatagramBytes) PYRSIA_CO_TRY(socket.send(to, bytes));
    PYRSIA_CO_TRY(co_await peers.host_b.sleep_for(std::chrono::milliseconds(1)));
  }
  co_return ok;
}

}  // namespace

// Any datagrams to a listener, and to a client that waits for an answer: no handshake succeeds, all
// end, and nothing is left.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  quic::Peers peers;
  peers.world.set_run_limit(std::chrono::minutes(10));
  const auto socket = peers.host_b.udp_bind(sim::at("5.6.7.8", 777)).value();
  auto [dialed, answered] =
      peers.world.run(dial(peers), answer(peers, *socket, BytesView(data, size)));
  if (dialed || dialed.error() == Errc::deadlock || !answered) std::abort();
  peers.world.run_for(std::chrono::seconds(40));
  if (peers.b.half_open_count() != 0) std::abort();
  return 0;
}
