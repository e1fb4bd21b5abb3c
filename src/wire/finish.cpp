#include "wire/finish.hpp"

#include <array>

namespace pyrsia::wire {

Task<> finish(Stream& stream) {
  PYRSIA_CO_TRY(co_await stream.close_write());
  std::array<std::uint8_t, 64> dropped;
  for (std::size_t total = 0; total <= kMaxDrainBytes;) {
    PYRSIA_CO_TRY(const auto read, co_await stream.read_some(dropped));
    if (read == 0) co_return ok;
    total += read;
  }
  co_return Errc::protocol_violation;
}

}  // namespace pyrsia::wire
