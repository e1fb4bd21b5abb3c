#include "sim/pipe.hpp"
#include "sim/world.hpp"
#include "transport/ws/stream.hpp"
#include "transport/ws/upgrade.hpp"

#include <cstdlib>

using namespace pyrsia;
using namespace pyrsia::transport;

namespace {

Task<> feed(Stream& stream, BytesView bytes) {
  PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  co_return co_await stream.close_write();
}

Task<> drain(Stream& stream) {
  Bytes buffer(4096);
  for (;;) {
    PYRSIA_CO_TRY(const auto read, co_await stream.read_some(buffer));
    if (read == 0) co_return ok;
  }
}

}  // namespace

// Any bytes as heads and as frames, for either side.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const BytesView bytes(data + 2, size - 2);
  (void)ws::read_request(as_text(bytes));
  (void)ws::check_response(as_text(bytes), "dGhlIHNhbXBsZSBub25jZQ==");
  const auto sender = data[1] % 2 == 0 ? Role::initiator : Role::responder;
  if (const auto wanted = ws::header_size(bytes); wanted <= bytes.size()) {
    const auto header = ws::decode_header(bytes.first(wanted), sender);
    if (header && ws::encode_header(*header) != Bytes(bytes.begin(), bytes.begin() + wanted))
      std::abort();
  }
  sim::World world;
  auto& env = world.env();
  const sim::PipeConfig config{.max_read_bytes = data[0] * 16U + 1};
  auto [a, b] = sim::make_pipe(env, config);
  ws::WebSocket socket(env, std::move(b),
                       sender == Role::initiator ? Role::responder : Role::initiator);
  world.run(feed(*a, bytes), drain(socket));
  return 0;
}
