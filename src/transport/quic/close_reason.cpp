#include "transport/quic/close_reason.hpp"

namespace pyrsia::transport::quic {
namespace {

// RFC 9000, 20.1.
constexpr std::uint64_t kNoError = 0x00;
constexpr std::uint64_t kConnectionRefused = 0x02;
constexpr std::uint64_t kApplicationError = 0x0c;
constexpr std::uint64_t kInternalError = 0x01;
constexpr std::uint64_t kNoViablePath = 0x10;
// 0x100 and a TLS alert; RFC 8446, 6.
constexpr std::uint64_t kCryptoFirst = 0x100;
constexpr std::uint64_t kCryptoLast = 0x1ff;
constexpr std::uint64_t kNoApplicationProtocol = 120;
constexpr std::uint64_t kProtocolVersion = 70;
constexpr std::uint64_t kHandshakeFailure = 40;

bool is_crypto(std::uint64_t code) {
  return code >= kCryptoFirst && code <= kCryptoLast;
}

}  // namespace

std::uint64_t close_code(mux::GoAway reason) {
  switch (reason) {
    case mux::GoAway::normal: return 0;
    case mux::GoAway::protocol_error: return 0x1003;
    case mux::GoAway::internal_error: return 0x1001;
  }
  return 0;
}

Errc reason_of_peer(const ngtcp2_ccerr& error) {
  if (error.type == NGTCP2_CCERR_TYPE_APPLICATION) return Errc::closed;
  if (error.type == NGTCP2_CCERR_TYPE_VERSION_NEGOTIATION) return Errc::not_supported;
  const auto code = error.error_code;
  if (is_crypto(code)) {
    const auto alert = code - kCryptoFirst;
    const bool is_foreign =
        alert == kNoApplicationProtocol || alert == kProtocolVersion || alert == kHandshakeFailure;
    return is_foreign ? Errc::not_supported : Errc::refused;
  }
  switch (code) {
    case kNoError:
    case kInternalError:
    case kApplicationError:
    case kNoViablePath: return Errc::closed;
    case kConnectionRefused: return Errc::refused;
    default: return Errc::protocol_violation;
  }
}

Errc reason_of_library(int error) {
  switch (error) {
    case NGTCP2_ERR_IDLE_CLOSE:
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT: return Errc::timed_out;
    case NGTCP2_ERR_NO_VIABLE_PATH: return Errc::unreachable;
    case NGTCP2_ERR_NOMEM:
    case NGTCP2_ERR_AEAD_LIMIT_REACHED:
    case NGTCP2_ERR_PKT_NUM_EXHAUSTED: return Errc::limit_reached;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
    case NGTCP2_ERR_VERSION_NEGOTIATION:
    case NGTCP2_ERR_VERSION_NEGOTIATION_FAILURE: return Errc::not_supported;
    case NGTCP2_ERR_FRAME_ENCODING:
    case NGTCP2_ERR_MALFORMED_TRANSPORT_PARAM:
    case NGTCP2_ERR_TRANSPORT_PARAM: return Errc::malformed;
    case NGTCP2_ERR_CRYPTO: return Errc::bad_signature;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
    case NGTCP2_ERR_CLOSING:
    case NGTCP2_ERR_DRAINING: return Errc::closed;
    case NGTCP2_ERR_INVALID_ARGUMENT:
    case NGTCP2_ERR_NOBUF:
    case NGTCP2_ERR_INVALID_STATE:
    case NGTCP2_ERR_STREAM_IN_USE:
    case NGTCP2_ERR_STREAM_SHUT_WR:
    case NGTCP2_ERR_STREAM_NOT_FOUND:
    case NGTCP2_ERR_INTERNAL:
    case NGTCP2_ERR_CALLBACK_FAILURE: return Errc::invalid_argument;  // A fault of ours.
    default: return Errc::protocol_violation;
  }
}

std::string_view kind_of(const ngtcp2_ccerr& error) {
  switch (error.type) {
    case NGTCP2_CCERR_TYPE_APPLICATION: return "application";
    case NGTCP2_CCERR_TYPE_IDLE_CLOSE: return "idle";
    case NGTCP2_CCERR_TYPE_VERSION_NEGOTIATION: return "version";
    default: return is_crypto(error.error_code) ? "crypto" : "transport";
  }
}

}  // namespace pyrsia::transport::quic
