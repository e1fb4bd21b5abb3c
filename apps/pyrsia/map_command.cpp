#include "base/hex.hpp"
#include "commands.hpp"
#include "host/network_memory.hpp"
#include "host/scope.hpp"
#include "nat/portmap/pcp_client.hpp"
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
/// Of a pinhole that is asked for only to be taken away.
constexpr Duration kShortLifetime = std::chrono::minutes(1);
const LogSink kNoLog;

std::string seconds_text(Duration duration) {
  return fmt::format("{:.2f} s", std::chrono::duration<double>(duration).count());
}

std::int64_t whole_seconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

std::string lifetime_text(Duration lifetime) {
  const auto seconds = whole_seconds(lifetime);
  return seconds == 0 ? "without an end" : fmt::format("for {} s", seconds);
}

bool is_found(const portmap::Attempt& attempt) {
  return attempt.state == portmap::Attempt::State::found;
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
    const auto place = options_.map_address ? portmap::network_of(env_, *options_.map_address)
                                            : portmap::main_network(env_);
    if (!place) {
      const std::string why =
          options_.map_address
              ? options_.map_address->to_string() + " is no address of ours beside a default route"
              : "this machine has no default route";
      out.text = "no router to ask: " + why + "\n";
      out.data["reason"] = options_.map_address ? why : "no default route";
      co_return ok;
    }
    PYRSIA_CO_TRY(co_await memory_.load());
    const auto key = host::key_of(place->gateway, place->local);
    place_ = *place;
    router_.emplace(context_, router_config(), route(), upnp_route(), recalled(key));
    const auto done = co_await serve(out);
    PYRSIA_CO_TRY(co_await router_->stop());
    if (options_.map_action != MapAction::peer) add_attempts(out);
    out.data["router"] = place_.gateway.ip.to_string();
    PYRSIA_CO_TRY(co_await memory_.save());
    co_return done;
  }

 private:
  portmap::Route route() const { return {place_.local.ip, place_.local.ip, place_.gateway.ip}; }

  /// Many routers speak UPnP over IPv4 only, for pinholes of IPv6 as well.
  std::optional<portmap::Route> upnp_route() const {
    if (place_.local.ip.is_v4()) return route();
    const auto main = portmap::main_network(env_);
    const bool is_beside = main && main->local.ip.is_v4() &&
                           main->gateway.interface_name == place_.gateway.interface_name;
    if (!is_beside) return std::nullopt;
    return portmap::Route{main->local.ip, main->local.ip, main->gateway.ip};
  }

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
      case MapAction::peer: return peer(out);
    }
    return list(out);
  }

  Task<> list(Outcome& out) {
    PYRSIA_CO_TRY(co_await router_->find_all());
    if (std::ranges::none_of(router_->attempts(), is_found)) {
      out.data["reason"] = "no router answers";
      co_return ok;
    }
    std::string why;
    auto listing = read_list(why);
    const auto mappings = co_await with_timeout(env_, kListTimeout, std::move(listing));
    if (mappings) {
      add_list(*mappings, out);
      co_return ok;
    }
    if (why.empty()) why = mappings.error().message();
    out.code = ExitCode::degraded;
    out.text = "no list: " + why + "\n";
    out.data["reason"] = why;
    co_return ok;
  }

  Task<std::vector<portmap::ListedMapping>> read_list(std::string& why) {
    if (place_.local.ip.is_v6()) {
      why = "no protocol can list IPv6 pinholes";
      co_return Errc::not_supported;
    }
    for (std::size_t i = 0; i < router_->attempts().size(); ++i) {
      const auto& attempt = router_->attempts()[i];
      if (attempt.method == Method::upnp && is_found(attempt))
        co_return co_await router_->client(i).list(why);
    }
    why = "PCP and NAT-PMP cannot list mappings, and UPnP, which can, is not there";
    co_return Errc::not_supported;
  }

  static void add_list(const std::vector<portmap::ListedMapping>& mappings, Outcome& out) {
    out.code = ExitCode::success;
    out.text +=
        mappings.empty() ? "no mappings, as UPnP lists them\n" : "mappings, as UPnP lists them:\n";
    json::array entries;
    for (const auto& each : mappings) {
      const auto lifetime = whole_seconds(each.lifetime);
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
    out.text = fmt::format("{} is open at {} by {}, {}\n", port, grant->external.to_string(),
                           name(grant->method), lifetime_text(grant->lifetime));
    add_grant(asked, *grant, out);
    // Now that we have spoken to it, its hardware address is known.
    const auto place = portmap::network_of(env_, place_.local.ip).value_or(place_);
    if (auto* known = memory_.at(host::key_of(place.gateway, place.local))) {
      known->protocol = name(grant->method);
      known->nonce = to_hex(router_->nonce());  // By which it can be taken away again.
    }
    co_return ok;
  }

  void add_grant(const portmap::MapRequest& asked, const portmap::Grant& grant,
                 Outcome& out) const {
    const bool is_public = classifier_.is_usable_by_others(grant.external.ip);
    out.code = is_public ? ExitCode::success : ExitCode::degraded;
    if (!is_public)
      out.text += "but that address is not public: another router is beyond this one\n";
    out.data["transport"] = name(asked.transport);
    out.data["internal"] = asked.internal.to_string();
    out.data["external"] = grant.external.to_string();
    out.data["is_public"] = is_public;
    out.data["protocol"] = name(grant.method);
    out.data["lifetime_s"] = whole_seconds(grant.lifetime);
  }

  /// Whoever made it: every protocol that answers is told.
  Task<> remove(Outcome& out) {
    PYRSIA_CO_TRY(co_await router_->find_all());
    json::array steps;
    bool has_removed = false;
    bool has_failed = false;
    for (std::size_t i = 0; i < router_->attempts().size(); ++i) {
      const auto& attempt = router_->attempts()[i];
      if (!is_found(attempt)) continue;
      std::string words;
      auto removal = remove_by(router_->client(i), words);
      const auto removed = co_await with_timeout(env_, kListTimeout, std::move(removal));
      const bool is_absent = !removed && removed.error() == Errc::not_found;
      if (words.empty()) words = removed.error().message();
      has_removed = has_removed || removed.has_value();
      has_failed = has_failed || (!removed && !is_absent);
      out.text +=
          fmt::format("{} by {}: {}\n", options_.map_port.to_string(), name(attempt.method), words);
      json::object step;
      step["protocol"] = name(attempt.method);
      step["is_removed"] = removed.has_value();
      step["reason"] = words;
      steps.push_back(std::move(step));
    }
    if (steps.empty()) {
      out.text = "no router answers\n";
      out.data["reason"] = "no router answers";
    }
    const bool is_closed = has_removed || (!steps.empty() && !has_failed);
    out.code = is_closed ? ExitCode::success : ExitCode::unreachable;
    out.data["removed"] = std::move(steps);
    co_return ok;
  }

  /// Errors: `Errc::not_found`: there is nothing; and as Client::unmap().
  Task<> remove_by(portmap::Client& client, std::string& words) {
    if (client.method() == Method::upnp && place_.local.ip.is_v4())
      co_return co_await remove_listed(client, words);
    auto asked = request();
    portmap::Grant granted;
    granted.external.ip = place_.local.ip.is_v6() ? IpAddress::v6_any() : IpAddress::v4_any();
    if (client.method() == Method::upnp) {
      // UPnP knows a pinhole by a number, and tells it to whoever asks for the same one again.
      asked.lifetime = kShortLifetime;
      PYRSIA_CO_TRY(granted, co_await client.map(asked, std::nullopt, words));
    }
    PYRSIA_CO_TRY(co_await client.unmap(asked, granted, words));
    words = "taken away, or not there";
    co_return ok;
  }

  /// UPnP knows a mapping by its port outside, which may be another, or another machine's: what
  /// leads to our port is looked for in the router's list.
  Task<> remove_listed(portmap::Client& client, std::string& words) {
    const auto asked = request();
    PYRSIA_CO_TRY(const auto mappings, co_await client.list(words));
    std::string ports;
    for (const auto& each : mappings) {
      if (each.transport != asked.transport || each.internal != asked.internal) continue;
      portmap::Grant granted;
      granted.external.port = each.external_port;
      PYRSIA_CO_TRY(co_await client.unmap(asked, granted, words));
      ports += (ports.empty() ? "" : ", ") + std::to_string(each.external_port);
    }
    words = ports.empty() ? "not there" : "taken away, port outside: " + ports;
    if (ports.empty()) co_return Errc::not_found;
    co_return ok;
  }

  /// Section 12 of RFC 6887: the router keeps the mapping of one outgoing connection, so that it
  /// needs no packets to stay, and says what the peer sees. Neither NAT-PMP nor UPnP knows of such.
  Task<> peer(Outcome& out) {
    auto asked = request();
    asked.suggested.port = 0;  // What it is already, if it is.
    std::string why;
    const auto grant = co_await ask_for_peer(asked, why);
    const auto words =
        options_.map_port.to_string() + " towards " + options_.map_remote.to_string();
    if (!grant) {
      if (why.empty()) why = "no answer in PCP, and no other protocol knows of connections";
      out.text = fmt::format("{} could not be kept: {}\n", words, why);
      out.data["reason"] = why;
      co_return ok;
    }
    out.text = fmt::format("{} is seen as {}, and kept {}\n", words, grant->external.to_string(),
                           lifetime_text(grant->lifetime));
    add_grant(asked, *grant, out);
    out.data["remote"] = options_.map_remote.to_string();
    co_return ok;
  }

  Task<portmap::Grant> ask_for_peer(const portmap::MapRequest& asked, std::string& why) {
    const auto remote = options_.map_remote;
    if (remote.ip.is_v6() != place_.local.ip.is_v6()) {
      why = remote.to_string() + " and " + place_.local.ip.to_string() +
            " are of different families (see --address)";
      co_return Errc::invalid_argument;
    }
    const portmap::Retransmission plan;
    portmap::pcp::PcpClient client(context_, route(), router_->nonce(), plan);
    auto asking = client.peer(asked, remote, why);
    const auto budget = options_.host.port_mapping.budget;
    co_return co_await with_timeout(env_, budget, std::move(asking));
  }

  void add_attempts(Outcome& out) {
    std::string text = fmt::format("router {}, this machine {}\n", place_.gateway.ip.to_string(),
                                   place_.local.ip.to_string());
    json::array attempts;
    for (const auto& each : router_->attempts()) {
      const bool is_asking = each.state == portmap::Attempt::State::asking;
      const auto words = is_asking ? std::string("not waited for") : each.words;
      text +=
          fmt::format("  {:<8} {:<3} {:>7}  {}\n", name(each.method), is_found(each) ? "yes" : "no",
                      is_asking ? "" : seconds_text(each.took), words);
      json::object entry;
      entry["protocol"] = name(each.method);
      entry["is_found"] = is_found(each);
      entry["reason"] = words;
      entry["took_s"] = std::chrono::duration<double>(each.took).count();
      attempts.push_back(std::move(entry));
    }
    if (options_.map_action == MapAction::list) out.text = text + out.text;
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
