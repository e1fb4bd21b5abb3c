#include "protocols/perf/server.hpp"

#include "protocols/perf/exchange.hpp"
#include "runtime/timeout.hpp"

namespace pyrsia::perf {

void Server::start() {
  swarm::ProtocolLimits limits;
  limits.streams = config_.max_streams;
  limits.streams_of_one_peer = config_.max_streams_of_one_peer;
  swarm_.handle(std::string(kProtocol), limits, [this](swarm::IncomingStream incoming) {
    return serve_stream(std::move(incoming));
  });
}

Task<> Server::serve_stream(swarm::IncomingStream incoming) {
  metrics_.runs.add();
  Progress progress;
  auto serving = serve(*incoming.stream, progress);
  const auto served = co_await with_timeout(swarm_.env(), config_.timeout, std::move(serving));
  metrics_.received_bytes.add(progress.uploaded_bytes);
  metrics_.sent_bytes.add(progress.downloaded_bytes);
  if (!served) {
    metrics_.failed.add();
    incoming.stream->reset();
  }
  co_return served;
}

}  // namespace pyrsia::perf
