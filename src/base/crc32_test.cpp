#include "base/crc32.hpp"

#include <gtest/gtest.h>

namespace pyrsia {
namespace {

TEST(Crc32, AgreesWithTheCheckValueOfItsCatalogue) {
  EXPECT_EQ(crc32(as_bytes("123456789")), 0xcbf43926U);
  EXPECT_EQ(crc32({}), 0U);
}

}  // namespace
}  // namespace pyrsia
