#include "nat/portmap/nat_pmp_wire.hpp"

#include "nat/portmap/byte_order.hpp"

#include <array>

namespace pyrsia::portmap::nat_pmp {
namespace {

constexpr std::uint8_t kResponseBit = 0x80;
constexpr std::size_t kErrorBytes = 8;
constexpr std::size_t kAddressBytes = 12;
constexpr std::size_t kMapRequestBytes = 12;
constexpr std::size_t kMapResponseBytes = 16;

std::uint8_t opcode_of(const std::optional<Request::Mapping>& mapping) {
  if (!mapping) return 0;
  return mapping->transport == Transport::udp ? 1 : 2;
}

Transport transport_of(std::uint8_t opcode) {
  return opcode == 1 ? Transport::udp : Transport::tcp;
}

Result<> check_size(BytesView bytes) {
  if (bytes.size() > kMaxMessageBytes) return Errc::too_large;
  if (bytes.size() < 2) return Errc::malformed;
  return ok;
}

}  // namespace

Bytes encode(const Request& request) {
  Bytes out{kVersion, opcode_of(request.mapping)};
  if (!request.mapping) return out;
  out.insert(out.end(), 2, 0);
  put(out, request.mapping->internal_port);
  put(out, request.mapping->external_port);
  put(out, request.mapping->lifetime_seconds);
  return out;
}

Bytes encode(const Response& response) {
  Bytes out{kVersion, static_cast<std::uint8_t>(opcode_of(response.mapping) | kResponseBit)};
  put(out, static_cast<std::uint16_t>(response.result));
  put(out, response.epoch_seconds);
  if (response.mapping) {
    put(out, response.mapping->internal_port);
    put(out, response.mapping->external_port);
    put(out, response.mapping->lifetime_seconds);
  } else {
    const auto ip = response.external.is_v4() ? response.external : IpAddress::v4_any();
    out.insert(out.end(), ip.bytes().begin(), ip.bytes().end());
  }
  return out;
}

Result<Request> decode_request(BytesView bytes) {
  PYRSIA_TRY(check_size(bytes));
  if (bytes[0] != kVersion || bytes[1] > 2) return Errc::not_supported;
  Request out;
  if (bytes[1] == 0) return out;
  if (bytes.size() < kMapRequestBytes) return Errc::malformed;
  out.mapping = Request::Mapping{transport_of(bytes[1]), take<std::uint16_t>(bytes, 4),
                                 take<std::uint16_t>(bytes, 6), take<std::uint32_t>(bytes, 8)};
  return out;
}

Result<Response> decode_response(BytesView bytes) {
  PYRSIA_TRY(check_size(bytes));
  if ((bytes[1] & kResponseBit) == 0) return Errc::malformed;
  const auto opcode = static_cast<std::uint8_t>(bytes[1] & ~kResponseBit);
  if (bytes[0] != kVersion || opcode > 2) return Errc::not_supported;
  if (bytes.size() < kErrorBytes) return Errc::malformed;
  Response out;
  out.result = static_cast<ResultCode>(take<std::uint16_t>(bytes, 2));
  out.epoch_seconds = take<std::uint32_t>(bytes, 4);
  const auto whole = opcode == 0 ? kAddressBytes : kMapResponseBytes;
  if (bytes.size() < whole && out.result == ResultCode::success) return Errc::malformed;
  if (opcode != 0) out.mapping = Request::Mapping{transport_of(opcode), 0, 0, 0};
  if (bytes.size() < whole) return out;
  if (opcode == 0) {
    out.external = IpAddress::v4({bytes[8], bytes[9], bytes[10], bytes[11]});
  } else {
    out.mapping->internal_port = take<std::uint16_t>(bytes, 8);
    out.mapping->external_port = take<std::uint16_t>(bytes, 10);
    out.mapping->lifetime_seconds = take<std::uint32_t>(bytes, 12);
  }
  return out;
}

std::string name(ResultCode code) {
  constexpr std::array kNames{"Success",         "Unsupported Version", "Not Authorized",
                              "Network Failure", "Out of Resources",    "Unsupported Opcode"};
  const auto number = static_cast<std::size_t>(code);
  return number < kNames.size() ? kNames[number] : "result " + std::to_string(number);
}

std::string_view meaning(ResultCode code) {
  switch (code) {
    case ResultCode::success: return "granted";
    case ResultCode::unsupported_version: return "the router speaks another version";
    case ResultCode::not_authorized: return "the router is set not to let anybody open ports";
    case ResultCode::network_failure:
      return "the router has no outside address, or one that is not public";
    case ResultCode::out_of_resources: return "the router has no room for mappings now";
    case ResultCode::unsupported_opcode: return "the router does not do this";
  }
  return "a result that no specification has";
}

Errc error_of(ResultCode code) {
  switch (code) {
    case ResultCode::unsupported_version:
    case ResultCode::unsupported_opcode: return Errc::not_supported;
    case ResultCode::not_authorized: return Errc::refused;
    case ResultCode::network_failure:
    case ResultCode::out_of_resources: return Errc::unavailable;
    default: return Errc::protocol_violation;
  }
}

std::string to_string(const Request& request) {
  if (!request.mapping) return "NAT-PMP external address?";
  const auto& mapping = *request.mapping;
  const auto port = mapping.internal_port == 0 ? "all" : std::to_string(mapping.internal_port);
  auto text = "NAT-PMP map " + std::string(name(mapping.transport)) + " " + port;
  if (mapping.lifetime_seconds == 0) return text + ", take it away";
  text += ", lifetime " + std::to_string(mapping.lifetime_seconds) + " s";
  if (mapping.external_port != 0) text += ", as port " + std::to_string(mapping.external_port);
  return text;
}

std::string to_string(const Response& response) {
  auto text = "NAT-PMP " + name(response.result);
  if (response.result != ResultCode::success)
    return text + ": " + std::string(meaning(response.result));
  if (response.mapping) {
    const auto& mapping = *response.mapping;
    text += ": " + std::string(name(mapping.transport)) + " " +
            std::to_string(mapping.internal_port) + " is port " +
            std::to_string(mapping.external_port) + " for " +
            std::to_string(mapping.lifetime_seconds) + " s";
  } else {
    text += ": the external address is " + response.external.to_string();
  }
  return text + ", epoch " + std::to_string(response.epoch_seconds) + " s";
}

}  // namespace pyrsia::portmap::nat_pmp
