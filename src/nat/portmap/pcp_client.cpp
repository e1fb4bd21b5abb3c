#include "nat/portmap/pcp_client.hpp"

#include "nat/portmap/pcp_refusals.hpp"

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

Errc PcpClient::refused(ResultCode result, std::string& detail) {
  outside_.is_missing = result == ResultCode::network_failure;
  outside_.has_nat_between = result == ResultCode::address_mismatch;
  detail = name(result) + ": " + std::string(meaning(result));
  return error_of(result);
}

Task<Response> PcpClient::exchange(const Request& request, std::string& detail) {
  // ANNOUNCE is asked all the same: by it a restart is known.
  auto* const refusals = request.mapping ? context_.refusals : nullptr;
  const auto now = context_.env.now() + context_.env.slept();
  if (const auto known = refusals ? refusals->of(route_.server, request, now) : std::nullopt) {
    context_.metrics.requests_withheld.add();
    const auto error = refused(*known, detail);
    context_.say(to_string(request) + " is not sent: the router's refusal holds still: " + detail);
    co_return error;
  }
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
  const EpochSample sample{response.epoch_seconds, context_.env.now() + context_.env.slept()};
  const bool has_epoch = response.epoch_seconds > 0 || response.result == ResultCode::success;
  if (has_epoch) epoch_ = sample;
  if (has_epoch && context_.refusals) context_.refusals->heard(route_.server, sample);
  if (response.result == ResultCode::success) co_return response;
  context_.metrics.refusals.add();
  if (refusals) refusals->add(route_.server, request, response, sample);
  co_return refused(response.result, detail);
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
