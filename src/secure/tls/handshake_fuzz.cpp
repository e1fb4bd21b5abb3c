#include "secure/tls/handshake.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"

#include <array>

using namespace pyrsia;

namespace {

const secure::tls::Identity& identity() {
  static const secure::tls::Identity kIdentity = [] {
    const std::array<std::uint8_t, 32> seed{7};
    std::vector<std::string> muxers(1, "/yamux/1.0.0");
    return secure::tls::Identity(KeyPair::from_seed(seed), std::move(muxers));
  }();
  return kIdentity;
}

Task<> feed(Stream& stream, BytesView bytes) {
  PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  co_return co_await stream.close_write();
}

}  // namespace

// Any bytes from the peer in the handshake of either side.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  sim::World world;
  auto& env = world.env();
  const sim::PipeConfig config{.max_read_bytes = data[0] * 16U + 1};
  auto [a, b] = sim::make_pipe(env, config);
  const auto role = data[1] % 2 == 0 ? Role::initiator : Role::responder;
  world.run(feed(*a, BytesView(data + 2, size - 2)),
            secure::tls::handshake(env, std::move(b), role, identity(), std::nullopt));
  return 0;
}
