#include "base/hex.hpp"
#include "commands.hpp"
#include "host/network_memory.hpp"
#include "host/scope.hpp"
#include "nat/portmap/place.hpp"
#include "nat/portmap/router.hpp"
#include "runtime/env.hpp"
#include "runtime/timeout.hpp"

#include <pyrsia/runtime.hpp>

#include <boost/json.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace pyrsia::app {
namespace {

namespace json = boost::json;
using portmap::Method;

constexpr Duration kListTimeout = std::chrono::seconds(5);
const LogSink kNoLog;

std::string seconds_text(Duration duration) {
  return fmt::format("{:.2f} s", std::chrono::duration<double>(duration).count());
}

/// What the whole command has to say.
struct Outcome {
  ExitCode code = ExitCode::unreachable;
  std::string text;
  json::object data;
};

class Session {
 public:
  Session(Env& env, const Options& options)
      : env_(env),
        options_(options),
        classifier_(make_classifier(options.host)),
        memory_(env, options.host.network_memory, Logger("map", kNoLog)),
        context_{env, metrics_, {}} {
    if (options.is_trace)
      context_.trace = [](std::string_view text) { fmt::print(stderr, "{}\n", text); };
  }

  Task<> run(Outcome& out) {
    out.data["schema"] = "pyrsia.map/1";
    const auto place = portmap::main_network(env_);
    if (!place) {
      out.text = "no router to ask: this machine has no default route\n";
      out.data["reason"] = "no default route";
      co_return ok;
    }
    PYRSIA_CO_TRY(co_await memory_.load());
    const auto key = host::key_of(place->gateway, place->local);
    place_ = *place;
    router_.emplace(context_, router_config(), route(), route(), recalled(key));
    const auto done = co_await serve(out);
    PYRSIA_CO_TRY(co_await router_->stop());
    add_attempts(out);
    PYRSIA_CO_TRY(co_await memory_.save());
    co_return done;
  }

 private:
  portmap::Route route() const { return {place_.local.ip, place_.local.ip, place_.gateway.ip}; }

  portmap::RouterConfig router_config() const {
    portmap::RouterConfig config;
    config.budget = options_.host.port_mapping.budget;
    if (options_.host.port_mapping.protocols.empty()) return config;
    config.methods.clear();
    for (const auto& text : options_.host.port_mapping.protocols)
      if (const auto method = portmap::parse_method(text)) config.methods.push_back(*method);
    return config;
  }

  portmap::Recalled recalled(const host::NetworkKey& key) const {
    portmap::Recalled out;
    const auto* known = memory_.find(key);
    const auto nonce = known ? from_hex(known->nonce) : Result<Bytes>(Errc::not_found);
    if (!nonce || nonce->size() != portmap::pcp::Nonce().size()) return out;
    out.nonce.emplace();
    std::ranges::copy(*nonce, out.nonce->begin());
    return out;
  }

  portmap::MapRequest request() const {
    portmap::MapRequest out;
    out.transport = options_.map_port.transport;
    out.internal = {place_.local.ip, options_.map_port.number};
    out.suggested.port = options_.map_port.number;
    out.lifetime = options_.host.port_mapping.lifetime;
    return out;
  }

  Task<> serve(Outcome& out) {
    switch (options_.map_action) {
      case MapAction::list: return list(out);
      case MapAction::add: return add(out);
      case MapAction::remove: return remove(out);
    }
    return list(out);
  }

  Task<> list(Outcome& out) {
    PYRSIA_CO_TRY(co_await router_->find_all());
    const auto is_found = [](const portmap::Attempt& attempt) {
      return attempt.state == portmap::Attempt::State::found;
    };
    if (std::ranges::any_of(router_->attempts(), is_found)) out.code = ExitCode::success;
    auto* upnp = router_->client(Method::upnp);
    const auto at = std::ranges::find(router_->attempts(), Method::upnp, &portmap::Attempt::method);
    if (!upnp || at == router_->attempts().end() || !is_found(*at)) co_return ok;
    std::string why;
    auto listing = upnp->list(why);
    const auto mappings = co_await with_timeout(env_, kListTimeout, std::move(listing));
    json::array entries;
    out.text += mappings ? "mappings, as UPnP lists them:\n" : "no list: " + why + "\n";
    for (const auto& each : mappings ? *mappings : std::vector<portmap::ListedMapping>()) {
      const auto lifetime = std::chrono::duration_cast<std::chrono::seconds>(each.lifetime).count();
      out.text +=
          fmt::format("  {} {:<5} to {:<21} {:>8}  {}\n", name(each.transport), each.external_port,
                      each.internal.to_string(),
                      lifetime == 0 ? "no end" : fmt::format("{} s", lifetime), each.description);
      json::object entry;
      entry["transport"] = name(each.transport);
      entry["external_port"] = each.external_port;
      entry["internal"] = each.internal.to_string();
      entry["lifetime_s"] = lifetime;
      entry["description"] = each.description;
      entries.push_back(std::move(entry));
    }
    out.data["mappings"] = std::move(entries);
    co_return ok;
  }

  Task<> add(Outcome& out) {
    const auto asked = request();
    std::string why;
    const auto grant = co_await router_->map(asked, why);
    const auto port = options_.map_port.to_string();
    if (!grant) {
      out.text = fmt::format("{} could not be opened: {}\n", port, why);
      out.data["reason"] = why;
      co_return ok;
    }
    const auto method = std::string(name(*router_->method()));
    const bool is_public = classifier_.is_usable_by_others(grant->external.ip);
    const auto lifetime = std::chrono::duration_cast<std::chrono::seconds>(grant->lifetime).count();
    out.code = is_public ? ExitCode::success : ExitCode::degraded;
    out.text =
        fmt::format("{} is open at {} by {}, {}\n", port, grant->external.to_string(), method,
                    lifetime == 0 ? "without an end" : fmt::format("for {} s", lifetime));
    if (!is_public)
      out.text += "but that address is not public: another router is beyond this one\n";
    out.data["transport"] = name(asked.transport);
    out.data["internal"] = asked.internal.to_string();
    out.data["external"] = grant->external.to_string();
    out.data["is_public"] = is_public;
    out.data["protocol"] = method;
    out.data["lifetime_s"] = lifetime;
    auto& known = memory_.at(host::key_of(place_.gateway, place_.local));
    known.protocol = method;
    known.nonce = to_hex(router_->nonce());  // By which it can be taken away again.
    co_return ok;
  }

  /// Whoever made it: every protocol that answers is told.
  Task<> remove(Outcome& out) {
    PYRSIA_CO_TRY(co_await router_->find_all());
    const auto asked = request();
    portmap::Grant granted;
    granted.external.port = asked.internal.port;
    granted.external.ip = IpAddress::v4_any();
    json::array steps;
    for (const auto& attempt : router_->attempts()) {
      if (attempt.state != portmap::Attempt::State::found) continue;
      std::string why;
      auto removal = router_->client(attempt.method)->unmap(asked, granted, why);
      const auto removed = co_await with_timeout(env_, kListTimeout, std::move(removal));
      if (removed) out.code = ExitCode::success;
      if (!removed && why.empty()) why = removed.error().message();
      const auto words = removed ? std::string("taken away, or not there") : why;
      out.text +=
          fmt::format("{} by {}: {}\n", options_.map_port.to_string(), name(attempt.method), words);
      json::object step;
      step["protocol"] = name(attempt.method);
      step["is_removed"] = removed.has_value();
      step["reason"] = words;
      steps.push_back(std::move(step));
    }
    out.data["removed"] = std::move(steps);
    co_return ok;
  }

  void add_attempts(Outcome& out) {
    std::string text = fmt::format("router {}, this machine {}\n", place_.gateway.ip.to_string(),
                                   place_.local.ip.to_string());
    json::array attempts;
    for (const auto& each : router_->attempts()) {
      const bool is_asking = each.state == portmap::Attempt::State::asking;
      const bool is_found = each.state == portmap::Attempt::State::found;
      const auto words = is_asking ? std::string("not waited for") : each.words;
      text += fmt::format("  {:<8} {:<3} {:>7}  {}\n", name(each.method), is_found ? "yes" : "no",
                          is_asking ? "" : seconds_text(each.took), words);
      json::object entry;
      entry["protocol"] = name(each.method);
      entry["is_found"] = is_found;
      entry["reason"] = words;
      entry["took_s"] = std::chrono::duration<double>(each.took).count();
      attempts.push_back(std::move(entry));
    }
    if (options_.map_action == MapAction::list) out.text = text + out.text;
    out.data["router"] = place_.gateway.ip.to_string();
    out.data["attempts"] = std::move(attempts);
  }

  Env& env_;
  const Options& options_;
  AddressClassifier classifier_;
  host::NetworkMemory memory_;
  portmap::Metrics metrics_;
  portmap::Context context_;
  portmap::NetworkId place_;
  std::optional<portmap::Router> router_;
};

}  // namespace

ExitCode run_map(const Options& options) {
  Runtime runtime;
  Outcome outcome;
  {
    Session session(runtime.env(), options);
    const auto ended = runtime.run(session.run(outcome));
    if (!ended) outcome.text += ended.error().message() + "\n";
  }
  fmt::print("{}", options.is_json ? json::serialize(outcome.data) + "\n" : outcome.text);
  return outcome.code;
}

}  // namespace pyrsia::app
