#include "secure/noise/wire.hpp"

#include "secure/noise/noise.pb.h"

namespace pyrsia::secure::noise {

Bytes encode(const Payload& payload) {
  pyrsia::noise::pb::NoiseHandshakePayload message;
  message.set_identity_key(payload.identity_key.data(), payload.identity_key.size());
  message.set_identity_sig(payload.identity_signature.data(), payload.identity_signature.size());
  for (const auto& muxer : payload.muxers) message.mutable_extensions()->add_stream_muxers(muxer);
  Bytes bytes(message.ByteSizeLong());
  message.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

Result<Payload> decode(BytesView message) {
  pyrsia::noise::pb::NoiseHandshakePayload parsed;
  if (!parsed.ParseFromArray(message.data(), static_cast<int>(message.size())))
    return Errc::malformed;
  if (!parsed.has_identity_key() || !parsed.has_identity_sig()) return Errc::malformed;
  Payload payload;
  const auto key = as_bytes(parsed.identity_key());
  const auto signature = as_bytes(parsed.identity_sig());
  payload.identity_key.assign(key.begin(), key.end());
  payload.identity_signature.assign(signature.begin(), signature.end());
  const auto& muxers = parsed.extensions().stream_muxers();
  if (muxers.size() <= kMaxMuxers) payload.muxers.assign(muxers.begin(), muxers.end());
  return payload;
}

}  // namespace pyrsia::secure::noise
