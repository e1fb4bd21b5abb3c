#include "nat/stun/client.hpp"
#include "nat/stun/responder.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

using namespace pyrsia;
using namespace pyrsia::stun;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

IpAddress v4(std::uint8_t last) {
  return IpAddress::v4({9, 9, 9, last});
}
IpAddress v6(std::uint8_t last) {
  return IpAddress::v6({0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last});
}

Responder make_responder(std::vector<Endpoint> sockets) {
  ResponderConfig config;
  config.limit.per_second = 0;
  config.lend_limit.per_second = 0;
  return Responder(std::move(config), std::move(sockets), 7);
}

/// XOR-MAPPED-ADDRESS, RESPONSE-ORIGIN and OTHER-ADDRESS.
std::size_t addresses_bytes(const IpAddress& ip) {
  return 3 * (8 + ip.bytes().size());
}

void check_answer(const Request& request, const Answer& answer, BytesView bytes) {
  require(bytes.size() <= request.bytes.size() + addresses_bytes(request.from.ip));
  const auto asked = Message::parse(request.bytes);
  const auto said = Message::parse(bytes);
  require(asked.has_value() && said.has_value() && is_response(said->header()));
  require(said->header().transaction == asked->header().transaction &&
          said->header().cookie == asked->header().cookie);
  require(!said->has(AttributeType::padding) || bytes.size() <= request.bytes.size());
  // To nobody else, and to another port only if that is asked for, and then no error.
  require(answer.to.ip == request.from.ip);
  const bool is_elsewhere = answer.to.port != request.from.port;
  require(!is_elsewhere || asked->has(AttributeType::response_port));
  const auto response = decode_response(*said, request.from.ip);
  require(response.has_value());
  require(response->error ? !is_elsewhere : response->mapped == request.from);
}

}  // namespace

// Any request to servers of every form: who asks gets an answer that he can read, or none; nobody
// else gets one, and it is no larger than it may be.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto four = make_responder({{v4(1), 3478}, {v4(1), 3479}, {v4(2), 3478}, {v4(2), 3479}});
  static auto all = make_responder({{IpAddress::v4_any(), 3478}, {IpAddress::v4_any(), 3479}});
  static auto of_v6 = make_responder({{v6(1), 3478}, {v6(1), 3479}});
  static auto one = make_responder({{IpAddress::v4_any(), 0}});
  if (size < 2) return 0;
  const std::array<Responder*, 4> responders{&four, &all, &of_v6, &one};
  const std::array<std::size_t, 4> sockets{4, 2, 2, 1};
  const std::size_t which = data[0] % responders.size();
  const bool is_v6 = which == 2;
  auto& responder = *responders[which];
  if (data[1] & 1) {
    responder.set_members(v4(8), v6(8));
  } else {
    responder.set_members(std::nullopt, std::nullopt);
  }
  Request request;
  request.bytes = {data + 2, size - 2};
  request.from = {is_v6 ? v6(7) : v4(7), 40000};
  request.socket = (data[1] >> 1) % sockets[which];
  request.to = is_v6 ? v6(1) : v4(1);
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  const auto answer = responder.answer(request, TimePoint(), out);
  require(answer.size <= out.size() && answer.socket < sockets[which]);
  if (answer.size > 0) check_answer(request, answer, BytesView(out).first(answer.size));
  if (!answer.lend) return 0;
  require(answer.size == 0 && (data[1] & 1) != 0 && answer.lend->client == request.from);
  const auto lent = responder.answer_for(*answer.lend, request.socket, request.to, out);
  require(lent.size <= out.size());
  if (lent.size > 0) check_answer(request, lent, BytesView(out).first(lent.size));
  return 0;
}
