#include "protocols/nat_facts/exchange.hpp"

#include "wire/finish.hpp"
#include "wire/frame.hpp"

namespace pyrsia::nat_facts {

Task<nat::Report> ask(Stream& stream) {
  PYRSIA_CO_TRY(co_await stream.close_write());
  PYRSIA_CO_TRY(const auto bytes, co_await wire::read_frame(stream, kMaxMessageBytes));
  co_return decode(bytes);
}

Task<> answer(Stream& stream, const nat::Report& report) {
  const auto bytes = encode(report);
  PYRSIA_CO_TRY(co_await wire::write_frame(stream, bytes));
  co_return co_await wire::finish(stream);
}

}  // namespace pyrsia::nat_facts
