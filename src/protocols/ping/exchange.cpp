#include "protocols/ping/exchange.hpp"

#include <array>

namespace pyrsia::ping {

using Payload = std::array<std::uint8_t, kPayloadBytes>;

Task<Duration> ask(Env& env, Stream& stream) {
  Payload sent;
  env.random(sent);
  const auto sent_at = env.now();
  PYRSIA_CO_TRY(co_await stream.write_all(sent));
  Payload received;
  PYRSIA_CO_TRY(co_await read_exactly(stream, received));
  if (received != sent) co_return Errc::protocol_violation;
  co_return env.now() - sent_at;
}

Task<bool> echo(Stream& stream) {
  Payload payload;
  PYRSIA_CO_TRY(const auto first, co_await stream.read_some(payload));
  if (first == 0) co_return false;
  const auto rest = std::span(payload).subspan(first);
  PYRSIA_CO_TRY(co_await read_exactly(stream, rest));
  // Not before all 32 bytes are here: some peers read the answer as one frame.
  PYRSIA_CO_TRY(co_await stream.write_all(payload));
  co_return true;
}

}  // namespace pyrsia::ping
