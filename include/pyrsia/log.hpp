#pragma once

#include <pyrsia/error.hpp>
#include <pyrsia/time.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace pyrsia {

enum class LogLevel { debug, info, warning, error };

/// One fact of a log line. Holds its value as it is: only a sink turns it into text.
/// A string must outlive the call that logs it.
struct LogField {
  using Value = std::variant<std::int64_t, std::string_view, Duration, Error>;

  template <std::convertible_to<Value> T>
    requires(!std::integral<T>)
  LogField(std::string_view k, const T& v) : key(k), value(v) {}
  template <std::integral T>
  LogField(std::string_view k, T v) : key(k), value(static_cast<std::int64_t>(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}

  std::string_view key;
  Value value;
};

/// Where log lines go. The library writes nowhere by itself; an application gives it a sink.
using LogSink = std::function<void(LogLevel level, std::string_view component,
                                   std::string_view message, std::span<const LogField> fields)>;

/// A component's way to its sink. The message is a fixed text; what varies goes into fields.
/// The sink must outlive the logger.
///   error    an operator must act
///   warning  degraded
///   info     rare, never at a peer's will
///   debug    the rest
class Logger {
 public:
  using Fields = std::initializer_list<LogField>;

  Logger(std::string_view component, const LogSink& sink) : component_(component), sink_(&sink) {}

  /// A logger of another component on the same sink.
  Logger named(std::string_view component) const { return {component, *sink_}; }

  void debug(std::string_view message, Fields fields) const {
    write(LogLevel::debug, message, fields);
  }
  void info(std::string_view message, Fields fields) const {
    write(LogLevel::info, message, fields);
  }
  void warning(std::string_view message, Fields fields) const {
    write(LogLevel::warning, message, fields);
  }
  void error(std::string_view message, Fields fields) const {
    write(LogLevel::error, message, fields);
  }

 private:
  void write(LogLevel level, std::string_view message, Fields fields) const {
    if (*sink_) (*sink_)(level, component_, message, {fields.begin(), fields.size()});
  }

  std::string_view component_;
  const LogSink* sink_;
};

}  // namespace pyrsia
