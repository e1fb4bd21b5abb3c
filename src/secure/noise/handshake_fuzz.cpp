#include "secure/noise/channel.hpp"
#include "secure/noise/handshake.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"

using namespace pyrsia;

namespace {

KeyPair key() {
  const std::array<std::uint8_t, 32> seed{7};
  return KeyPair::from_seed(seed);
}

Task<> feed(Stream& stream, BytesView bytes) {
  PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  co_return co_await stream.close_write();
}

Task<> drain(secure::Channel& channel) {
  for (;;) PYRSIA_CO_TRY(co_await channel.read());
}

}  // namespace

// Any bytes from the peer, in the handshake of either side and after it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  sim::World world;
  auto& env = world.env();
  const sim::PipeConfig config{.max_read_bytes = data[0] * 16U + 1};
  auto [a, b] = sim::make_pipe(env, config);
  const BytesView bytes(data + 2, size - 2);
  if (data[1] % 3 == 2) {
    const std::array<std::uint8_t, 32> zero{};
    secure::noise::NoiseChannel channel(std::move(b), zero, zero);
    world.run(feed(*a, bytes), drain(channel));
    return 0;
  }
  const secure::noise::Identity identity(env, key(), {"/yamux/1.0.0"});
  const auto role = data[1] % 3 == 0 ? Role::initiator : Role::responder;
  world.run(feed(*a, bytes),
            secure::noise::handshake(env, std::move(b), role, identity, std::nullopt));
  return 0;
}
