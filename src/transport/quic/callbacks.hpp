#pragma once

#include <ngtcp2/ngtcp2.h>

namespace pyrsia::transport::quic {

/// What the library calls, for every connection of that side. Its user data is the Session.
const ngtcp2_callbacks& client_callbacks();
const ngtcp2_callbacks& server_callbacks();

class Session;

/// The time in which `session` hands a packet to the library, once at a time in a thread.
class Reading {
 public:
  explicit Reading(Session& session);
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  ~Reading();
};

}  // namespace pyrsia::transport::quic
