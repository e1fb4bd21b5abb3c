/// Agreement on the muxer over a secure channel, with peers that did not agree on it inside the
/// handshake. Spec: libp2p/specs, connections, "Upgrading connections".
#pragma once

#include "base/role.hpp"
#include "secure/channel.hpp"

#include <pyrsia/task.hpp>

#include <memory>
#include <string>

namespace pyrsia::transport {

/// Agrees on `muxer`, the only one we speak, and returns the channel to use from then on.
/// The initiator proposes and goes on at once: the first read checks the answer, and ends with
/// `Errc::not_supported` (refused) or `Errc::protocol_violation` if it is another. The responder
/// waits for the proposal. Has no timeout. Errors: those of wire::answer() and of the channel.
Task<std::unique_ptr<secure::Channel>> agree_on_muxer(std::unique_ptr<secure::Channel> channel,
                                                      Role role, std::string muxer);

}  // namespace pyrsia::transport
