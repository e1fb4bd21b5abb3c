#include "base/varint.hpp"

#include "base/hex.hpp"

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

TEST(Varint, AgreesWithTheVectors) {
  const std::vector<std::pair<std::uint64_t, std::string>> vectors{
      {0, "00"},     {1, "01"},     {127, "7f"},       {128, "8001"},
      {255, "ff01"}, {300, "ac02"}, {16384, "808001"}, {kMaxVarint, "ffffffffffffffff7f"},
  };
  for (const auto& [value, hex] : vectors) {
    Bytes bytes;
    append_varint(bytes, value);
    EXPECT_EQ(to_hex(bytes), hex);
    const auto varint = read_varint(bytes);
    ASSERT_TRUE(varint) << hex;
    EXPECT_EQ(varint->value, value);
    EXPECT_TRUE(varint->rest.empty());
  }
}

TEST(Varint, LeavesWhatFollows) {
  const Bytes bytes{0xac, 0x02, 0x07, 0x08};
  const auto varint = read_varint(bytes);
  ASSERT_TRUE(varint);
  EXPECT_EQ(varint->rest.data(), bytes.data() + 2);
  EXPECT_EQ(varint->rest.size(), 2);
}

TEST(Varint, RefusesLongCutAndEmptyForms) {
  for (const auto* hex : {"", "80", "8000", "8100", "ff8000", "ffffffffffffffffff01",
                          "ffffffffffffffffff", "808080808080808080"}) {
    const auto bytes = from_hex(hex).value();
    EXPECT_EQ(read_varint(bytes).error(), Errc::malformed) << hex;
  }
}

}  // namespace
}  // namespace pyrsia
