#include "nat/stun/ask_once.hpp"
#include "nat/stun/named_address.hpp"
#include "nat/stun/server.hpp"

#include <pyrsia/stun.hpp>

namespace pyrsia {
namespace {

const LogSink kSilence;

stun::ServerConfig config_of(StunServerConfig config) {
  stun::ServerConfig out;
  out.udp = std::move(config.udp);
  out.tcp = std::move(config.tcp);
  out.responder.limit = stun::limit_of(config.per_source_per_second);
  return out;
}

stun::Query query_to(const Endpoint& server) {
  stun::Query query;
  query.server = server;
  query.plan = stun::RetransmitPlan::quick();
  return query;
}

Task<StunAnswer> answer_of(Task<stun::Response> asking) {
  PYRSIA_CO_TRY(const auto response, co_await std::move(asking));
  StunAnswer answer;
  answer.mapped = response.mapped;
  answer.round_trip = response.round_trip;
  if (response.other && stun::may_be_named(*response.other, response.from.ip))
    answer.other = response.other;
  co_return answer;
}

}  // namespace

Task<StunAnswer> stun_query(Runtime& runtime, Endpoint server) {
  return answer_of(stun::ask_once(runtime.env(), query_to(server)));
}

Task<StunAnswer> stun_query(Runtime& runtime, Endpoint server, StunCredentials credentials) {
  stun::Credentials same{std::move(credentials.username), std::move(credentials.password)};
  return answer_of(stun::ask_once(runtime.env(), query_to(server), std::move(same)));
}

struct StunServer::State {
  State(Env& env, StunServerConfig config)
      : server(env, config_of(std::move(config)), Logger("stun", kSilence)) {}
  stun::Server server;
};

StunServer::StunServer(Runtime& runtime, StunServerConfig config)
    : state_(std::make_unique<State>(runtime.env(), std::move(config))) {}

StunServer::~StunServer() = default;

Result<> StunServer::start(std::string* detail) {
  return state_->server.start(detail);
}

Task<> StunServer::stop() {
  co_return co_await state_->server.stop();
}

std::vector<Endpoint> StunServer::udp_endpoints() const {
  return state_->server.udp_endpoints();
}

std::vector<Endpoint> StunServer::tcp_endpoints() const {
  return state_->server.tcp_endpoints();
}

std::map<std::string, std::uint64_t> StunServer::counters() const {
  return state_->server.counters();
}

}  // namespace pyrsia
