/// The echo protocol of ../README.md, both sides, as flows without timeouts.
#pragma once

#include <pyrsia/stream.hpp>

#include <cstdint>

namespace pyrsia::interop {

inline constexpr std::string_view kEchoProtocol = "/pyrsia-test/echo/1.0.0";

/// Adler-32 (RFC 1950) of bytes that come in parts.
class Adler32 {
 public:
  void update(BytesView bytes);
  std::uint32_t value() const { return b_ << 16 | a_; }

 private:
  std::uint32_t a_ = 1;
  std::uint32_t b_ = 0;
};

/// What went through, also when the flow failed.
struct Echoed {
  std::uint64_t bytes = 0;
  Adler32 sum;
};

/// Sends back what it reads, while it reads it, until the peer closes its half; then closes ours.
/// Errors: those of the stream.
Task<> serve_echo(Stream& stream, Echoed& echoed);

/// Writes `bytes` of the pattern and closes its half, reading at the same time what comes back.
/// Errors: `Errc::protocol_violation` if it is not the same; those of the stream.
Task<std::uint32_t> echo(Stream& stream, std::uint64_t bytes);

}  // namespace pyrsia::interop
