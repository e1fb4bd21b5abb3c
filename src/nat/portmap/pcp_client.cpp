#include "nat/portmap/pcp_client.hpp"

#include <algorithm>

namespace pyrsia::portmap::pcp {
namespace {

std::uint32_t seconds_of(Duration lifetime) {
  using std::chrono::duration_cast, std::chrono::seconds;
  return static_cast<std::uint32_t>(
      duration_cast<seconds>(std::min(lifetime, kMaxLifetime)).count());
}

Duration lifetime_of(const Response& response) {
  return std::min<Duration>(std::chrono::seconds(response.lifetime_seconds), kMaxLifetime);
}

}  // namespace

bool answers(const Response& response, const Request& request) {
  // Another version's answer says only that: nothing in it could be compared.
  if (response.version != kVersion) return response.result == ResultCode::unsupp_version;
  if (response.opcode != request.opcode) return false;
  if (!request.mapping) return true;
  if (!response.mapping) return response.result != ResultCode::success;
  const auto& asked = *request.mapping;
  const auto& got = *response.mapping;
  return got.nonce == asked.nonce && got.protocol == asked.protocol &&
         got.internal_port == asked.internal_port && got.remote == asked.remote;
}

Task<Response> PcpClient::exchange(const Request& request, std::string& detail) {
  const Endpoint local{route_.local, 0};
  PYRSIA_CO_TRY(const auto socket, context_.env.udp_bind(local));
  Question question;
  question.server = {route_.server, kServerPort};
  question.bytes = encode(request);
  question.words = to_string(request);
  question.is_answer = [&request](BytesView bytes) {
    const auto response = decode_response(bytes);
    return response && answers(*response, request);
  };
  PYRSIA_CO_TRY(const auto bytes, co_await ask(context_, *socket, question, plan_));
  auto response = *decode_response(bytes);
  context_.say("from " + question.server.to_string() + ": " + to_string(response));
  if (response.version != kVersion) {
    detail = "the router speaks version " + std::to_string(response.version) +
             (response.version == 0 ? ", which is NAT-PMP" : " of PCP, which we do not");
    co_return Errc::not_supported;
  }
  if (response.epoch_seconds > 0 || response.result == ResultCode::success)
    epoch_ = EpochSample{response.epoch_seconds, context_.env.now() + context_.env.slept()};
  if (response.result == ResultCode::success) co_return response;
  outside_.is_missing = response.result == ResultCode::network_failure;
  context_.metrics.refusals.add();
  detail = name(response.result) + ": " + std::string(meaning(response.result));
  co_return error_of(response.result);
}

Task<Presence> PcpClient::discover(std::string& detail) {
  Request request;
  request.client = route_.client;
  const auto response = co_await exchange(request, detail);
  Presence presence;
  if (response) {
    presence.words = "PCP version 2, up for " + std::to_string(response->epoch_seconds) + " s";
    co_return presence;
  }
  // A server that only maps is a server all the same.
  const bool speaks = response.error() == Errc::not_supported && epoch_;
  if (!speaks) co_return response.error();
  presence.words = "PCP version 2";
  co_return presence;
}

Request PcpClient::request_for(const MapRequest& request, Opcode opcode) const {
  Request out;
  out.opcode = opcode;
  out.lifetime_seconds = seconds_of(request.lifetime);
  out.client = route_.client;
  Mapping mapping;
  mapping.nonce = nonce_;
  mapping.protocol = static_cast<std::uint8_t>(request.transport);
  mapping.internal_port = request.internal.port;
  mapping.external = request.suggested;
  // "No preference" has the family that we want to be reached in. Section 11.1.
  if (mapping.external.ip.is_unspecified())
    mapping.external.ip = request.internal.ip.is_v6() ? IpAddress::v6_any() : IpAddress::v4_any();
  out.mapping = mapping;
  out.options.third_party = third_party_;
  return out;
}

Task<Grant> PcpClient::map(Request request, std::string& detail) {
  PYRSIA_CO_TRY(const auto response, co_await exchange(request, detail));
  Grant grant;
  grant.external = response.mapping->external;
  outside_ = {grant.external.ip, false};
  grant.lifetime = lifetime_of(response);
  if (grant.external.port == 0 || response.lifetime_seconds == 0) {
    detail = "the router says yes, but to " + grant.external.to_string() + " for " +
             std::to_string(response.lifetime_seconds) + " s";
    co_return Errc::protocol_violation;
  }
  co_return grant;
}

Task<Grant> PcpClient::map(const MapRequest& request, std::optional<Grant> before,
                           std::string& detail) {
  auto asked = request_for(request, Opcode::map);
  if (before) asked.mapping->external = before->external;
  return map(std::move(asked), detail);
}

Task<Grant> PcpClient::peer(const MapRequest& request, Endpoint remote, std::string& detail) {
  auto asked = request_for(request, Opcode::peer);
  asked.mapping->remote = remote;
  return map(std::move(asked), detail);
}

Task<> PcpClient::unmap(const MapRequest& request, const Grant& granted, std::string& detail) {
  auto asked = request_for(request, Opcode::map);
  asked.lifetime_seconds = 0;
  asked.mapping->external = granted.external;
  PYRSIA_CO_TRY(co_await exchange(asked, detail));
  co_return ok;
}

Task<std::vector<ListedMapping>> PcpClient::list(std::string& detail) {
  detail = "PCP cannot list mappings";
  co_return Errc::not_supported;
}

}  // namespace pyrsia::portmap::pcp
