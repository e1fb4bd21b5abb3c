#include "sim/pipe.hpp"
#include "sim/world.hpp"
#include "wire/frame.hpp"

#include <cstdlib>

using namespace pyrsia;

namespace {

constexpr std::size_t kMaxBytes = 300;

Task<> feed(Stream& stream, BytesView bytes) {
  PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  co_return co_await stream.close_write();
}

}  // namespace

// What is read has a legal size and, written again, is what was sent.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sim::World world;
  auto [a, b] = sim::make_pipe(world.env(), {});
  const BytesView bytes(data, size);
  auto [fed, message] = world.run(feed(*a, bytes), wire::read_frame(*b, kMaxBytes));
  if (!message) return 0;
  if (message->size() > kMaxBytes) std::abort();
  auto [c, d] = sim::make_pipe(world.env(), {});
  Bytes again(message->size() + (message->size() < 128 ? 1 : 2));
  auto [written, read] = world.run(wire::write_frame(*c, *message), read_exactly(*d, again));
  if (!written || !read || !std::equal(again.begin(), again.end(), data)) std::abort();
  return 0;
}
