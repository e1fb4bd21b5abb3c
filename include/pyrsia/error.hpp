#pragma once

#include <boost/system/error_code.hpp>

#include <cstdint>
#include <string_view>

namespace pyrsia {

using Error = boost::system::error_code;

/// Every failure this library reports. A code tells the caller what it may do next;
/// the layer that detects the failure logs the details. Its name is also its metric label.
enum class Errc {
  // Stop.
  cancelled = 1,  ///< The caller asked to stop. Pass it on, never retry.
  deadlock,       ///< Simulation only: no task can ever run again.
  // Try again, perhaps elsewhere.
  timed_out,       ///< No answer in time. May be retried.
  closed,          ///< The peer or the network ended it. May be retried on a new one.
  reset,           ///< The peer dropped the stream at once. May be retried on a new one.
  refused,         ///< The peer answered that it will not: port closed, request refused.
  unreachable,     ///< No route to the host or the network is down. Try another address.
  not_found,       ///< A name, peer or file does not exist. Try another.
  unavailable,     ///< Nobody can do it now: no server known, no address. Try later.
  limit_reached,   ///< Our own limit is used up. Try later.
  network_failed,  ///< The kernel refused a network call for another reason. Try another way.
  // The peer is at fault: drop what it sent.
  malformed,           ///< Bytes do not parse. Drop the stream.
  too_large,           ///< Over our limit for it. Drop the stream.
  protocol_violation,  ///< The bytes parse, but the spec forbids them here. Drop the stream.
  not_supported,       ///< The peer, or we, do not speak it. Use another protocol.
  bad_signature,       ///< A signature or an authentication tag is wrong. Drop the peer.
  wrong_peer,          ///< The peer has another identity than expected. Drop the address.
  // The caller, or the machine, is at fault: give up and say so.
  invalid_argument,   ///< The caller passed what cannot be. Mend the call or the configuration.
  already_exists,     ///< It would overwrite something. Choose another name.
  address_in_use,     ///< Another socket has the port. Choose another.
  permission_denied,  ///< The operating system does not let us. Mend the rights.
  disk_full,          ///< No space left. Make room.
  io_failed,          ///< Reading or writing a file failed for another reason.
};

/// Lets an Errc convert to an Error, and so to a failed Result.
Error make_error_code(Errc code) noexcept;

/// The name of `code`: "timed_out".
std::string_view name(Errc code) noexcept;

}  // namespace pyrsia

template <>
struct boost::system::is_error_code_enum<pyrsia::Errc> : std::true_type {};
