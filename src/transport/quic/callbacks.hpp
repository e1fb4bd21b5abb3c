#pragma once

#include <ngtcp2/ngtcp2.h>

namespace pyrsia::transport::quic {

/// What the library calls, for every connection of that side. Its user data is the Session.
const ngtcp2_callbacks& client_callbacks();
const ngtcp2_callbacks& server_callbacks();

}  // namespace pyrsia::transport::quic
