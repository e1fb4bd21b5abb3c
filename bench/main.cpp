// The load, both sides; README.md tells what is measured and how.
//   pyrsia_bench server|handshake-server --listen ADDRESS
//   pyrsia_bench throughput|download|first-byte|setup|idle|autonat|autonat2|handshake --to
//   ADDRESS/p2p/PEER
//                [--listen ADDRESS] [--at-once N] [--seconds S] [--security noise|tls]
//                [--also ADDRESS...]
#include "autonat2.hpp"
#include "handshake.hpp"
#include "runtime/real_env.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

using namespace pyrsia;

Result<Multiaddr> address(const char* text) {
  auto parsed = Multiaddr::parse(text);
  if (!parsed) std::fprintf(stderr, "not an address: %s\n", text);
  return parsed;
}

Result<bench::Load> load_of(int argc, char** argv) {
  bench::Load load;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const char* const value = argv[i + 1];
    if (name == "--to") {
      PYRSIA_TRY(load.to, address(value));
    } else if (name == "--also") {
      PYRSIA_TRY(auto also, address(value));
      load.also.push_back(std::move(also));
    } else if (name == "--listen") {
      PYRSIA_TRY(load.listen, address(value));
    } else if (name == "--security") {
      load.security = std::string_view(value) == "tls" ? "/tls/1.0.0" : "/noise";
    } else if (name == "--at-once") {
      load.at_once = std::atoi(value);
    } else if (name == "--seconds") {
      load.duration = std::chrono::seconds(std::atoi(value));
    } else {
      return Errc::invalid_argument;
    }
  }
  return load;
}

Result<> serve_on(Env& env, const bench::Load& load) {
  bench::Node node(env, load.security);
  node.start(true);
  return run(env, bench::serve(node, load.listen), [](int) { std::_Exit(0); });
}

Result<> start(Env& env, std::string_view what, const bench::Load& load) {
  if (what == "server") return serve_on(env, load);
  if (what == "handshake-server") return run(env, bench::serve_handshakes(env, load.listen), {});
  if (!load.to.peer_id() || !load.to.endpoint()) return Errc::invalid_argument;
  if (what == "handshake") return run(env, bench::handshakes(env, load), {});
  if (what == "throughput") return run(env, bench::throughput(env, load), {});
  if (what == "download") return run(env, bench::download(env, load), {});
  if (what == "first-byte") return run(env, bench::first_byte(env, load), {});
  if (what == "setup") return run(env, bench::setup(env, load), {});
  if (what == "idle") return run(env, bench::idle(env, load), {});
  if (what == "autonat") return run(env, bench::autonat(env, load), {});
  if (what == "autonat2") return run(env, bench::autonat2(env, load), {});
  return Errc::invalid_argument;
}

}  // namespace

int main(int argc, char** argv) {
  const auto load = load_of(argc, argv);
  const auto env = make_real_env({});
  const auto done = load ? start(*env, argc > 1 ? argv[1] : "", *load) : Result<>(load.error());
  if (!done) std::fprintf(stderr, "pyrsia_bench: %s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
