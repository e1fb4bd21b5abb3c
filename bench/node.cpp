#include "node.hpp"

#include "wire/buffered_stream.hpp"
#include "wire/multistream.hpp"

#include <array>
#include <cstdio>

namespace pyrsia::bench {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;

bool is_noise(std::string_view protocol) {
  return protocol == secure::noise::kProtocol;
}

Task<> serve_one(Node& node, std::unique_ptr<Stream> raw) {
  Connection connection(node.env, node.identity, node.metrics);
  const auto started = co_await connection.start(std::move(raw), Role::responder);
  if (!started) co_return started;
  co_return co_await connection.join();
}

}  // namespace

Task<> Connection::start(std::unique_ptr<Stream> raw, Role role) {
  std::unique_ptr<Stream> stream = std::make_unique<wire::BufferedStream>(std::move(raw));
  const std::vector<std::string> unlisted;
  if (role == Role::initiator) {
    stream = wire::propose_lazily(std::move(stream), std::string(secure::noise::kProtocol));
  } else {
    PYRSIA_CO_TRY(co_await wire::answer(*stream, is_noise, unlisted));
  }
  const std::optional<PeerId> anybody;
  PYRSIA_CO_TRY(auto secured, co_await secure::noise::handshake(env_, std::move(stream), role,
                                                                identity_, anybody));
  muxer_ = mux::yamux::make_session(env_, std::move(secured.channel), role, {}, metrics_);
  tasks_.spawn(muxer_->run(*this));
  co_return ok;
}

void Connection::on_stream(std::unique_ptr<Stream> stream) {
  tasks_.spawn(serve(std::move(stream)));
}

Task<> Connection::serve(std::unique_ptr<Stream> stream) {
  Bytes bytes(1024);
  std::uint64_t total = 0;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream->read_some(bytes));
    if (count == 0) break;
    total += count;
    if (count == bytes.size()) bytes.resize(kReadBytes);
  }
  std::array<std::uint8_t, 8> answer;
  for (std::size_t i = 0; i < 8; ++i) answer[i] = std::uint8_t(total >> (8 * i));
  PYRSIA_CO_TRY(co_await stream->write_all(answer));
  co_return co_await stream->close_write();
}

Node::Node(Env& environment)
    : env(environment),
      key(KeyPair::generate()),
      identity(env, key, {std::string(mux::yamux::kProtocol)}) {}

Task<> serve(Node& node, Endpoint local) {
  TcpListenOptions options;
  PYRSIA_CO_TRY(const auto listener, node.env.tcp_listen(local, options));
  std::printf("ready %u\n", unsigned(listener->local().port));
  std::fflush(stdout);
  TaskGroup connections(node.env);
  for (;;) {
    auto raw = co_await listener->accept();
    if (!raw) break;
    connections.spawn(serve_one(node, *std::move(raw)));
  }
  connections.cancel();
  co_return co_await connections.join();
}

Task<std::unique_ptr<Connection>> dial(Node& node, Endpoint remote) {
  const TcpConnectOptions options;
  PYRSIA_CO_TRY(auto raw, co_await node.env.tcp_connect(remote, options));
  auto connection = std::make_unique<Connection>(node.env, node.identity, node.metrics);
  PYRSIA_CO_TRY(co_await connection->start(std::move(raw), Role::initiator));
  co_return connection;
}

}  // namespace pyrsia::bench
