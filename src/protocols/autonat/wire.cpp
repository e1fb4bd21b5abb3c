#include "protocols/autonat/wire.hpp"

#include "base/printable.hpp"
#include "protocols/autonat/autonat.pb.h"

#include <cassert>

namespace pyrsia::autonat {
namespace {

Bytes serialize(const pb::Message& message) {
  Bytes bytes(message.ByteSizeLong());
  message.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

Result<pb::Message> parse(BytesView bytes) {
  if (bytes.size() > kMaxReceivedBytes) return Errc::too_large;
  pb::Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Errc::malformed;
  return message;
}

}  // namespace

std::string_view name(Status status) {
  switch (status) {
    case Status::ok: return "OK";
    case Status::dial_error: return "E_DIAL_ERROR";
    case Status::dial_refused: return "E_DIAL_REFUSED";
    case Status::bad_request: return "E_BAD_REQUEST";
    case Status::internal_error: return "E_INTERNAL_ERROR";
  }
  return "";
}

Dial fitting_dial(const PeerId& peer, const std::vector<Multiaddr>& addresses) {
  Dial dial{peer, {}, 0};
  for (const auto& address : addresses) {
    if (dial.addresses.size() == kMaxAddresses) break;
    dial.addresses.push_back(address);
    if (encode(dial).size() > kMaxSentBytes) dial.addresses.pop_back();
  }
  return dial;
}

Bytes encode(const Dial& dial) {
  pb::Message out;
  out.set_type(pb::Message::DIAL);
  auto& peer = *out.mutable_dial()->mutable_peer();
  peer.set_id(dial.peer.bytes().data(), dial.peer.bytes().size());
  for (const auto& address : dial.addresses)
    peer.add_addresses(address.bytes().data(), address.bytes().size());
  return serialize(out);
}

Bytes encode(const DialResponse& response) {
  assert((response.status == Status::ok) == response.address.has_value());
  pb::Message out;
  out.set_type(pb::Message::DIAL_RESPONSE);
  auto& answer = *out.mutable_dial_response();
  answer.set_status(static_cast<pb::Message::Status>(response.status));
  if (!response.text.empty()) answer.set_status_text(response.text.substr(0, kMaxTextBytes));
  if (response.address)
    answer.set_address(response.address->bytes().data(), response.address->bytes().size());
  return serialize(out);
}

Result<Dial> decode_dial(BytesView bytes) {
  PYRSIA_TRY(const auto in, parse(bytes));
  if (!in.has_type() || in.type() != pb::Message::DIAL) return Errc::malformed;
  if (!in.has_dial() || !in.dial().has_peer()) return Errc::malformed;
  PYRSIA_TRY(auto peer, PeerId::from_bytes(as_bytes(in.dial().peer().id())));
  Dial dial{std::move(peer), {}, 0};
  int seen = 0;
  for (const auto& bytes_of_one : in.dial().peer().addresses()) {
    if (seen++ == static_cast<int>(kMaxReceivedAddresses)) break;
    auto address = Multiaddr::from_bytes(as_bytes(bytes_of_one));
    if (address)
      dial.addresses.push_back(*std::move(address));
    else
      ++dial.unparsable_count;
  }
  return dial;
}

Result<DialResponse> decode_response(BytesView bytes) {
  PYRSIA_TRY(const auto in, parse(bytes));
  if (!in.has_type() || in.type() != pb::Message::DIAL_RESPONSE) return Errc::malformed;
  if (!in.has_dial_response() || !in.dial_response().has_status()) return Errc::malformed;
  const auto& answer = in.dial_response();
  DialResponse response;
  response.status = static_cast<Status>(answer.status());
  response.text = printable(answer.status_text().substr(0, kMaxTextBytes));
  if (response.status == Status::ok) {
    PYRSIA_TRY(response.address, Multiaddr::from_bytes(as_bytes(answer.address())));
  }
  return response;
}

}  // namespace pyrsia::autonat
