#include "nat/portmap/nat_pmp_client.hpp"

#include <algorithm>

namespace pyrsia::portmap::nat_pmp {
namespace {

Request::Mapping mapping_for(const MapRequest& request) {
  using std::chrono::duration_cast, std::chrono::seconds;
  const auto lifetime = duration_cast<seconds>(std::min(request.lifetime, kMaxLifetime)).count();
  return {request.transport, request.internal.port, request.suggested.port,
          static_cast<std::uint32_t>(lifetime)};
}

}  // namespace

bool answers(const Response& response, const Request& request) {
  if (response.mapping.has_value() != request.mapping.has_value()) return false;
  if (!request.mapping) return true;
  if (response.mapping->transport != request.mapping->transport) return false;
  // An error may come without the ports.
  return response.mapping->internal_port == request.mapping->internal_port ||
         (response.result != ResultCode::success && response.mapping->internal_port == 0);
}

Task<Response> NatPmpClient::exchange(const Request& request, std::string& detail) {
  if (route_.server.is_v6()) {
    detail = "NAT-PMP is for IPv4 only";
    co_return Errc::not_supported;
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
  const auto response = *decode_response(bytes);
  context_.say("from " + question.server.to_string() + ": " + to_string(response));
  epoch_ = EpochSample{response.epoch_seconds, context_.env.now() + context_.env.slept()};
  if (response.result == ResultCode::success) co_return response;
  outside_.is_missing = response.result == ResultCode::network_failure;
  context_.metrics.refusals.add();
  detail = name(response.result) + ": " + std::string(meaning(response.result));
  co_return error_of(response.result);
}

Task<Presence> NatPmpClient::discover(std::string& detail) {
  const Request request;
  PYRSIA_CO_TRY(const auto response, co_await exchange(request, detail));
  outside_ = {response.external, false};
  Presence presence;
  presence.external = response.external;
  presence.words = "NAT-PMP, outside address " + response.external.to_string() + ", up for " +
                   std::to_string(response.epoch_seconds) + " s";
  co_return presence;
}

Task<Grant> NatPmpClient::map(const MapRequest& request, std::optional<Grant> before,
                              std::string& detail) {
  Request asked;
  asked.mapping = mapping_for(request);
  if (before) asked.mapping->external_port = before->external.port;
  PYRSIA_CO_TRY(const auto response, co_await exchange(asked, detail));
  Grant grant;
  grant.external.port = response.mapping->external_port;
  grant.lifetime =
      std::min<Duration>(std::chrono::seconds(response.mapping->lifetime_seconds), kMaxLifetime);
  if (grant.external.port == 0 || response.mapping->lifetime_seconds == 0) {
    detail = "the router says yes, but to port " + std::to_string(grant.external.port) + " for " +
             std::to_string(response.mapping->lifetime_seconds) + " s";
    co_return Errc::protocol_violation;
  }
  // The outside address is another question.
  const Request address;
  PYRSIA_CO_TRY(const auto outside, co_await exchange(address, detail));
  outside_ = {outside.external, false};
  grant.external.ip = outside.external;
  co_return grant;
}

Task<> NatPmpClient::unmap(const MapRequest& request, const Grant&, std::string& detail) {
  Request asked;
  asked.mapping = mapping_for(request);
  asked.mapping->lifetime_seconds = 0;
  asked.mapping->external_port = 0;  // Section 3.4 wants it so.
  PYRSIA_CO_TRY(co_await exchange(asked, detail));
  co_return ok;
}

Task<std::vector<ListedMapping>> NatPmpClient::list(std::string& detail) {
  detail = "NAT-PMP cannot list mappings";
  co_return Errc::not_supported;
}

}  // namespace pyrsia::portmap::nat_pmp
