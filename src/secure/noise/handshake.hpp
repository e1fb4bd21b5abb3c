/// The Noise XX handshake of libp2p, with the extension for an early muxer.
/// Spec: libp2p/specs, noise; Noise Protocol Framework rev. 34, XX.
#pragma once

#include "base/role.hpp"
#include "runtime/env.hpp"
#include "secure/channel.hpp"

#include <pyrsia/key.hpp>
#include <pyrsia/stream.hpp>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::secure::noise {

inline constexpr std::string_view kProtocol = "/noise";

/// Our side of every handshake: a static X25519 key and its signature, made once a process.
class Identity {
 public:
  Identity(Env& env, const KeyPair& key, std::vector<std::string> muxers);
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;
  ~Identity();

  const std::array<std::uint8_t, 32>& static_secret() const { return secret_; }
  const std::array<std::uint8_t, 32>& static_public() const { return public_; }
  /// The NoiseHandshakePayload message, the same each time.
  const Bytes& payload() const { return payload_; }
  const std::vector<std::string>& muxers() const { return muxers_; }

 private:
  std::array<std::uint8_t, 32> secret_{};
  std::array<std::uint8_t, 32> public_{};
  Bytes payload_;
  std::vector<std::string> muxers_;
};

/// Runs the handshake and takes the stream over; `identity` must outlive the task only. If
/// `expected` is given and another peer answers, ends before message 3 is sent.
/// Works over a stream from propose_lazily() too: the first message then travels with the proposal.
/// Reads no byte beyond the handshake. Has no timeout. Errors: `Errc::malformed`,
/// `Errc::too_large`, `Errc::bad_signature`, `Errc::wrong_peer`, `Errc::not_supported` (key type),
/// those of the stream.
Task<Secured> handshake(Env& env, std::unique_ptr<Stream> stream, Role role,
                        const Identity& identity, std::optional<PeerId> expected);

}  // namespace pyrsia::secure::noise
