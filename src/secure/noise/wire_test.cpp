#include "secure/noise/wire.hpp"

#include <gtest/gtest.h>

namespace pyrsia::secure::noise {
namespace {

const Payload kPayload{{1, 2}, {3}, {"/yamux/1.0.0"}};

TEST(NoisePayload, HasTheBytesOfTheSpec) {
  const std::string_view text = "\x0a\x02\x01\x02\x12\x01\x03\x22\x0e\x12\x0c/yamux/1.0.0";
  EXPECT_EQ(as_text(encode(kPayload)), text);
  EXPECT_EQ(*decode(as_bytes(text)), kPayload);
}

TEST(NoisePayload, SkipsCertificateHashesAndUnknownFields) {
  const std::string_view text =
      "\x0a\x02\x01\x02\x12\x01\x03\x1a\x01x\x22\x12\x0a\x02hh\x12\x0c/yamux/1.0.0\x2a\x01z";
  EXPECT_EQ(*decode(as_bytes(text)), kPayload);
}

TEST(NoisePayload, NeedsKeyAndSignature) {
  EXPECT_EQ(decode({}).error(), Errc::malformed);
  EXPECT_EQ(decode(as_bytes("\x0a\x02\x01\x02")).error(), Errc::malformed);
  EXPECT_EQ(decode(as_bytes("\x12\x01\x03")).error(), Errc::malformed);
  EXPECT_EQ(decode(as_bytes("\x0a\x09\x01\x02")).error(), Errc::malformed);
}

TEST(NoisePayload, TreatsAnEndlessListOfMuxersAsNone) {
  auto payload = kPayload;
  payload.muxers.assign(kMaxMuxers + 1, "/m");
  EXPECT_TRUE(decode(encode(payload))->muxers.empty());
}

}  // namespace
}  // namespace pyrsia::secure::noise
