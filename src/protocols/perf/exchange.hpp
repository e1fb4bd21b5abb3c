/// One run of perf over a stream: bytes one way, then bytes the other way.
/// Spec: libp2p/specs, perf/perf.md.
#pragma once

#include <pyrsia/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pyrsia::perf {

inline constexpr std::string_view kProtocol = "/perf/1.0.0";
/// Written and read at once, in bytes.
inline constexpr std::size_t kBlockBytes = 64 * 1024;

/// How far a run has come; read while it goes on.
struct Progress {
  std::uint64_t uploaded_bytes = 0;    ///< By the client.
  std::uint64_t downloaded_bytes = 0;  ///< By the client.
};

/// The client's side: asks for `download_bytes`, sends `upload_bytes`, then takes what it asked
/// for. Errors: those of the stream; `Errc::closed` if fewer bytes come, `Errc::protocol_violation`
/// if more do. No time limit of its own.
Task<> run(Stream& stream, std::uint64_t upload_bytes, std::uint64_t download_bytes,
           Progress& progress);

/// The server's side: takes what comes to its end, then sends what was asked for, which may be more
/// than anybody wants to wait for. Errors: those of the stream.
Task<> serve(Stream& stream, Progress& progress);

}  // namespace pyrsia::perf
