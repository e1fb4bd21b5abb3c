#include "protocols/autonat_v2/sibling/exchange.hpp"

#include "wire/finish.hpp"
#include "wire/frame.hpp"

namespace pyrsia::autonat_v2::sibling {

Task<Response> request(Stream& stream, Request request) {
  const auto bytes = encode(request);
  PYRSIA_CO_TRY(co_await wire::write_frame(stream, bytes));
  PYRSIA_CO_TRY(co_await stream.close_write());
  PYRSIA_CO_TRY(const auto answer, co_await wire::read_frame(stream, kMaxMessageBytes));
  co_return decode_response(answer);
}

Task<Request> receive_request(Stream& stream) {
  PYRSIA_CO_TRY(const auto bytes, co_await wire::read_frame(stream, kMaxMessageBytes));
  co_return decode_request(bytes);
}

Task<> respond(Stream& stream, Response response) {
  const auto bytes = encode(response);
  PYRSIA_CO_TRY(co_await wire::write_frame(stream, bytes));
  co_return co_await wire::finish(stream);
}

}  // namespace pyrsia::autonat_v2::sibling
