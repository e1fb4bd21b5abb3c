#include "protocols/ping/pinger.hpp"

#include "protocols/ping/exchange.hpp"
#include "runtime/timeout.hpp"

namespace pyrsia::ping {

void Pinger::start() {
  swarm::ProtocolLimits limits;
  limits.streams_of_one_peer = config_.streams_of_one_peer;
  swarm_.handle(std::string(kProtocol), limits,
                [this](swarm::IncomingStream incoming) { return serve(std::move(incoming)); });
}

Task<Duration> Pinger::ping(PeerId peer) {
  co_return co_await counted(ask_peer(std::move(peer)));
}

Task<Duration> Pinger::ping_on(swarm::ConnectionId connection) {
  co_return co_await counted(ask_connection(connection));
}

Task<Duration> Pinger::counted(Task<Duration> round) {
  metrics_.sent.add();
  const auto took = co_await with_timeout(swarm_.env(), config_.timeout, std::move(round));
  if (!took) metrics_.failed.add();
  co_return took;
}

Task<Duration> Pinger::ask_peer(PeerId peer) {
  const std::string protocol(kProtocol);
  PYRSIA_CO_TRY(auto stream, co_await swarm_.open_stream(std::move(peer), protocol));
  co_return co_await ask_and_close(std::move(stream));
}

Task<Duration> Pinger::ask_connection(swarm::ConnectionId connection) {
  const std::string protocol(kProtocol);
  PYRSIA_CO_TRY(auto stream, co_await swarm_.open_stream_on(connection, protocol));
  co_return co_await ask_and_close(std::move(stream));
}

Task<Duration> Pinger::ask_and_close(std::unique_ptr<Stream> stream) {
  const auto took = co_await ask(swarm_.env(), *stream);
  if (!took) {
    stream->reset(took.error() == Errc::protocol_violation ? ResetCode::protocol_violation
                                                           : ResetCode::none);
    co_return took;
  }
  // Whether the peer still hears that we are done changes nothing about the answer.
  static_cast<void>(co_await stream->close_write());
  co_return took;
}

Task<> Pinger::serve(swarm::IncomingStream incoming) {
  auto& stream = *incoming.stream;
  for (;;) {
    PYRSIA_CO_TRY(const bool is_open,
                  co_await with_timeout(swarm_.env(), config_.idle_timeout, echo(stream)));
    if (!is_open) break;
    metrics_.answered.add();
  }
  co_return co_await stream.close_write();
}

}  // namespace pyrsia::ping
