#include "protocols/autonat/exchange.hpp"

#include "wire/finish.hpp"
#include "wire/frame.hpp"

namespace pyrsia::autonat {

Task<DialResponse> request(Stream& stream, Dial dial) {
  const auto bytes = encode(dial);
  PYRSIA_CO_TRY(co_await wire::write_frame(stream, bytes));
  PYRSIA_CO_TRY(co_await stream.close_write());
  PYRSIA_CO_TRY(const auto answer, co_await wire::read_frame(stream, kMaxReceivedBytes));
  co_return decode_response(answer);
}

Task<Dial> receive_request(Stream& stream) {
  PYRSIA_CO_TRY(const auto bytes, co_await wire::read_frame(stream, kMaxReceivedBytes));
  co_return decode_dial(bytes);
}

Task<> respond(Stream& stream, DialResponse response) {
  const auto bytes = encode(response);
  PYRSIA_CO_TRY(co_await wire::write_frame(stream, bytes));
  co_return co_await wire::finish(stream);
}

}  // namespace pyrsia::autonat
