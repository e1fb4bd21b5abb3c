#include "commands.hpp"
#include "identity.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"
#include "stun_tls.hpp"
#include "terminal.hpp"

#include <pyrsia/runtime.hpp>

#include <boost/json.hpp>
#include <fmt/format.h>

#include <cstdlib>

namespace pyrsia::app {

stun::ServerConfig stun_config(const StunOptions& options, std::optional<KeyPair> key) {
  stun::ServerConfig config;
  config.udp = config.tcp = options.listen;
  config.tls = options.tls_listen;
  config.is_v6_optional = options.is_v6_optional;
  config.external_v4 = options.external_v4;
  config.responder.limit = stun::limit_of(options.per_source_per_second);
  config.members = options.members;
  config.key = std::move(key);
  return config;
}

namespace {

std::string failure_text(const Error& error, const std::string& where) {
  if (error == Errc::address_in_use) return where + " is in use by another program";
  if (error == Errc::permission_denied) return "no permission to listen on " + where;
  if (error == Errc::invalid_argument) return where + " is not an address of this machine";
  return where + ": " + error.message();
}

void announce(Terminal& terminal, const stun::Server& server, bool is_json) {
  boost::json::object line;
  line["schema"] = "pyrsia.stun/1";
  boost::json::array udp;
  for (const auto& endpoint : server.udp_endpoints()) {
    udp.emplace_back(endpoint.to_string());
    if (!is_json) terminal.data("STUN over UDP  " + endpoint.to_string());
  }
  boost::json::array tcp;
  for (const auto& endpoint : server.tcp_endpoints()) {
    tcp.emplace_back(endpoint.to_string());
    if (!is_json) terminal.data("STUN over TCP  " + endpoint.to_string());
  }
  boost::json::array tls;
  for (const auto& endpoint : server.tls_endpoints()) {
    tls.emplace_back(endpoint.to_string());
    if (!is_json) terminal.data("STUN over TLS  " + endpoint.to_string());
  }
  line["udp"] = std::move(udp);
  line["tcp"] = std::move(tcp);
  line["tls"] = std::move(tls);
  if (is_json) terminal.data(boost::json::serialize(line));
}

Task<> serve(stun::Server& server, TaskGroup& tasks, Event& stop_asked) {
  (void)co_await stop_asked.wait();
  tasks.cancel();
  (void)co_await tasks.join();
  co_return co_await server.stop();
}

}  // namespace

std::string stun_failure(const Error& error, const std::string& detail) {
  return "STUN: " + failure_text(error, detail);
}

ExitCode run_stun_server(const Options& options) {
  Terminal terminal(options.is_json, options.log_level);
  std::optional<KeyPair> key;
  if (!options.stun.members.empty()) {
    auto identity = load_or_make_identity(options.key_file);
    if (identity.complaint) {
      complain(*identity.complaint);
      return identity.complaint->code;
    }
    key = *identity.key;
    terminal.note("pyrsia: peer id " + key->peer_id().to_string());
  }
  Runtime runtime;
  const auto sink = terminal.sink();
  StunTls tls(runtime.env(), options.host.web_tls, Logger("tls", sink));
  std::string detail;
  if (!runtime.run(tls.load(&detail))) {
    complain({ExitCode::bad_config, detail});
    return ExitCode::bad_config;
  }
  auto config = stun_config(options.stun, key);
  config.secure = tls.as_server();
  stun::Server server(runtime.env(), std::move(config), Logger("stun", sink));
  if (const auto started = server.start(&detail); !started) {
    const bool is_taken = started.error() == Errc::address_in_use;
    complain({is_taken ? ExitCode::try_later : ExitCode::bad_config,
              stun_failure(started.error(), detail)});
    return is_taken ? ExitCode::try_later : ExitCode::bad_config;
  }
  announce(terminal, server, options.is_json);
  TaskGroup tasks(runtime.env());
  tasks.spawn(tls.watch());
  Event stop_asked(runtime.env().executor());
  int signals = 0;
  const auto ended = runtime.run(serve(server, tasks, stop_asked), [&](int) {
    if (++signals > 1) std::_Exit(static_cast<int>(ExitCode::internal_error));
    stop_asked.notify();
  });
  return ended ? ExitCode::success : ExitCode::try_later;
}

}  // namespace pyrsia::app
