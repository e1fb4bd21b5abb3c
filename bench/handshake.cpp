#include "handshake.hpp"

#include "mux/yamux/session.hpp"
#include "secure/noise/handshake.hpp"
#include "wire/buffered_stream.hpp"
#include "wire/multistream.hpp"

#include <cstdio>

namespace pyrsia::bench {
namespace {

using secure::noise::Identity;

bool is_noise(std::string_view protocol) {
  return protocol == secure::noise::kProtocol;
}

Task<> answer_one(Env& env, const Identity& identity, std::unique_ptr<Stream> raw) {
  std::unique_ptr<Stream> stream = std::make_unique<wire::BufferedStream>(std::move(raw));
  const std::vector<std::string> unlisted;
  const std::optional<PeerId> anybody;
  PYRSIA_CO_TRY(co_await wire::answer(*stream, is_noise, unlisted));
  const auto secured =
      co_await secure::noise::handshake(env, std::move(stream), Role::responder, identity, anybody);
  if (!secured) co_return secured.error();
  co_return ok;  // Closes the connection: the client waits for it.
}

Task<> make_one(Env& env, const Identity& identity, Endpoint remote, PeerId server) {
  const TcpConnectOptions options;
  PYRSIA_CO_TRY(auto raw, co_await env.tcp_connect(remote, options));
  std::unique_ptr<Stream> stream = std::make_unique<wire::BufferedStream>(std::move(raw));
  stream = wire::propose_lazily(std::move(stream), std::string(secure::noise::kProtocol));
  PYRSIA_CO_TRY(auto secured, co_await secure::noise::handshake(env, std::move(stream),
                                                                Role::initiator, identity, server));
  const auto end = co_await secured.channel->read();
  if (end) co_return Errc::protocol_violation;
  co_return ok;
}

Task<> make_many(Env& env, const Identity& identity, const Load& load, TimePoint until,
                 std::uint64_t& done) {
  while (env.now() < until) {
    PYRSIA_CO_TRY(co_await make_one(env, identity, *load.to.endpoint(), *load.to.peer_id()));
    ++done;
  }
  co_return ok;
}

}  // namespace

Task<> serve_handshakes(Env& env, Multiaddr address) {
  const auto key = KeyPair::generate();
  const Identity identity(env, key, {std::string(mux::yamux::kProtocol)});
  const auto endpoint = address.endpoint();
  if (!endpoint) co_return Errc::invalid_argument;
  const TcpListenOptions options;
  PYRSIA_CO_TRY(const auto listener, env.tcp_listen(*endpoint, options));
  const auto bound = Multiaddr::tcp(listener->local()).with_peer(key.peer_id());
  std::printf("ready %s\n", bound.to_string().c_str());
  std::fflush(stdout);
  TaskGroup tasks(env);
  for (;;) {
    auto raw = co_await listener->accept();
    if (!raw) break;
    tasks.spawn(answer_one(env, identity, *std::move(raw)));
  }
  tasks.cancel();
  co_return co_await tasks.join();
}

Task<> handshakes(Env& env, Load load) {
  const auto key = KeyPair::generate();
  const Identity identity(env, key, {std::string(mux::yamux::kProtocol)});
  const auto begin = env.now();
  std::uint64_t done = 0;
  TaskGroup dialers(env);
  for (int i = 0; i < load.at_once; ++i)
    dialers.spawn(make_many(env, identity, load, begin + load.duration, done));
  PYRSIA_CO_TRY(co_await dialers.join());
  const auto elapsed = std::chrono::duration<double>(env.now() - begin).count();
  std::printf("result per_second=%.1f\n", double(done) / elapsed);
  co_return ok;
}

}  // namespace pyrsia::bench
