#include "nat/portmap/pcp_wire.hpp"

#include "nat/portmap/byte_order.hpp"

#include <algorithm>
#include <cassert>

namespace pyrsia::portmap::pcp {
namespace {

constexpr std::size_t kHeaderBytes = 24;
constexpr std::size_t kMapBytes = 36;
constexpr std::size_t kPeerBytes = 56;
constexpr std::uint8_t kResponseBit = 0x80;
/// Options below this must be understood by who is asked. Section 7.3.
constexpr std::uint8_t kFirstOptional = 128;

enum class OptionCode : std::uint8_t { third_party = 1, prefer_failure = 2, filter = 3 };

void put_ip(Bytes& out, const IpAddress& ip) {
  if (ip.is_v4()) {
    out.insert(out.end(), 10, 0);
    out.insert(out.end(), 2, 0xff);
  }
  out.insert(out.end(), ip.bytes().begin(), ip.bytes().end());
}

IpAddress take_ip(BytesView bytes, std::size_t at) {
  std::array<std::uint8_t, 16> raw;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), raw.size(), raw.begin());
  return IpAddress::v6(raw).unmapped();
}

std::size_t body_bytes(Opcode opcode) {
  if (opcode == Opcode::map) return kMapBytes;
  return opcode == Opcode::peer ? kPeerBytes : 0;
}

void put_mapping(Bytes& out, Opcode opcode, const std::optional<Mapping>& mapping) {
  if (body_bytes(opcode) == 0) return;
  const auto body = mapping.value_or(Mapping{});
  out.insert(out.end(), body.nonce.begin(), body.nonce.end());
  out.push_back(body.protocol);
  out.insert(out.end(), 3, 0);
  put(out, body.internal_port);
  put(out, body.external.port);
  put_ip(out, body.external.ip);
  if (opcode != Opcode::peer) return;
  const auto remote = body.remote.value_or(Endpoint{});
  put(out, remote.port);
  out.insert(out.end(), 2, 0);
  put_ip(out, remote.ip);
}

Mapping take_mapping(BytesView bytes, Opcode opcode) {
  Mapping mapping;
  std::copy_n(bytes.begin(), mapping.nonce.size(), mapping.nonce.begin());
  mapping.protocol = bytes[12];
  mapping.internal_port = take<std::uint16_t>(bytes, 16);
  mapping.external = {take_ip(bytes, 20), take<std::uint16_t>(bytes, 18)};
  if (opcode == Opcode::peer)
    mapping.remote = Endpoint{take_ip(bytes, 40), take<std::uint16_t>(bytes, 36)};
  return mapping;
}

void put_option(Bytes& out, OptionCode code, std::uint16_t size) {
  out.push_back(static_cast<std::uint8_t>(code));
  out.push_back(0);
  put(out, size);
}

void put_options(Bytes& out, const Options& options) {
  if (options.third_party) {
    put_option(out, OptionCode::third_party, 16);
    put_ip(out, *options.third_party);
  }
  if (options.prefer_failure) put_option(out, OptionCode::prefer_failure, 0);
  for (const auto& filter : options.filters) {
    put_option(out, OptionCode::filter, 20);
    out.push_back(0);
    out.push_back(filter.prefix_bits);
    put(out, filter.remote.port);
    put_ip(out, filter.remote.ip);
  }
}

/// Errors: `Errc::malformed` (of the wrong length, or twice), `Errc::not_supported`.
Result<> take_option(std::uint8_t code, BytesView data, bool must_understand, Options& out) {
  switch (static_cast<OptionCode>(code)) {
    case OptionCode::third_party:
      if (data.size() != 16 || out.third_party) return Errc::malformed;
      out.third_party = take_ip(data, 0);
      return ok;
    case OptionCode::prefer_failure:
      if (!data.empty() || out.prefer_failure) return Errc::malformed;
      out.prefer_failure = true;
      return ok;
    case OptionCode::filter:
      if (data.size() != 20 || data[1] > 128) return Errc::malformed;
      out.filters.push_back({data[1], {take_ip(data, 4), take<std::uint16_t>(data, 2)}});
      return ok;
  }
  return must_understand && code < kFirstOptional ? Result<>(Errc::not_supported) : Result<>(ok);
}

Result<Options> take_options(BytesView bytes, bool must_understand) {
  Options out;
  for (std::size_t count = 0; !bytes.empty(); ++count) {
    if (count == kMaxOptions) return Errc::too_large;
    if (bytes.size() < 4) return Errc::malformed;
    const std::size_t size = take<std::uint16_t>(bytes, 2);
    const auto padded = (size + 3) / 4 * 4;
    if (bytes.size() < 4 + padded) return Errc::malformed;
    PYRSIA_TRY(take_option(bytes[0], bytes.subspan(4, size), must_understand, out));
    bytes = bytes.subspan(4 + padded);
  }
  return out;
}

/// What both directions are checked for. Section 8.2 and 8.3.
Result<> check_size(BytesView bytes) {
  if (bytes.size() > kMaxMessageBytes) return Errc::too_large;
  if (bytes.size() < 4) return Errc::malformed;
  return ok;
}

Result<Opcode> take_opcode(std::uint8_t byte) {
  const auto code = static_cast<std::uint8_t>(byte & ~kResponseBit);
  if (code > static_cast<std::uint8_t>(Opcode::peer)) return Errc::not_supported;
  return static_cast<Opcode>(code);
}

std::string_view name(Opcode opcode) {
  if (opcode == Opcode::announce) return "ANNOUNCE";
  return opcode == Opcode::map ? "MAP" : "PEER";
}

std::string protocol_text(std::uint8_t protocol) {
  if (protocol == static_cast<std::uint8_t>(Transport::tcp)) return "tcp";
  if (protocol == static_cast<std::uint8_t>(Transport::udp)) return "udp";
  return protocol == 0 ? "all" : "protocol " + std::to_string(protocol);
}

std::string seconds_text(std::uint32_t seconds) {
  return std::to_string(seconds) + " s";
}

}  // namespace

Bytes encode(const Request& request) {
  Bytes out;
  out.push_back(request.version);
  out.push_back(static_cast<std::uint8_t>(request.opcode));
  out.insert(out.end(), 2, 0);
  put(out, request.lifetime_seconds);
  put_ip(out, request.client);
  put_mapping(out, request.opcode, request.mapping);
  put_options(out, request.options);
  assert(out.size() <= kMaxMessageBytes);
  return out;
}

Bytes encode(const Response& response) {
  Bytes out;
  out.push_back(response.version);
  out.push_back(static_cast<std::uint8_t>(response.opcode) | kResponseBit);
  out.push_back(0);
  out.push_back(static_cast<std::uint8_t>(response.result));
  put(out, response.lifetime_seconds);
  put(out, response.epoch_seconds);
  out.insert(out.end(), 12, 0);
  if (response.mapping) put_mapping(out, response.opcode, response.mapping);
  put_options(out, response.options);
  assert(out.size() <= kMaxMessageBytes);
  return out;
}

Result<Request> decode_request(BytesView bytes) {
  PYRSIA_TRY(check_size(bytes));
  if ((bytes[1] & kResponseBit) != 0) return Errc::malformed;
  Request out;
  out.version = bytes[0];
  if (out.version != kVersion) return out;  // The answer names the version that we speak.
  if (bytes.size() % 4 != 0 || bytes.size() < kHeaderBytes) return Errc::malformed;
  PYRSIA_TRY(out.opcode, take_opcode(bytes[1]));
  out.lifetime_seconds = take<std::uint32_t>(bytes, 4);
  out.client = take_ip(bytes, 8);
  auto rest = bytes.subspan(kHeaderBytes);
  const auto size = body_bytes(out.opcode);
  if (rest.size() < size) return Errc::malformed;
  if (size > 0) out.mapping = take_mapping(rest, out.opcode);
  PYRSIA_TRY(out.options, take_options(rest.subspan(size), true));
  return out;
}

Result<Response> decode_response(BytesView bytes) {
  PYRSIA_TRY(check_size(bytes));
  if ((bytes[1] & kResponseBit) == 0) return Errc::malformed;
  Response out;
  out.version = bytes[0];
  out.result = static_cast<ResultCode>(bytes[3]);
  if (out.version != kVersion) return out;
  if (bytes.size() % 4 != 0 || bytes.size() < kHeaderBytes) return Errc::malformed;
  PYRSIA_TRY(out.opcode, take_opcode(bytes[1]));
  out.lifetime_seconds = take<std::uint32_t>(bytes, 4);
  out.epoch_seconds = take<std::uint32_t>(bytes, 8);
  auto rest = bytes.subspan(kHeaderBytes);
  const auto size = body_bytes(out.opcode);
  // Who did not understand us may answer with less than we sent.
  if (rest.size() < size) {
    if (out.result == ResultCode::success) return Errc::malformed;
    return out;
  }
  if (size > 0) out.mapping = take_mapping(rest, out.opcode);
  auto options = take_options(rest.subspan(size), false);
  if (options) out.options = *std::move(options);
  if (!options && out.result == ResultCode::success) return options.error();
  return out;
}

std::string name(ResultCode code) {
  constexpr std::array kNames{
      "SUCCESS",          "UNSUPP_VERSION",        "NOT_AUTHORIZED",   "MALFORMED_REQUEST",
      "UNSUPP_OPCODE",    "UNSUPP_OPTION",         "MALFORMED_OPTION", "NETWORK_FAILURE",
      "NO_RESOURCES",     "UNSUPP_PROTOCOL",       "USER_EX_QUOTA",    "CANNOT_PROVIDE_EXTERNAL",
      "ADDRESS_MISMATCH", "EXCESSIVE_REMOTE_PEERS"};
  const auto number = static_cast<std::size_t>(code);
  return number < kNames.size() ? kNames[number] : "result " + std::to_string(number);
}

std::string_view meaning(ResultCode code) {
  switch (code) {
    case ResultCode::success: return "granted";
    case ResultCode::unsupp_version: return "the router speaks another version";
    case ResultCode::not_authorized:
      return "the router is set not to let this machine open ports, or the mapping is another's";
    case ResultCode::malformed_request: return "the router could not read the request";
    case ResultCode::unsupp_opcode: return "the router does not do this";
    case ResultCode::unsupp_option: return "the router does not know an option of ours";
    case ResultCode::malformed_option: return "the router could not read an option of ours";
    case ResultCode::network_failure:
      return "the router has no outside address, or one that is not public";
    case ResultCode::no_resources: return "the router has no room for mappings now";
    case ResultCode::unsupp_protocol: return "the router does not map this kind of port";
    case ResultCode::user_ex_quota: return "this machine has as many mappings as it may have";
    case ResultCode::cannot_provide_external:
      return "the outside address or port that was asked for is taken";
    case ResultCode::address_mismatch:
      return "another NAT is between this machine and the router that was asked (double NAT)";
    case ResultCode::excessive_remote_peers: return "more filters than the router can keep";
  }
  return "a result that no specification has";
}

Errc error_of(ResultCode code) {
  switch (code) {
    case ResultCode::unsupp_version:
    case ResultCode::unsupp_opcode:
    case ResultCode::unsupp_protocol:
    case ResultCode::unsupp_option: return Errc::not_supported;
    case ResultCode::network_failure:
    case ResultCode::no_resources:
    case ResultCode::user_ex_quota:
    case ResultCode::cannot_provide_external:
    case ResultCode::excessive_remote_peers: return Errc::unavailable;
    case ResultCode::not_authorized:
    case ResultCode::address_mismatch: return Errc::refused;
    default: return Errc::protocol_violation;
  }
}

std::string to_string(const Request& request) {
  std::string text = "PCP " + std::string(name(request.opcode));
  if (request.version != kVersion) return text + " of version " + std::to_string(request.version);
  if (request.mapping) {
    const auto& mapping = *request.mapping;
    text += " " + protocol_text(mapping.protocol) + " " + std::to_string(mapping.internal_port);
    if (mapping.remote) text += " towards " + mapping.remote->to_string();
    text += request.lifetime_seconds == 0 ? ", take it away"
                                          : ", lifetime " + seconds_text(request.lifetime_seconds);
    if (mapping.external.port != 0) text += ", as " + mapping.external.to_string();
  }
  if (request.options.third_party) text += ", for " + request.options.third_party->to_string();
  return text + ", from " + request.client.to_string();
}

std::string to_string(const Response& response) {
  if (response.version != kVersion)
    return "version " + std::to_string(response.version) + " " + name(response.result);
  auto text = "PCP " + std::string(name(response.opcode)) + " " + name(response.result);
  if (response.result != ResultCode::success) {
    return text + ": " + std::string(meaning(response.result)) + ", for " +
           seconds_text(response.lifetime_seconds);
  }
  if (response.mapping) {
    const auto& mapping = *response.mapping;
    text += ": " + protocol_text(mapping.protocol) + " " + std::to_string(mapping.internal_port) +
            " is " + mapping.external.to_string() + " for " +
            seconds_text(response.lifetime_seconds);
  }
  return text + ", epoch " + seconds_text(response.epoch_seconds);
}

}  // namespace pyrsia::portmap::pcp
