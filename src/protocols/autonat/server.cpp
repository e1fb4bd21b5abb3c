#include "protocols/autonat/server.hpp"

#include "protocols/autonat/dial_filter.hpp"
#include "protocols/autonat/exchange.hpp"
#include "runtime/timeout.hpp"

namespace pyrsia::autonat {
namespace {

/// Requests being read, dialed and answered at once; the dials among them have their own limit.
constexpr std::size_t kMaxStreams = 512;

DialResponse refusal(std::string text) {
  return {Status::dial_refused, std::move(text), {}};
}

/// What a failed dial means for the client: only a network that does not let us through is its own.
DialResponse failure(Error error) {
  if (error == Errc::limit_reached) return refusal("too many connections");
  if (error == Errc::unavailable || error == Errc::not_supported)
    return refusal("no dialable addresses");
  if (error == Errc::invalid_argument || error == Errc::network_failed ||
      error == Errc::address_in_use || error == Errc::permission_denied)
    return {Status::internal_error, "cannot dial", {}};
  return {Status::dial_error, "dial failed", {}};
}

}  // namespace

/// Holds the place of a dial-back among those that are going on, whatever ends it.
class Server::Ongoing {
 public:
  Ongoing(Server& server, PeerId peer, std::size_t address_count)
      : server_(server), peer_(std::move(peer)), address_count_(address_count) {
    server_.ongoing_.insert(peer_);
    server_.dial_count_ += address_count_;
  }
  Ongoing(const Ongoing&) = delete;
  Ongoing& operator=(const Ongoing&) = delete;
  ~Ongoing() {
    server_.ongoing_.erase(peer_);
    server_.dial_count_ -= address_count_;
  }

 private:
  Server& server_;
  PeerId peer_;
  std::size_t address_count_;
};

Server::Server(swarm::Swarm& swarm, const ServerConfig& config, Observer& observer, Logger log)
    : swarm_(swarm),
      env_(swarm.env()),
      config_(config),
      observer_(observer),
      log_(log),
      throttle_(config.throttle) {}

void Server::start() {
  swarm::ProtocolLimits limits;
  limits.streams = kMaxStreams;
  limits.streams_of_one_peer = 8;
  swarm_.handle(std::string(kProtocol), limits,
                [this](swarm::IncomingStream incoming) { return serve(std::move(incoming)); });
}

Task<> Server::serve(swarm::IncomingStream incoming) {
  metrics_.requests.add();
  auto& stream = *incoming.stream;
  auto dial = co_await with_timeout(env_, config_.request_timeout, receive_request(stream));
  if (dial) {
    auto serving = serve_dial(stream, incoming.connection, *std::move(dial));
    co_return co_await std::move(serving);
  }
  if (dial.error() != Errc::malformed && dial.error() != Errc::too_large) {
    metrics_.failed.add();
    co_return dial.error();
  }
  // Old clients drop the connection if they get no answer that they can read.
  metrics_.bad_requests.add();
  DialResponse bad;
  bad.status = Status::bad_request;
  bad.text = dial.error() == Errc::too_large ? "request too large" : "malformed request";
  co_return co_await answer(stream, std::move(bad));
}

Task<> Server::serve_dial(Stream& stream, swarm::ConnectionInfo client, Dial dial) {
  auto decision = decide(client, dial);
  if (auto* refused = std::get_if<DialResponse>(&decision)) {
    report(client.peer, *refused);
    co_return co_await answer(stream, std::move(*refused));
  }
  auto [addresses, observed] = std::get<Accepted>(std::move(decision));
  throttle_.add(client.peer, observed, env_.now());
  InboundProbe request{client.peer, InboundProbe::Stage::request, addresses, ""};
  observer_.on_inbound_probe(request);

  std::optional<Ongoing> ongoing;
  ongoing.emplace(*this, client.peer, addresses.size());
  PYRSIA_CO_TRY(auto dialed, co_await dial_back(client.peer, std::move(addresses)));
  ongoing.reset();  // Before the answer: who has it may ask again.
  report(client.peer, dialed.response);
  const auto answered = co_await answer(stream, std::move(dialed.response));
  // It has served its purpose: the client still has the connection that it asked over.
  if (dialed.connection) swarm_.close_connection(*dialed.connection);
  co_return answered;
}

std::variant<Server::Accepted, DialResponse> Server::decide(const swarm::ConnectionInfo& client,
                                                            const Dial& dial) {
  if (dial.peer != client.peer) return DialResponse{Status::bad_request, "peer id mismatch", {}};
  if (ongoing_.contains(client.peer)) return refusal("dial-back already ongoing");
  const auto observed = observed_ip(client);
  const auto counted_ip = observed.value_or(IpAddress::v4_loopback());  // Which is not counted.
  switch (throttle_.check(client.peer, counted_ip, env_.now())) {
    case swarm::Throttle::Verdict::allowed: break;
    case swarm::Throttle::Verdict::too_many: return refusal("too many total dials");
    case swarm::Throttle::Verdict::too_many_of_peer: return refusal("too many dials for peer");
    case swarm::Throttle::Verdict::too_many_of_ip: return refusal("too many dials for ip address");
  }
  if (!observed) return refusal("refusing to dial peer with blocked observed address");
  auto addresses =
      dialable_addresses(dial.addresses, *observed, client.peer, config_.max_addresses);
  if (addresses.empty()) return refusal("no dialable addresses");
  if (dial_count_ + addresses.size() > config_.max_dials) return refusal("too many total dials");
  return Accepted{std::move(addresses), *observed};
}

std::optional<IpAddress> Server::observed_ip(const swarm::ConnectionInfo& client) const {
  const auto direct_ip = [&](const swarm::ConnectionInfo& connection) -> std::optional<IpAddress> {
    const auto ip = connection.remote.ip();
    if (!ip || connection.remote.is_relayed()) return {};
    if (!swarm_.classifier().is_usable_by_others(*ip)) return {};
    return ip;
  };
  if (const auto ip = direct_ip(client)) return ip;
  for (const auto& connection : swarm_.connections_to(client.peer))
    if (const auto ip = direct_ip(connection)) return ip;
  return {};
}

Task<Server::DialedBack> Server::dial_back(PeerId client, std::vector<Multiaddr> addresses) {
  swarm::DialRequest request{client, std::move(addresses)};
  request.is_only_these = true;
  request.is_new_connection = true;
  request.max_parallel = config_.max_addresses;
  request.use_new_port = true;  // Else we would come through the hole of the client's own traffic.
  auto dial = swarm_.connect(std::move(request));
  const auto connection = co_await with_timeout(env_, config_.dial_budget, std::move(dial));
  if (!connection && connection.error() == Errc::cancelled) co_return connection.error();
  DialedBack dialed;
  if (connection) {
    dialed.response.status = Status::ok;
    dialed.response.address = connection->remote.without_peer().with_peer(client);
    dialed.connection = connection->id;
  } else {
    dialed.response = failure(connection.error());
  }
  co_return dialed;
}

Task<> Server::answer(Stream& stream, DialResponse response) {
  auto responding = respond(stream, std::move(response));
  const auto answered = co_await with_timeout(env_, config_.answer_timeout, std::move(responding));
  co_return answered;
}

void Server::report(const PeerId& client, const DialResponse& response) {
  InboundProbe end{client, InboundProbe::Stage::error, {}, response.text};
  switch (response.status) {
    case Status::ok:
      metrics_.reached.add();
      end.stage = InboundProbe::Stage::response;
      end.addresses = {*response.address};
      break;
    case Status::dial_error: metrics_.not_reached.add(); break;
    case Status::dial_refused: metrics_.refused.add(); break;
    case Status::bad_request: metrics_.bad_requests.add(); break;
    case Status::internal_error: metrics_.failed.add(); break;
  }
  log_.debug("dial-back ended", {{"status", name(response.status)}, {"text", response.text}});
  observer_.on_inbound_probe(end);
}

}  // namespace pyrsia::autonat
