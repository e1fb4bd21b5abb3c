#include "base/in_words.hpp"

namespace pyrsia {

std::string_view in_words(const Error& error) noexcept {
  constexpr std::string_view kUnknown = "an unknown failure";
  if (error.category() != make_error_code(Errc::closed).category()) return kUnknown;
  switch (static_cast<Errc>(error.value())) {
    case Errc::cancelled: return "given up";
    case Errc::deadlock: return "it can never end";
    case Errc::timed_out: return "no answer in time";
    case Errc::closed: return "the other side ended the connection";
    case Errc::reset: return "the other side broke the connection off";
    case Errc::refused: return "connection refused";
    case Errc::unreachable: return "there is no way to that host";
    case Errc::not_found: return "there is no such name or file";
    case Errc::unavailable: return "there is no address to try";
    case Errc::limit_reached: return "a limit of ours is used up";
    case Errc::network_failed: return "the network does not let us";
    case Errc::malformed: return "what the other side sends makes no sense";
    case Errc::too_large: return "what the other side sends is too large";
    case Errc::protocol_violation: return "the other side breaks the protocol";
    case Errc::not_supported: return "the other side does not speak our protocol";
    case Errc::bad_signature: return "the other side cannot prove who it is";
    case Errc::wrong_peer: return "another peer answers there";
    case Errc::invalid_argument: return "that cannot be";
    case Errc::already_exists: return "it exists already";
    case Errc::address_in_use: return "the port is in use";
    case Errc::permission_denied: return "permission denied";
    case Errc::disk_full: return "the disk is full";
    case Errc::io_failed: return "reading or writing failed";
  }
  return kUnknown;
}

}  // namespace pyrsia
