// Our peer in the interoperability tests: does what it is told on standard input.

#include "node.hpp"

#include <charconv>
#include <functional>
#include <iostream>
#include <span>

namespace pyrsia::interop {
namespace {

Result<Flags> parse(std::span<char*> arguments) {
  Flags flags;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string name = arguments[i];
    if (name == "--autonat-server") {
      flags.serves_autonat = true;
    } else if (name == "--allow-loopback") {
      flags.allows_loopback = true;
    } else if (i + 1 == arguments.size()) {
      return Errc::invalid_argument;
    } else if (name == "--listen" || name == "--announce") {
      PYRSIA_TRY(auto address, Multiaddr::parse(arguments[++i]));
      (name == "--listen" ? flags.listen : flags.announce).push_back(std::move(address));
    } else if (name == "--security") {
      const std::string value = arguments[++i];
      if (value != "noise" && value != "tls") return Errc::invalid_argument;
      flags.security = value == "tls" ? "/tls/1.0.0" : "/noise";
    } else if (name == "--web-tls") {
      flags.web_tls = arguments[++i];
    } else if (name == "--key-seed") {
      const std::string_view text = arguments[++i];
      const auto end = text.data() + text.size();
      if (std::from_chars(text.data(), end, flags.key_seed).ptr != end)
        return Errc::invalid_argument;
    } else {
      return Errc::invalid_argument;
    }
  }
  return flags;
}

Task<> obey(Env& env, Node& node) {
  for (;;) {
    std::string line;
    bool is_at_end = false;
    std::function<void()> read = [&] { is_at_end = !std::getline(std::cin, line); };
    PYRSIA_CO_TRY(co_await env.run_blocking(std::move(read)));
    if (is_at_end) co_return ok;
    Error error;
    auto value = json::parse(line, error);
    if (error || !value.is_object()) co_return Errc::malformed;
    auto& command = value.as_object();
    const auto* name = command.if_contains("cmd");
    if (name == nullptr || *name != "quit") {
      node.begin(std::move(command));
      continue;
    }
    json::object reply;
    reply["event"] = "reply";
    reply["id"] = command["id"];
    reply["ok"] = true;
    print(reply);
    co_return ok;
  }
}

Task<> serve(Env& env, Node& node) {
  PYRSIA_CO_TRY(node.start());
  const auto obeyed = co_await obey(env, node);
  PYRSIA_CO_TRY(co_await node.stop());
  co_return obeyed;
}

}  // namespace
}  // namespace pyrsia::interop

int main(int argc, char** argv) {
  using namespace pyrsia;
  const std::span<char*> arguments(argv + 1, static_cast<std::size_t>(argc - 1));
  const auto flags = interop::parse(arguments);
  if (!flags) {
    std::cerr << "pyrsia_interop: cannot understand the arguments: " << flags.error().message()
              << "\n";
    return 2;
  }
  const auto env = make_real_env(RealEnvConfig());
  interop::Node node(*env, *flags);
  const auto served = run(*env, interop::serve(*env, node), nullptr);
  if (!served) std::cerr << "pyrsia_interop: " << served.error().message() << "\n";
  return served ? 0 : 1;
}
