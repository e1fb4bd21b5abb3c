#include "protocols/autonat_v2/wire.hpp"

#include "protocols/autonat_v2/autonat_v2.pb.h"

#include <cassert>

namespace pyrsia::autonat_v2 {
namespace {

template <class T>
Bytes serialize(const T& message) {
  Bytes bytes(message.ByteSizeLong());
  message.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

template <class T>
Result<T> parse(BytesView bytes, std::size_t max_bytes) {
  if (bytes.size() > max_bytes) return Errc::too_large;
  T message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Errc::malformed;
  return message;
}

Result<ResponseStatus> response_status(int number) {
  for (const auto status : {ResponseStatus::internal_error, ResponseStatus::request_rejected,
                            ResponseStatus::dial_refused, ResponseStatus::ok})
    if (static_cast<int>(status) == number) return status;
  return Errc::malformed;
}

Result<DialStatus> dial_status(int number) {
  for (const auto status :
       {DialStatus::unused, DialStatus::dial_error, DialStatus::dial_back_error, DialStatus::ok})
    if (static_cast<int>(status) == number) return status;
  return Errc::malformed;
}

/// Fills a pb::Message. Zero values are not set, so that they are not written.
struct Encoder {
  pb::Message& out;

  void operator()(const DialRequest& request) const {
    auto& to = *out.mutable_dial_request();
    for (const auto& address : request.addresses)
      to.add_addresses(address.bytes().data(), address.bytes().size());
    if (request.nonce != 0) to.set_nonce(request.nonce);
  }
  void operator()(const DialResponse& response) const {
    auto& to = *out.mutable_dial_response();
    if (const auto status = static_cast<int>(response.status)) to.set_status(status);
    if (response.address_index != 0) to.set_address_index(response.address_index);
    if (const auto status = static_cast<int>(response.dial_status)) to.set_dial_status(status);
  }
  void operator()(const DialDataRequest& request) const {
    auto& to = *out.mutable_dial_data_request();
    if (request.address_index != 0) to.set_address_index(request.address_index);
    if (request.byte_count != 0) to.set_byte_count(request.byte_count);
  }
  void operator()(const DialDataResponse& response) const {
    assert(response.byte_count <= kMaxReceivedBytes);
    auto& to = *out.mutable_dial_data_response();
    if (response.byte_count != 0) to.set_data(std::string(response.byte_count, '\0'));
  }
};

DialRequest request_of(const pb::DialRequest& in) {
  DialRequest request;
  for (const auto& bytes : in.addresses()) {
    if (request.addresses.size() == kMaxConsideredAddresses) break;
    auto address = Multiaddr::from_bytes(as_bytes(bytes));
    request.addresses.push_back(address ? *std::move(address) : Multiaddr());
  }
  request.nonce = in.nonce();
  return request;
}

Result<Message> response_of(const pb::DialResponse& in) {
  DialResponse response;
  PYRSIA_TRY(response.status, response_status(in.status()));
  // Beside another status the two are meaningless, whatever stands there.
  if (response.status != ResponseStatus::ok) return Message(response);
  response.address_index = in.address_index();
  PYRSIA_TRY(response.dial_status, dial_status(in.dial_status()));
  return Message(response);
}

}  // namespace

std::string_view name(ResponseStatus status) {
  switch (status) {
    case ResponseStatus::internal_error: return "E_INTERNAL_ERROR";
    case ResponseStatus::request_rejected: return "E_REQUEST_REJECTED";
    case ResponseStatus::dial_refused: return "E_DIAL_REFUSED";
    case ResponseStatus::ok: return "OK";
  }
  return "";
}

std::string_view name(DialStatus status) {
  switch (status) {
    case DialStatus::unused: return "UNUSED";
    case DialStatus::dial_error: return "E_DIAL_ERROR";
    case DialStatus::dial_back_error: return "E_DIAL_BACK_ERROR";
    case DialStatus::ok: return "OK";
  }
  return "";
}

DialRequest fitting_request(const std::vector<Multiaddr>& addresses, std::uint64_t nonce) {
  DialRequest request{{}, nonce};
  for (const auto& address : addresses) {
    if (request.addresses.size() == kMaxAddresses) break;
    request.addresses.push_back(address);
    if (encode(request).size() > kMaxSentBytes) request.addresses.pop_back();
  }
  return request;
}

Bytes encode(const Message& message) {
  pb::Message out;
  std::visit(Encoder{out}, message);
  return serialize(out);
}

Result<Message> decode(BytesView bytes) {
  PYRSIA_TRY(const auto in, parse<pb::Message>(bytes, kMaxReceivedBytes));
  switch (in.msg_case()) {
    case pb::Message::kDialRequest: return Message(request_of(in.dial_request()));
    case pb::Message::kDialResponse: return response_of(in.dial_response());
    case pb::Message::kDialDataRequest:
      return Message(DialDataRequest{in.dial_data_request().address_index(),
                                     in.dial_data_request().byte_count()});
    case pb::Message::kDialDataResponse:
      return Message(DialDataResponse{in.dial_data_response().data().size()});
    case pb::Message::MSG_NOT_SET: break;
  }
  return Errc::malformed;
}

Bytes encode_dial_back(std::uint64_t nonce) {
  pb::DialBack out;
  if (nonce != 0) out.set_nonce(nonce);
  return serialize(out);
}

Result<std::uint64_t> decode_dial_back(BytesView bytes) {
  PYRSIA_TRY(const auto in, parse<pb::DialBack>(bytes, kMaxDialBackBytes));
  return in.nonce();
}

Bytes encode_dial_back_response() {
  return serialize(pb::DialBackResponse());
}

}  // namespace pyrsia::autonat_v2
