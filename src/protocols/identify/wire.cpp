#include "protocols/identify/wire.hpp"

#include "protocols/identify/identify.pb.h"

#include <algorithm>

namespace pyrsia::identify {
namespace {

/// Takes one message with its length off the front of `stream`.
/// Errors: `Errc::closed` if the stream is cut short.
Result<BytesView> take_message(BytesView& stream) {
  std::size_t length = 0;
  std::size_t at = 0;
  for (int shift = 0;; shift += 7, ++at) {
    if (at == stream.size()) return Errc::closed;
    const auto byte = stream[at];
    if (shift > 21) return Errc::too_large;
    length |= std::size_t(byte & 0x7f) << shift;
    if (length > kMaxMessageBytes) return Errc::too_large;
    if (byte == 0 && shift > 0) return Errc::malformed;
    if (byte < 0x80) break;
  }
  stream = stream.subspan(at + 1);
  if (stream.size() < length) return Errc::closed;
  const auto message = stream.first(length);
  stream = stream.subspan(length);
  return message;
}

Bytes to_bytes(const std::string& text) {
  return Bytes(text.begin(), text.end());
}

std::string cut(const std::string& text) {
  return text.substr(0, kMaxTextBytes);
}

Message to_message(const pb::Identify& in) {
  Message out;
  if (in.has_public_key()) out.public_key = to_bytes(in.public_key());
  for (const auto& address : in.listen_addresses()) {
    if (out.listen_addresses.size() == kMaxAddresses) break;
    out.listen_addresses.push_back(to_bytes(address));
  }
  for (const auto& protocol : in.protocols()) {
    if (out.protocols.size() == kMaxProtocols) break;
    if (protocol.size() <= kMaxTextBytes) out.protocols.push_back(protocol);
  }
  if (in.has_observed_address()) out.observed_address = to_bytes(in.observed_address());
  if (in.has_protocol_version()) out.protocol_version = cut(in.protocol_version());
  if (in.has_agent_version()) out.agent_version = cut(in.agent_version());
  if (in.has_signed_peer_record()) out.signed_peer_record = to_bytes(in.signed_peer_record());
  return out;
}

}  // namespace

Bytes encode(const Message& message) {
  pb::Identify out;
  const auto set = [](const auto& value, std::string* field) {
    field->assign(value->begin(), value->end());
  };
  if (message.public_key) set(message.public_key, out.mutable_public_key());
  for (const auto& address : message.listen_addresses)
    out.add_listen_addresses(address.data(), address.size());
  for (const auto& protocol : message.protocols) out.add_protocols(protocol);
  if (message.observed_address) set(message.observed_address, out.mutable_observed_address());
  if (message.protocol_version) set(message.protocol_version, out.mutable_protocol_version());
  if (message.agent_version) set(message.agent_version, out.mutable_agent_version());
  if (message.signed_peer_record) set(message.signed_peer_record, out.mutable_signed_peer_record());
  Bytes bytes(out.ByteSizeLong());
  out.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

Message fit(Message message, std::size_t max_bytes) {
  while (encode(message).size() > max_bytes) {
    if (message.signed_peer_record) {
      message.signed_peer_record.reset();
    } else if (!message.listen_addresses.empty()) {
      message.listen_addresses.pop_back();
    } else if (!message.protocols.empty()) {
      message.protocols.pop_back();
    } else {
      break;  // What is left is bounded by its makers: a key, a version, an endpoint.
    }
  }
  return message;
}

Result<Message> decode(BytesView stream) {
  if (stream.empty()) return Errc::malformed;
  pb::Identify merged;
  for (std::size_t count = 0; !stream.empty(); ++count) {
    if (count == kMaxMessages) return Errc::too_large;
    const auto message = take_message(stream);
    if (!message) return message.error() == Errc::closed ? Errc::malformed : message.error();
    pb::Identify one;
    if (!one.ParseFromArray(message->data(), static_cast<int>(message->size())))
      return Errc::malformed;
    merged.MergeFrom(one);
  }
  return to_message(merged);
}

bool is_whole(BytesView stream) {
  bool has_message = false;
  while (!stream.empty()) {
    if (!take_message(stream)) return false;
    has_message = true;
  }
  return has_message;
}

}  // namespace pyrsia::identify
