#include "sim/pipe.hpp"
#include "sim/world.hpp"
#include "wire/multistream.hpp"

#include <pyrsia/task.hpp>

using namespace pyrsia;

namespace {

bool is_short(std::string_view protocol) {
  return protocol.size() < 4;
}

Task<> feed(Stream& stream, BytesView bytes) {
  PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  co_return co_await stream.close_write();
}

Task<> drain(Stream& stream) {
  std::array<std::uint8_t, 512> bytes;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
    if (count == 0) co_return ok;
  }
}

}  // namespace

// Any bytes from the peer, to either side: nothing crashes, and everybody comes to an end.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  sim::World world;
  const sim::PipeConfig config{.max_read_bytes = data[0] % 8U + 1};
  auto [a, b] = sim::make_pipe(world.env(), config);
  const BytesView bytes(data + 2, size - 2);
  const std::vector<std::string> protocols = {"/a", "/b"};
  if (data[1] % 3 == 0) {
    world.run(feed(*a, bytes), wire::answer(*b, is_short, protocols));
  } else if (data[1] % 3 == 1) {
    world.run(feed(*a, bytes), wire::propose(*b, protocols));
  } else {
    const auto lazy = wire::propose_lazily(std::move(b), "/a");
    world.run(feed(*a, bytes), drain(*lazy));
  }
  return 0;
}
