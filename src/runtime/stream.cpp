#include <pyrsia/stream.hpp>

namespace pyrsia {

Task<> read_exactly(Stream& stream, std::span<std::uint8_t> out) {
  while (!out.empty()) {
    PYRSIA_CO_TRY(const auto read, co_await stream.read_some(out));
    if (read == 0) co_return Errc::closed;
    out = out.subspan(read);
  }
  co_return ok;
}

}  // namespace pyrsia
