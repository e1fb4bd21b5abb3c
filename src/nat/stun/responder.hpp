/// What a STUN server answers. Spec: RFC 8489, 6.3; RFC 5780, 6; RFC 3489 for old clients.
#pragma once

#include "nat/stun/attributes.hpp"
#include "nat/stun/lend.hpp"
#include "nat/stun/message.hpp"
#include "nat/stun/source_limiter.hpp"

#include <pyrsia/ip.hpp>
#include <pyrsia/metrics.hpp>
#include <pyrsia/time.hpp>

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace pyrsia::stun {

struct ResponderConfig {
  SourceLimit limit;
  std::string software;  ///< Told in every response; empty, the default, costs nobody a byte.
};

struct ResponderMetrics {
  Counter requests;        ///< Binding requests that could be read.
  Counter answered;        ///< By a success response.
  Counter refused;         ///< By an error response.
  Counter limited;         ///< Dropped: the source asks too often.
  Counter malformed;       ///< Dropped.
  Counter ignored;         ///< Dropped: STUN, but no Binding request.
  Counter legacy;          ///< Of the answered ones, in the form of RFC 3489.
  Counter lent;            ///< Passed to another member to answer.
  Counter answered_lends;  ///< Answered for another member.
};

/// One request as it arrived.
struct Request {
  BytesView bytes;
  Endpoint from;
  std::size_t socket = 0;  ///< Which of the sockets it came to.
};

/// What becomes of a request.
struct Answer {
  std::size_t size = 0;  ///< Of the response that was written; 0: none.
  Endpoint to;
  std::size_t socket = 0;  ///< Which it leaves from.
  /// Instead of a response: the other member is to send it.
  std::optional<Lend> lend;
};

/// Answers Binding requests; pure, and without any allocation. A server with two addresses and two
/// ports (or with another member's address) also answers from the others, for clients that find
/// out how their NAT behaves. A response goes to the address that the request came from, is never
/// larger than its request by more than what XOR-MAPPED-ADDRESS, RESPONSE-ORIGIN and
/// OTHER-ADDRESS take, and of a padded request never larger at all.
class Responder {
 public:
  /// `sockets` as clients see them. An unspecified IP: not known, so it is not told either.
  Responder(ResponderConfig config, std::vector<Endpoint> sockets, std::uint64_t secret);

  /// The member whose address is lent to us; none: nobody's. It listens on our ports too.
  void set_member(std::optional<IpAddress> ip) { member_ = ip; }
  /// `out` has kMaxMessageBytes.
  Answer answer(const Request& request, TimePoint now, std::span<std::uint8_t> out);
  /// Sends what another member was asked for. No socket of ours has the wished port: nothing.
  Answer answer_for(const Lend& lend, std::span<std::uint8_t> out);
  /// Where a client finds our other address, if it came to `socket`.
  std::optional<Endpoint> other_address(std::size_t socket) const;

  const ResponderMetrics& metrics() const { return metrics_; }
  std::size_t memory_bytes() const { return limiter_.memory_bytes(); }

 private:
  struct Wishes;

  std::optional<std::size_t> find_other(std::size_t socket, bool other_ip, bool other_port) const;
  bool read_wishes(const Message& message, Wishes& wishes) const;
  Answer refuse(const Request& request, const Message& message, const Wishes& wishes,
                std::span<std::uint8_t> out);
  std::optional<Lend> lend_for(const Request& request, const Message& message,
                               const Wishes& wishes) const;
  /// Writes the response of `socket`. `padding`: the bytes that its PADDING may have.
  std::size_t write(const Header& header, const Endpoint& client, std::size_t socket,
                    bool has_fingerprint, std::size_t max_padded, std::span<std::uint8_t> out);

  ResponderConfig config_;
  std::vector<Endpoint> sockets_;
  SourceLimiter limiter_;
  std::optional<IpAddress> member_;
  ResponderMetrics metrics_;
};

}  // namespace pyrsia::stun
