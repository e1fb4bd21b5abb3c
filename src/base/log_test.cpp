#include <pyrsia/log.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace pyrsia {
namespace {

template <class T>
std::int64_t number(T value) {
  return std::get<std::int64_t>(LogField("number", value).value);
}

TEST(LogField, HoldsEveryKindOfNumber) {
  EXPECT_EQ(number(-1), -1);
  EXPECT_EQ(number(true), 1);
  EXPECT_EQ(number(std::uint16_t(7)), 7);
  EXPECT_EQ(number(std::size_t(7)), 7);
  EXPECT_EQ(number(std::int64_t(7)), 7);
}

TEST(LogField, HoldsTextsTimesAndErrors) {
  const std::string text = "text";
  EXPECT_EQ(std::get<std::string_view>(LogField("a", text).value), "text");
  EXPECT_EQ(std::get<std::string_view>(LogField("a", "text").value), "text");
  EXPECT_EQ(std::get<Duration>(LogField("a", std::chrono::seconds(1)).value),
            Duration(std::chrono::seconds(1)));
  EXPECT_EQ(std::get<Error>(LogField("a", Errc::closed).value), Errc::closed);
}

TEST(Logger, TellsItsSinkTheComponentAndTheFacts) {
  std::vector<std::string> lines;
  const LogSink sink = [&](LogLevel, std::string_view component, std::string_view message,
                           std::span<const LogField> fields) {
    lines.push_back(std::string(component) + ": " + std::string(message) + " " +
                    std::string(fields.front().key));
  };
  const Logger log("a", sink);
  log.debug("happened", {{"count", 1}});
  log.named("b").warning("again", {{"count", std::size_t(2)}});
  EXPECT_EQ(lines, (std::vector<std::string>{"a: happened count", "b: again count"}));
}

}  // namespace
}  // namespace pyrsia
