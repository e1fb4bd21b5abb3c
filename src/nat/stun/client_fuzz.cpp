#include "nat/stun/client.hpp"
#include "nat/stun/moves.hpp"
#include "nat/stun/named_address.hpp"
#include "nat/stun/numbers.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

using namespace pyrsia;
using namespace pyrsia::stun;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

/// Whatever a server says, it sends us only where it may, and not for ever.
void check_response(BytesView bytes, const Endpoint& server) {
  const auto message = Message::parse(bytes);
  if (!message) return;
  const auto response = decode_response(*message, server.ip);
  if (!response) return;
  if (!response->error) {
    require(can_be_mapped(response->mapped, server.ip));
    return;
  }
  require(*response->error >= 300 && *response->error < 700 && response->reason.size() <= 128);
  require(std::ranges::all_of(response->reason, [](char c) { return c >= 0x20 && c <= 0x7e; }));
  require(response->unknown.size() <= kMaxUnknown);
  Moves moves(server);
  const auto to = moves.next(*response);
  if (to) require(may_be_named(*to, server.ip) && !moves.next(*response));
}

/// Whatever is demanded, we prove ourselves at most twice, and what we send can be read.
void check_proof(BytesView bytes) {
  const auto message = Message::parse(bytes);
  if (!message || !is_response(message->header())) return;
  LongTerm proof(Credentials{"user", "secret"});
  int proofs = 0;
  while (proof.take(*message) == LongTerm::Verdict::ask_again) {
    require(++proofs <= 2);
    std::array<std::uint8_t, kMaxMessageBytes> out{};
    const auto written = encode_query(Query(), TransactionId(), proof, out);
    if (!written) {
      require(written.error() == Errc::too_large);
      continue;
    }
    const auto request = Message::parse(*written);
    require(request && request->has_fingerprint());
    require(request->has(AttributeType::username) != request->has(AttributeType::userhash));
  }
}

/// What is asked for stands in the request, and nothing else does.
void check_query(BytesView bytes) {
  if (bytes.size() < 6) return;
  Query query;
  query.change = {(bytes[0] & 1) != 0, (bytes[0] & 2) != 0};
  query.has_fingerprint = (bytes[0] & 4) != 0;
  if (bytes[0] & 8) query.response_port = read_u16(&bytes[1]);
  query.padding = read_u16(&bytes[3]);
  std::array<std::uint8_t, kMaxMessageBytes> out{};
  const std::size_t room = kHeaderBytes + bytes[5] * 8U;
  TransactionId transaction{};
  transaction.fill(bytes[5]);
  const auto written =
      encode_query(query, transaction, std::span(out).first(std::min(room, out.size())));
  if (!written) {
    require(written.error() == Errc::too_large);
    return;
  }
  const auto message = Message::parse(*written);
  require(message && message->header().message_class == MessageClass::request);
  require(message->header().method == Method::binding && !message->header().is_legacy());
  require(message->header().transaction == transaction);
  require(message->has_fingerprint() == query.has_fingerprint);
  const auto change = message->find(AttributeType::change_request);
  require(change.has_value() == (query.change != ChangeRequest()));
  if (change) require(decode_change_request(*change) == query.change);
  const auto port = message->find(AttributeType::response_port);
  require(port.has_value() == query.response_port.has_value());
  if (port && query.response_port != 0)
    require(decode_response_port(*port) == *query.response_port);
  const auto padding = message->find(AttributeType::padding);
  require((padding ? padding->size() : 0) == query.padding);
}

}  // namespace

// Any answer of a server, of the Internet, of our own network, of this machine; and any question.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView bytes(data, size);
  check_query(bytes);
  check_proof(bytes);
  const std::array<IpAddress, 5> servers{
      IpAddress::v4({9, 9, 9, 9}), IpAddress::v4({192, 168, 1, 1}), IpAddress::v4_loopback(),
      IpAddress::v6({0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}),
      IpAddress::v6({0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})};
  for (const auto& server : servers) check_response(bytes, {server, 3478});
  return 0;
}
