#include "transport/quic/close_reason.hpp"

#include <gtest/gtest.h>

namespace pyrsia::transport::quic {
namespace {

TEST(QuicCloseReason, EveryCodeOfAPeerHasItsMeaning) {
  struct Row {
    ngtcp2_ccerr_type type;
    std::uint64_t code;
    Errc means;
    const char* kind;
  };
  const auto transport = NGTCP2_CCERR_TYPE_TRANSPORT;
  const Row rows[] = {
      // RFC 9000, 20.1.
      {transport, 0x00, Errc::closed, "transport"},                // NO_ERROR
      {transport, 0x01, Errc::closed, "transport"},                // INTERNAL_ERROR
      {transport, 0x02, Errc::refused, "transport"},               // CONNECTION_REFUSED
      {transport, 0x03, Errc::protocol_violation, "transport"},    // FLOW_CONTROL_ERROR
      {transport, 0x04, Errc::protocol_violation, "transport"},    // STREAM_LIMIT_ERROR
      {transport, 0x05, Errc::protocol_violation, "transport"},    // STREAM_STATE_ERROR
      {transport, 0x06, Errc::protocol_violation, "transport"},    // FINAL_SIZE_ERROR
      {transport, 0x07, Errc::protocol_violation, "transport"},    // FRAME_ENCODING_ERROR
      {transport, 0x08, Errc::protocol_violation, "transport"},    // TRANSPORT_PARAMETER_ERROR
      {transport, 0x09, Errc::protocol_violation, "transport"},    // CONNECTION_ID_LIMIT_ERROR
      {transport, 0x0a, Errc::protocol_violation, "transport"},    // PROTOCOL_VIOLATION
      {transport, 0x0b, Errc::protocol_violation, "transport"},    // INVALID_TOKEN
      {transport, 0x0c, Errc::closed, "transport"},                // APPLICATION_ERROR
      {transport, 0x0d, Errc::protocol_violation, "transport"},    // CRYPTO_BUFFER_EXCEEDED
      {transport, 0x0e, Errc::protocol_violation, "transport"},    // KEY_UPDATE_ERROR
      {transport, 0x0f, Errc::protocol_violation, "transport"},    // AEAD_LIMIT_REACHED
      {transport, 0x10, Errc::closed, "transport"},                // NO_VIABLE_PATH
      {transport, 0x7777, Errc::protocol_violation, "transport"},  // Of nobody.
      // CRYPTO_ERROR and a TLS alert: RFC 8446, 6.
      {transport, 0x100 + 40, Errc::not_supported, "crypto"},   // handshake_failure
      {transport, 0x100 + 42, Errc::refused, "crypto"},         // bad_certificate
      {transport, 0x100 + 48, Errc::refused, "crypto"},         // unknown_ca
      {transport, 0x100 + 70, Errc::not_supported, "crypto"},   // protocol_version
      {transport, 0x100 + 116, Errc::refused, "crypto"},        // certificate_required
      {transport, 0x100 + 120, Errc::not_supported, "crypto"},  // no_application_protocol
      {transport, 0x1ff, Errc::refused, "crypto"},
      {transport, 0x200, Errc::protocol_violation, "transport"},
      // Whatever number an application gives.
      {NGTCP2_CCERR_TYPE_APPLICATION, 0, Errc::closed, "application"},
      {NGTCP2_CCERR_TYPE_APPLICATION, 0x02, Errc::closed, "application"},
      {NGTCP2_CCERR_TYPE_APPLICATION, 0x1003, Errc::closed, "application"},
      {NGTCP2_CCERR_TYPE_VERSION_NEGOTIATION, 0, Errc::not_supported, "version"},
      {NGTCP2_CCERR_TYPE_IDLE_CLOSE, 0, Errc::closed, "idle"},
  };
  for (const auto& row : rows) {
    ngtcp2_ccerr error{};
    error.type = row.type;
    error.error_code = row.code;
    EXPECT_EQ(reason_of_peer(error), row.means) << row.type << " " << row.code;
    EXPECT_EQ(kind_of(error), row.kind) << row.type << " " << row.code;
  }
}

TEST(QuicCloseReason, EveryErrorThatEndsAConnectionHasItsMeaning) {
  struct Row {
    int error;
    Errc means;
  };
  const Row rows[] = {
      {NGTCP2_ERR_IDLE_CLOSE, Errc::timed_out},
      {NGTCP2_ERR_HANDSHAKE_TIMEOUT, Errc::timed_out},
      {NGTCP2_ERR_NO_VIABLE_PATH, Errc::unreachable},
      {NGTCP2_ERR_NOMEM, Errc::limit_reached},
      {NGTCP2_ERR_AEAD_LIMIT_REACHED, Errc::limit_reached},
      {NGTCP2_ERR_PKT_NUM_EXHAUSTED, Errc::limit_reached},
      {NGTCP2_ERR_RECV_VERSION_NEGOTIATION, Errc::not_supported},
      {NGTCP2_ERR_VERSION_NEGOTIATION, Errc::not_supported},
      {NGTCP2_ERR_VERSION_NEGOTIATION_FAILURE, Errc::not_supported},
      {NGTCP2_ERR_FRAME_ENCODING, Errc::malformed},
      {NGTCP2_ERR_MALFORMED_TRANSPORT_PARAM, Errc::malformed},
      {NGTCP2_ERR_TRANSPORT_PARAM, Errc::malformed},
      {NGTCP2_ERR_CRYPTO, Errc::bad_signature},
      {NGTCP2_ERR_DROP_CONN, Errc::closed},
      {NGTCP2_ERR_RETRY, Errc::closed},
      {NGTCP2_ERR_CLOSING, Errc::closed},
      {NGTCP2_ERR_DRAINING, Errc::closed},
      {NGTCP2_ERR_INVALID_ARGUMENT, Errc::invalid_argument},
      {NGTCP2_ERR_NOBUF, Errc::invalid_argument},
      {NGTCP2_ERR_INVALID_STATE, Errc::invalid_argument},
      {NGTCP2_ERR_STREAM_IN_USE, Errc::invalid_argument},
      {NGTCP2_ERR_STREAM_SHUT_WR, Errc::invalid_argument},
      {NGTCP2_ERR_STREAM_NOT_FOUND, Errc::invalid_argument},
      {NGTCP2_ERR_INTERNAL, Errc::invalid_argument},
      {NGTCP2_ERR_CALLBACK_FAILURE, Errc::invalid_argument},
      {NGTCP2_ERR_ACK_FRAME, Errc::protocol_violation},
      {NGTCP2_ERR_CONNECTION_ID_LIMIT, Errc::protocol_violation},
      {NGTCP2_ERR_REQUIRED_TRANSPORT_PARAM, Errc::protocol_violation},
      {NGTCP2_ERR_STREAM_STATE, Errc::protocol_violation},
      {NGTCP2_ERR_CRYPTO_BUFFER_EXCEEDED, Errc::protocol_violation},
      {NGTCP2_ERR_PROTO, Errc::protocol_violation},
      {NGTCP2_ERR_FLOW_CONTROL, Errc::protocol_violation},
      {NGTCP2_ERR_STREAM_LIMIT, Errc::protocol_violation},
      {NGTCP2_ERR_FINAL_SIZE, Errc::protocol_violation},
  };
  for (const auto& row : rows) EXPECT_EQ(reason_of_library(row.error), row.means) << row.error;
}

TEST(QuicCloseReason, OursAreTheNumbersOfTheSpecification) {
  EXPECT_EQ(close_code(mux::GoAway::normal), 0U);
  EXPECT_EQ(close_code(mux::GoAway::protocol_error), 0x1003U);
  EXPECT_EQ(close_code(mux::GoAway::internal_error), 0x1001U);
}

}  // namespace
}  // namespace pyrsia::transport::quic
