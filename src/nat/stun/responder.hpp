/// What a STUN server answers. Spec: RFC 8489, 6.3; RFC 5780, 6; RFC 3489 for old clients.
#pragma once

#include "multi/address_class.hpp"
#include "nat/stun/attributes.hpp"
#include "nat/stun/lend.hpp"
#include "nat/stun/message.hpp"
#include "nat/stun/source_limiter.hpp"

#include <pyrsia/ip.hpp>
#include <pyrsia/metrics.hpp>
#include <pyrsia/time.hpp>

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace pyrsia::stun {

struct ResponderConfig {
  SourceLimit limit;
  /// Lends that we ask the member for, whoever the clients say they are: more are refused with 500.
  /// Below what LenderConfig lets one member have, for what is dropped there is silence, which a
  /// client may take for its filter; and each costs us a signature.
  SourceLimit lend_limit{150, 300, 1};
  /// A response leaves over the connection of its request: CHANGE-REQUEST and RESPONSE-PORT are not
  /// understood. Spec: RFC 5780, 7.2 and 7.5.
  bool is_stream = false;
  /// Told in every response, fewer than 128 bytes; empty, the default, costs nobody a byte.
  std::string software;
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
  Counter not_lent;        ///< Of the refused ones, as no member is there for such a client.
  Counter lends_over;      ///< Of the refused ones, as lend_limit is reached.
  Counter answered_lends;  ///< Answered for another member.
};

/// One request as it arrived.
struct Request {
  BytesView bytes;
  Endpoint from;
  std::size_t socket = 0;  ///< Which of the sockets it came to.
  IpAddress to = {};       ///< Of a socket with an unspecified IP: the address it was sent to.
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
  /// `sockets` as clients see them. An unspecified IP: all of ours; then the one that a request was
  /// sent to is told as RESPONSE-ORIGIN, unless a NAT must have changed it on the way.
  Responder(ResponderConfig config, std::vector<Endpoint> sockets, std::uint64_t secret);

  /// The members whose IPv4 and IPv6 address is lent to us; none: nobody's. They listen on our
  /// ports too, and their address is none of ours. One is offered only to clients that it can
  /// reach: see is_reachable().
  void set_members(std::optional<IpAddress> v4, std::optional<IpAddress> v6) {
    members_ = {v4, v6};
  }
  /// `out` has kMaxMessageBytes.
  Answer answer(const Request& request, TimePoint now, std::span<std::uint8_t> out);
  /// Sends what another member was asked for, by a datagram to `arrived` and, if that has an
  /// unspecified IP, to `to`: from that address. No socket there has the wished port: nothing.
  Answer answer_for(const Lend& lend, std::size_t arrived, const IpAddress& to,
                    std::span<std::uint8_t> out);
  /// Where clients find our other address, if they came to `socket`.
  std::optional<Endpoint> other_address(std::size_t socket) const;

  const ResponderMetrics& metrics() const { return metrics_; }
  std::size_t memory_bytes() const { return limiter_.memory_bytes(); }

 private:
  struct Wishes;
  /// A response as it leaves: from which socket, and from which of its addresses.
  struct Source {
    std::size_t socket = 0;
    IpAddress ip;
  };

  std::optional<std::size_t> find_other(std::size_t socket, bool other_ip, bool other_port) const;
  bool read_wishes(const Message& message, Wishes& wishes) const;
  Answer refuse(const Request& request, const Message& message, const Wishes& wishes,
                std::span<std::uint8_t> out);
  /// What is answered from an address that no socket of ours has.
  Answer borrow(const Request& request, const Message& message, Wishes& wishes, TimePoint now,
                std::span<std::uint8_t> out);
  std::optional<Lend> lend_for(const Request& request, const Message& message,
                               const Wishes& wishes) const;
  bool has_member_for(const IpAddress& client) const;
  const std::optional<IpAddress>& member_towards(const IpAddress& ip) const {
    return members_[ip.is_v6() ? 1 : 0];
  }
  std::optional<IpAddress> origin_of(const Source& source, const IpAddress& client) const;
  /// Writes a response. `max_padded`: the bytes that it may have with its PADDING.
  std::size_t write(const Header& header, const Endpoint& client, const Source& source,
                    bool has_fingerprint, std::size_t max_padded, std::span<std::uint8_t> out);

  ResponderConfig config_;
  std::vector<Endpoint> sockets_;
  SourceLimiter limiter_;
  SourceLimiter lend_limiter_;
  AddressClassifier classifier_;
  std::array<std::optional<IpAddress>, 2> members_;  ///< IPv4, IPv6.
  ResponderMetrics metrics_;
};

}  // namespace pyrsia::stun
