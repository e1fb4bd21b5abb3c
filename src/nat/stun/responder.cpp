#include "nat/stun/responder.hpp"

#include "nat/stun/builder.hpp"

#include <algorithm>
#include <array>
#include <cassert>

namespace pyrsia::stun {
namespace {

/// A lend costs a signature and its check: as much as these many plain answers.
constexpr std::uint32_t kLendCost = 8;
constexpr int kBadRequest = 400;
constexpr int kUnknownAttribute = 420;
constexpr int kServerError = 500;  ///< Spec: RFC 8489, 14.8: of the moment, try again.

std::string_view reason_of(int error) {
  if (error == kUnknownAttribute) return "Unknown";
  return error == kServerError ? "Server Error" : "Bad Request";
}

}  // namespace

/// What a request asks for beyond its answer.
struct Responder::Wishes {
  ChangeRequest change;
  std::optional<std::uint16_t> response_port;
  bool is_padded = false;
  bool has_fingerprint = false;
  int error = 0;
  std::array<std::uint16_t, kMaxUnknown> unknown{};
  std::size_t unknown_count = 0;

  void refuse(AttributeType type) {
    error = kUnknownAttribute;
    if (unknown_count < unknown.size()) unknown[unknown_count++] = static_cast<std::uint16_t>(type);
  }
};

Responder::Responder(ResponderConfig config, std::vector<Endpoint> sockets, std::uint64_t secret)
    : config_(std::move(config)),
      sockets_(std::move(sockets)),
      limiter_(config_.limit, secret),
      lend_limiter_(config_.lend_limit, secret) {
  assert(config_.software.size() < 128);  // RFC 8489, 14.14.
}

Answer Responder::answer(const Request& request, TimePoint now, std::span<std::uint8_t> out) {
  const auto message = Message::parse(request.bytes);
  if (!message) {
    metrics_.malformed.add();
    return {};
  }
  const auto& header = message->header();
  if (header.message_class != MessageClass::request || header.method != Method::binding) {
    metrics_.ignored.add();
    return {};
  }
  metrics_.requests.add();
  Wishes wishes;
  const bool is_understood = read_wishes(*message, wishes);
  if (!limiter_.allow(request.from.ip, wishes.change.ip ? kLendCost : 1, now)) {
    metrics_.limited.add();
    return {};
  }
  if (!is_understood) return refuse(request, *message, wishes, out);
  auto from = std::optional(request.socket);
  if (wishes.change.ip || wishes.change.port)
    from = find_other(request.socket, wishes.change.ip, wishes.change.port);
  if (!from) return borrow(request, *message, wishes, now, out);
  metrics_.answered.add();
  if (header.is_legacy()) metrics_.legacy.add();
  Answer answer;
  answer.socket = *from;
  answer.to = {request.from.ip, wishes.response_port.value_or(request.from.port)};
  answer.size = write(header, request.from, {*from, request.to}, wishes.has_fingerprint,
                      wishes.is_padded ? request.bytes.size() : 0, out);
  return answer;
}

bool Responder::read_wishes(const Message& message, Wishes& wishes) const {
  auto walk = message.attributes();
  for (Attribute attribute; walk.next(attribute);) {
    using enum AttributeType;
    const bool is_of_datagrams =
        attribute.type == change_request || attribute.type == response_port;
    if (config_.is_stream && is_of_datagrams) {
      wishes.refuse(attribute.type);
      continue;
    }
    switch (attribute.type) {
      case change_request: {
        const auto change = decode_change_request(attribute.value);
        if (change) wishes.change = *change;
        if (!change) wishes.error = kBadRequest;
        break;
      }
      case response_port: {
        const auto port = decode_response_port(attribute.value);
        if (port) wishes.response_port = *port;
        if (!port) wishes.error = kBadRequest;
        break;
      }
      case padding: wishes.is_padded = true; break;
      case fingerprint: wishes.has_fingerprint = !message.header().is_legacy(); break;
      // We demand no credentials; who brings some is answered all the same.
      case username:
      case userhash:
      case realm:
      case nonce:
      case password_algorithm:
      case message_integrity:
      case message_integrity_sha256: break;
      default:
        if (must_be_understood(attribute.type)) wishes.refuse(attribute.type);
    }
  }
  // A PADDING is for a path of ours, not for a port that somebody else may have.
  if (wishes.is_padded && wishes.response_port && wishes.error == 0) wishes.error = kBadRequest;
  return wishes.error == 0;
}

Answer Responder::refuse(const Request& request, const Message& message, const Wishes& wishes,
                         std::span<std::uint8_t> out) {
  metrics_.refused.add();
  auto header = message.header();
  header.message_class = MessageClass::error;
  Builder builder(out, header);
  const bool is_unknown = wishes.error == kUnknownAttribute;
  builder.add_error_code(wishes.error, reason_of(wishes.error));
  if (is_unknown)
    builder.add_unknown_attributes(std::span(wishes.unknown).first(wishes.unknown_count));
  if (wishes.has_fingerprint) builder.add_fingerprint();
  Answer answer;
  answer.socket = request.socket;
  answer.to = request.from;
  answer.size = builder.bytes().size();
  return answer;
}

Answer Responder::borrow(const Request& request, const Message& message, Wishes& wishes,
                         TimePoint now, std::span<std::uint8_t> out) {
  const auto lend = lend_for(request, message, wishes);
  if (lend && lend_limiter_.allow(*member_towards(request.from.ip), 1, now)) {
    metrics_.lent.add();
    Answer answer;
    answer.socket = request.socket;
    answer.lend = lend;
    return answer;
  }
  if (lend) {
    metrics_.lends_over.add();
    wishes.error = kServerError;
  } else {
    if (wishes.change.ip) metrics_.not_lent.add();
    wishes.error = kUnknownAttribute;
    wishes.unknown[0] = static_cast<std::uint16_t>(AttributeType::change_request);
    wishes.unknown_count = 1;
  }
  return refuse(request, message, wishes, out);
}

bool Responder::has_member_for(const IpAddress& client) const {
  const auto& member = member_towards(client);
  return member && is_reachable(classifier_, *member, client);
}

std::optional<Lend> Responder::lend_for(const Request& request, const Message& message,
                                        const Wishes& wishes) const {
  if (!wishes.change.ip || wishes.response_port || wishes.is_padded) return {};
  if (!has_member_for(request.from.ip)) return {};
  auto port = sockets_[request.socket].port;
  if (wishes.change.port) {
    const auto other = find_other(request.socket, false, true);
    if (!other) return {};
    port = sockets_[*other].port;
  }
  return Lend{request.from, message.header().cookie, message.header().transaction, port,
              wishes.has_fingerprint};
}

Answer Responder::answer_for(const Lend& lend, std::size_t arrived, const IpAddress& to,
                             std::span<std::uint8_t> out) {
  const auto& own = sockets_[arrived].ip;
  const auto fits = [&](const Endpoint& socket) {
    return socket.port == lend.source_port && socket.ip == own;
  };
  if (own.is_v6() != lend.client.ip.is_v6()) return {};
  const auto found = std::ranges::find_if(sockets_, fits);
  if (found == sockets_.end()) return {};
  metrics_.answered_lends.add();
  Header header;
  header.cookie = lend.cookie;
  header.transaction = lend.transaction;
  Answer answer;
  answer.socket = static_cast<std::size_t>(found - sockets_.begin());
  answer.to = lend.client;
  answer.size = write(header, lend.client, {answer.socket, to}, lend.has_fingerprint, 0, out);
  return answer;
}

/// Behind a NAT, what a client of the Internet has sent to another address arrives at a private
/// one: then we do not know how it sees us.
std::optional<IpAddress> Responder::origin_of(const Source& source, const IpAddress& client) const {
  const auto& own = sockets_[source.socket].ip;
  if (!own.is_unspecified()) return own;
  if (source.ip.is_unspecified() || classifier_.classify(source.ip) < classifier_.classify(client))
    return std::nullopt;
  return source.ip;
}

std::size_t Responder::write(const Header& request, const Endpoint& client, const Source& source,
                             bool has_fingerprint, std::size_t max_padded,
                             std::span<std::uint8_t> out) {
  auto header = request;
  header.message_class = MessageClass::success;
  Builder builder(out, header);
  auto other = other_address(source.socket);
  const auto& member = member_towards(client.ip);
  if (other && member && other->ip == *member && !has_member_for(client.ip)) other.reset();
  std::optional<IpAddress> origin;
  if (other || header.is_legacy()) origin = origin_of(source, client.ip);
  const auto port = sockets_[source.socket].port;
  if (header.is_legacy()) {
    builder.add_address(AttributeType::mapped_address, client);
    if (origin) builder.add_address(AttributeType::source_address, {*origin, port});
    if (other) builder.add_address(AttributeType::changed_address, *other);
    return builder.bytes().size();
  }
  builder.add_xor_address(AttributeType::xor_mapped_address, client);
  if (other && origin) builder.add_address(AttributeType::response_origin, {*origin, port});
  if (other) builder.add_address(AttributeType::other_address, *other);
  if (!config_.software.empty()) builder.add(AttributeType::software, config_.software);
  const std::size_t rest = builder.bytes().size() + 4 + (has_fingerprint ? 8 : 0);
  if (max_padded > rest) builder.add_padding((max_padded - rest) & ~std::size_t(3));
  if (has_fingerprint) builder.add_fingerprint();
  return builder.bytes().size();
}

std::optional<std::size_t> Responder::find_other(std::size_t socket, bool other_ip,
                                                 bool other_port) const {
  const auto& own = sockets_[socket];
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    const auto& candidate = sockets_[i];
    if (candidate.ip.is_v6() != own.ip.is_v6()) continue;
    // A socket for all addresses has the address of the other one too.
    if (other_ip && (candidate.ip.is_unspecified() || own.ip.is_unspecified())) continue;
    if ((candidate.ip != own.ip) == other_ip && (candidate.port != own.port) == other_port)
      return i;
  }
  return std::nullopt;
}

std::optional<Endpoint> Responder::other_address(std::size_t socket) const {
  const auto& own = sockets_[socket];
  if (const auto other = find_other(socket, true, true)) return sockets_[*other];
  const auto port = find_other(socket, false, true);
  const auto& member = member_towards(own.ip);
  if (!member || !port) return std::nullopt;
  return Endpoint{*member, sockets_[*port].port};
}

}  // namespace pyrsia::stun
