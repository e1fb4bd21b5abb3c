#pragma once

#include "http/message.hpp"

#include <pyrsia/bytes.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace pyrsia::http {

/// Turns the bytes of a connection into requests, one after the other; pure. A plain GET is read
/// by a few lines of our own, everything else by Boost.Beast. A body has a Content-Length: none of
/// our requests needs chunks, and whoever sends them is told so (411; RFC 9112, 6.3).
/// Spec: RFC 9112.
class RequestReader {
 public:
  enum class State { need_more, done, failed };

  RequestReader(std::size_t max_head_bytes, std::size_t max_body_bytes);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  /// Where received bytes go: never empty after need_more. Then tell how many came.
  std::span<std::uint8_t> space();
  void received(std::size_t count) { end_ += count; }

  /// The next request, if all of it is there. After `failed` the connection is of no more use.
  State next(Request& out);
  /// What to answer after `failed`: 400, 411, 413 or 431.
  int failure() const { return failure_; }
  /// True if a part of a request has come.
  bool is_inside() const { return end_ > begin_ || beast_ != nullptr; }

 private:
  struct Beast;

  /// A plain "GET path HTTP/1.1" with its whole head. False: for Beast to judge.
  bool read_plain(Request& out);
  State read_with_beast(Request& out);
  State fail(int status);
  std::string_view unread() const;

  std::size_t max_head_bytes_;
  std::size_t max_body_bytes_;
  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  int failure_ = 0;
  std::unique_ptr<Beast> beast_;  ///< While it is inside a request.
};

/// Splits a target into path and query. False if it is neither "/…" nor "http://host/…".
bool set_target(std::string_view target, Request& out);

}  // namespace pyrsia::http
