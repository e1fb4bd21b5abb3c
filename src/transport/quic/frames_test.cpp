#include "transport/quic/frames.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pyrsia::transport::quic {
namespace {

const Bytes kStop = {0x05, 0x04, 0x50, 0x01};  // Stream 4, code 0x1001.

struct Frame {
  std::string name;
  Bytes bytes;
};

/// One of each kind, RFC 9000, 19.
const std::vector<Frame> kFrames = {
    {"padding", {0, 0, 0}},
    {"ping", {1}},
    {"ack", {2, 0x40, 0x64, 5, 2, 1, 3, 4, 5, 6}},
    {"ack with ECN", {3, 10, 5, 0, 1, 7, 8, 9}},
    {"reset_stream", {4, 8, 0x50, 1, 3}},
    {"crypto", {6, 0, 2, 5, 5}},
    {"new_token", {7, 3, 5, 5, 5}},
    {"stream with a length", {0x0a, 4, 3, 5, 5, 5}},
    {"stream with all", {0x0f, 4, 9, 3, 5, 5, 5}},
    {"max_data", {0x10, 0x80, 0, 1, 0}},
    {"max_stream_data", {0x11, 4, 9}},
    {"max_streams", {0x12, 9}},
    {"max_streams", {0x13, 9}},
    {"data_blocked", {0x14, 9}},
    {"stream_data_blocked", {0x15, 4, 9}},
    {"streams_blocked", {0x16, 9}},
    {"streams_blocked", {0x17, 9}},
    {"new_connection_id",
     {0x18, 1, 0, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5}},
    {"retire_connection_id", {0x19, 1}},
    {"path_challenge", {0x1a, 5, 5, 5, 5, 5, 5, 5, 5}},
    {"path_response", {0x1b, 5, 5, 5, 5, 5, 5, 5, 5}},
    {"handshake_done", {0x1e}},
};

TEST(QuicFrames, FindsStopSendingBehindEveryOtherFrame) {
  for (const auto& frame : kFrames) {
    SCOPED_TRACE(frame.name);
    auto bytes = frame.bytes;
    bytes.insert(bytes.end(), kStop.begin(), kStop.end());
    BytesView payload(bytes);
    EXPECT_EQ(next_stop_sending(payload), (StopSending{4, 0x1001}));
    EXPECT_TRUE(payload.empty());
    EXPECT_FALSE(next_stop_sending(payload));
  }
}

TEST(QuicFrames, AFrameThatIsCutOffEndsTheSearch) {
  for (const auto& frame : kFrames) {
    SCOPED_TRACE(frame.name);
    for (std::size_t size = 1; size < frame.bytes.size(); ++size) {
      BytesView payload(frame.bytes.data(), size);
      EXPECT_FALSE(next_stop_sending(payload));
      EXPECT_TRUE(payload.empty());
    }
  }
  for (std::size_t size = 1; size < kStop.size(); ++size) {
    BytesView payload(kStop.data(), size);
    EXPECT_FALSE(next_stop_sending(payload));
    EXPECT_TRUE(payload.empty());
  }
}

TEST(QuicFrames, FindsEachOfSeveral) {
  const Bytes bytes = {0x05, 0x04, 0x00, 0x01, 0x05, 0x08, 0x07};
  BytesView payload(bytes);
  EXPECT_EQ(next_stop_sending(payload), (StopSending{4, 0}));
  EXPECT_EQ(next_stop_sending(payload), (StopSending{8, 7}));
  EXPECT_FALSE(next_stop_sending(payload));
}

TEST(QuicFrames, NothingIsSoughtBehindDataWithoutALengthOrAnUnknownFrame) {
  for (const auto first : {0x08, 0x1c, 0x1f, 0x3f}) {
    Bytes bytes = {std::uint8_t(first), 4};
    bytes.insert(bytes.end(), kStop.begin(), kStop.end());
    BytesView payload(bytes);
    EXPECT_FALSE(next_stop_sending(payload));
  }
}

}  // namespace
}  // namespace pyrsia::transport::quic
