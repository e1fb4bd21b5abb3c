/// One exchange of /pyrsia/nat/1, over a stream of its own: who opens it says nothing and gets one
/// frame. Spec: docs/adr/0037-nat-facts-between-peers.md.
#pragma once

#include "protocols/nat_facts/wire.hpp"

#include <pyrsia/stream.hpp>

#include <string_view>

namespace pyrsia::nat_facts {

inline constexpr std::string_view kProtocol = "/pyrsia/nat/1";

/// Errors: those of decode() and of the stream; `Errc::closed` if the peer ends without an answer.
/// No time limit of its own.
Task<nat::Report> ask(Stream& stream);

/// Waits until the other has ended the stream. Errors: those of wire::finish().
Task<> answer(Stream& stream, const nat::Report& report);

}  // namespace pyrsia::nat_facts
