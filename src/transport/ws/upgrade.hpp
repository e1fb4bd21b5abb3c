/// The HTTP exchange that opens a WebSocket: pure. Spec: RFC 6455, 4; RFC 9112.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <string>
#include <string_view>

namespace pyrsia::transport::ws {

/// Largest head of a request or response that we read, in bytes. Our limit: browsers send 1 kB,
/// with cookies a few more.
inline constexpr std::size_t kMaxHeadBytes = 8 * 1024;

/// Bytes of the head that `bytes` begin with, its empty line included; 0: the end is not there.
std::size_t head_size(BytesView bytes);

/// `key` is 16 random bytes in base64.
std::string upgrade_request(std::string_view host, std::string_view path, std::string_view key);
std::string upgrade_response(std::string_view key);
/// What a client gets whose request was refused with this error.
std::string refusal(Error error);

/// The key of a request that may be agreed to; any path and any Origin will do.
/// Errors: `Errc::malformed` (no HTTP), `Errc::protocol_violation` (no GET, no Host or two, no
/// upgrade to a WebSocket, no good key), `Errc::not_supported` (another version of it).
Result<std::string> read_request(std::string_view head);
/// Errors: `Errc::malformed`, `Errc::refused` (another status than 101), `Errc::protocol_violation`
/// (not what was asked for: the answer to another key, extensions, subprotocols).
Result<> check_response(std::string_view head, std::string_view key);

}  // namespace pyrsia::transport::ws
