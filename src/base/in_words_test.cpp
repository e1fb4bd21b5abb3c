#include "base/in_words.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace pyrsia {
namespace {

TEST(Errc, EachHasANameAndWordsOfItsOwn) {
  std::set<std::string_view> names, words;
  for (int code = 1; code <= static_cast<int>(Errc::io_failed); ++code) {
    const auto errc = static_cast<Errc>(code);
    EXPECT_NE(name(errc), "unknown") << code;
    EXPECT_NE(in_words(errc), "an unknown failure") << code;
    names.insert(name(errc));
    words.insert(in_words(errc));
  }
  EXPECT_EQ(names.size(), std::size_t(Errc::io_failed));
  EXPECT_EQ(words.size(), names.size());
}

TEST(Errc, ErrorsOfOthersAreNotTakenForOurs) {
  const Error foreign(static_cast<int>(Errc::timed_out), boost::system::generic_category());
  EXPECT_EQ(in_words(foreign), "an unknown failure");
}

}  // namespace
}  // namespace pyrsia
