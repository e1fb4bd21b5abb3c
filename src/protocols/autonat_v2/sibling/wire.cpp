#include "protocols/autonat_v2/sibling/wire.hpp"

#include "protocols/autonat_v2/sibling/sibling.pb.h"

#include <algorithm>
#include <limits>

namespace pyrsia::autonat_v2::sibling {
namespace {

template <class T>
Bytes serialize(const T& message) {
  Bytes bytes(message.ByteSizeLong());
  message.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

template <class T>
Result<T> parse(BytesView bytes) {
  if (bytes.size() > kMaxMessageBytes) return Errc::too_large;
  T message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Errc::malformed;
  return message;
}

}  // namespace

std::string_view name(Status status) {
  switch (status) {
    case Status::internal_error: return "E_INTERNAL_ERROR";
    case Status::rejected: return "E_REJECTED";
    case Status::refused: return "E_REFUSED";
    case Status::known_client: return "E_KNOWN_CLIENT";
    case Status::dialed: return "DIALED";
  }
  return "";
}

Bytes encode(const Request& request) {
  pb::Request out;
  out.set_client(request.client.bytes().data(), request.client.bytes().size());
  out.set_address(request.address.bytes().data(), request.address.bytes().size());
  out.set_nonce(request.nonce);
  const auto way = std::chrono::duration_cast<std::chrono::milliseconds>(request.round_trip);
  const auto most = std::numeric_limits<std::uint32_t>::max();
  if (way.count() > 0)
    out.set_round_trip_ms(std::uint32_t(std::min<std::int64_t>(way.count(), most)));
  return serialize(out);
}

Bytes encode(const Response& response) {
  pb::Response out;
  out.set_status(static_cast<int>(response.status));
  out.set_dial_status(static_cast<int>(response.dial_status));
  return serialize(out);
}

Result<Request> decode_request(BytesView bytes) {
  PYRSIA_TRY(const auto in, parse<pb::Request>(bytes));
  PYRSIA_TRY(auto client, PeerId::from_bytes(as_bytes(in.client())));
  PYRSIA_TRY(auto address, Multiaddr::from_bytes(as_bytes(in.address())));
  return Request{std::move(client), std::move(address), in.nonce(),
                 std::chrono::milliseconds(in.round_trip_ms())};
}

Result<Response> decode_response(BytesView bytes) {
  PYRSIA_TRY(const auto in, parse<pb::Response>(bytes));
  for (const auto status :
       {Status::internal_error, Status::rejected, Status::refused, Status::known_client})
    if (static_cast<int>(status) == in.status()) return Response{status};
  if (in.status() != static_cast<int>(Status::dialed)) return Errc::malformed;
  for (const auto dialed : {DialStatus::dial_error, DialStatus::dial_back_error, DialStatus::ok})
    if (static_cast<int>(dialed) == in.dial_status()) return Response{Status::dialed, dialed};
  return Errc::malformed;
}

}  // namespace pyrsia::autonat_v2::sibling
