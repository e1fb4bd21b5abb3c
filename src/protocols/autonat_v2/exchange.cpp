#include "protocols/autonat_v2/exchange.hpp"

#include "wire/finish.hpp"
#include "wire/frame.hpp"

#include <algorithm>

namespace pyrsia::autonat_v2 {
namespace {

Task<Message> read_message(Stream& stream) {
  PYRSIA_CO_TRY(const auto bytes, co_await wire::read_frame(stream, kMaxReceivedBytes));
  co_return decode(bytes);
}

Task<> write_message(Stream& stream, Message message) {
  const auto bytes = encode(message);
  co_return co_await wire::write_frame(stream, bytes);
}

Task<> pay(Stream& stream, std::uint64_t byte_count, std::uint64_t& paid_bytes) {
  const DialDataResponse whole{kDialDataChunkBytes};
  const auto chunk = encode(whole);  // Made once: all but the last are the same.
  auto left = byte_count;
  for (; left > kDialDataChunkBytes; left -= kDialDataChunkBytes) {
    PYRSIA_CO_TRY(co_await wire::write_frame(stream, chunk));
    paid_bytes += kDialDataChunkBytes;
  }
  const DialDataResponse last{left};
  PYRSIA_CO_TRY(co_await write_message(stream, last));
  paid_bytes += left;
  co_return ok;
}

Task<DialResponse> exchange(Stream& stream, DialRequest request, std::uint64_t max_dial_data_bytes,
                            std::uint64_t& paid_bytes) {
  const auto count = request.addresses.size();
  PYRSIA_CO_TRY(co_await write_message(stream, std::move(request)));
  PYRSIA_CO_TRY(auto answer, co_await read_message(stream));
  if (const auto* price = std::get_if<DialDataRequest>(&answer)) {
    if (price->address_index >= count) co_return Errc::protocol_violation;
    const auto bytes = price->byte_count;
    if (bytes < kMinDialDataBytes || bytes > max_dial_data_bytes) co_return Errc::refused;
    PYRSIA_CO_TRY(co_await pay(stream, bytes, paid_bytes));
    PYRSIA_CO_TRY(answer, co_await read_message(stream));
  }
  const auto* response = std::get_if<DialResponse>(&answer);
  if (!response) co_return Errc::protocol_violation;
  if (response->status == ResponseStatus::ok && response->address_index >= count)
    co_return Errc::protocol_violation;
  // The answer is here: whether the server still hears of our end changes nothing.
  static_cast<void>(co_await stream.close_write());
  co_return *response;
}

}  // namespace

Task<DialResponse> request(Stream& stream, DialRequest request, std::uint64_t max_dial_data_bytes,
                           std::uint64_t& paid_bytes) {
  const auto response =
      co_await exchange(stream, std::move(request), max_dial_data_bytes, paid_bytes);
  if (!response) stream.reset();
  co_return response;
}

Task<DialRequest> receive_request(Stream& stream) {
  PYRSIA_CO_TRY(auto message, co_await read_message(stream));
  auto* request = std::get_if<DialRequest>(&message);
  if (!request) co_return Errc::malformed;
  co_return std::move(*request);
}

Task<> collect_dial_data(Stream& stream, DialDataRequest request) {
  PYRSIA_CO_TRY(co_await write_message(stream, request));
  for (auto left = request.byte_count; left > 0;) {
    PYRSIA_CO_TRY(const auto message, co_await read_message(stream));
    const auto* data = std::get_if<DialDataResponse>(&message);
    if (!data) co_return Errc::protocol_violation;
    left -= std::min<std::uint64_t>(left, data->byte_count);
    if (left > 0 && data->byte_count < kMinDialDataChunkBytes) co_return Errc::protocol_violation;
  }
  co_return ok;
}

Task<> respond(Stream& stream, DialResponse response) {
  PYRSIA_CO_TRY(co_await write_message(stream, response));
  co_return co_await wire::finish(stream);
}

Task<> send_nonce(Stream& stream, std::uint64_t nonce) {
  const auto bytes = encode_dial_back(nonce);
  PYRSIA_CO_TRY(co_await wire::write_frame(stream, bytes));
  std::uint8_t answer = 0;
  const std::span<std::uint8_t> out(&answer, 1);
  PYRSIA_CO_TRY(co_await stream.read_some(out));
  co_return co_await stream.close_write();
}

Task<std::uint64_t> receive_nonce(Stream& stream) {
  PYRSIA_CO_TRY(const auto bytes, co_await wire::read_frame(stream, kMaxDialBackBytes));
  co_return decode_dial_back(bytes);
}

Task<> confirm_nonce(Stream& stream) {
  const auto bytes = encode_dial_back_response();
  PYRSIA_CO_TRY(co_await wire::write_frame(stream, bytes));
  co_return co_await wire::finish(stream);
}

}  // namespace pyrsia::autonat_v2
