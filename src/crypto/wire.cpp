#include "crypto/wire.hpp"

#include "crypto/envelope.hpp"
#include "crypto/records.pb.h"

#include <string>

namespace pyrsia::crypto {
namespace {

std::string text_of(const Bytes& bytes) {
  return std::string(as_text(bytes));
}

Bytes bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

template <class Message>
Bytes serialized(const Message& message) {
  Bytes out(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(out.data());
  return out;
}

template <class Message>
bool parse(Message& message, BytesView bytes) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace

Bytes encode(const EnvelopeMessage& message) {
  pb::Envelope out;
  out.set_public_key(text_of(message.public_key));
  out.set_payload_type(text_of(message.payload_type));
  out.set_payload(text_of(message.payload));
  out.set_signature(text_of(message.signature));
  return serialized(out);
}

Result<EnvelopeMessage> decode_envelope(BytesView message) {
  if (message.size() > kMaxEnvelopeBytes) return Errc::too_large;
  pb::Envelope in;
  if (!parse(in, message)) return Errc::malformed;
  if (!in.has_public_key() || !in.has_signature()) return Errc::malformed;
  return EnvelopeMessage{bytes_of(in.public_key()), bytes_of(in.payload_type()),
                         bytes_of(in.payload()), bytes_of(in.signature())};
}

Bytes encode(const PeerRecordMessage& message) {
  pb::PeerRecord out;
  out.set_peer_id(text_of(message.peer));
  out.set_seq(message.sequence);
  for (const auto& address : message.addresses) {
    out.add_addresses()->set_multiaddr(text_of(address));
  }
  return serialized(out);
}

Result<PeerRecordMessage> decode_peer_record(BytesView message) {
  if (message.size() > kMaxEnvelopeBytes) return Errc::too_large;
  pb::PeerRecord in;
  if (!parse(in, message)) return Errc::malformed;
  if (!in.has_peer_id()) return Errc::malformed;
  if (in.addresses_size() > static_cast<int>(kMaxRecordAddresses)) return Errc::too_large;
  PeerRecordMessage record{bytes_of(in.peer_id()), in.seq(), {}};
  for (const auto& address : in.addresses()) {
    record.addresses.push_back(bytes_of(address.multiaddr()));
  }
  return record;
}

}  // namespace pyrsia::crypto
