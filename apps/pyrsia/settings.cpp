#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1

#include "settings.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <filesystem>

namespace pyrsia::app {
namespace {

/// `words`: not a flag, but what stands on the command line without one.
enum class Kind { text, list, on_off, words };

/// A setting: its key (TOML, and PYRSIA_<KEY>), its flags, who has it.
struct Setting {
  std::string_view key;
  std::string_view flags;
  Kind kind;
  std::string_view commands;  ///< Letters of letter().
  std::string_view value;     ///< What stands for its value in the help.
  std::string_view help;
};

constexpr std::string_view kUnused = "Accepted for the original's sake; does nothing here";

constexpr std::array kUnusedVariables{"PYRSIA_ARTIFACT_PATH", "PYRSIA_BLOCKCHAIN_PATH", "DEV_MODE"};

constexpr std::array kSettings{
    Setting{"host", "-H,--host", Kind::text, "nbspra", "IP",
            "Where the HTTP API listens [127.0.0.1]"},
    Setting{"port", "-p,--port", Kind::text, "nbspra", "PORT", "Port of the HTTP API [7888]"},
    Setting{"listen", "-L,--listen", Kind::list, "nb", "ADDR",
            "Listen here; repeatable [TCP and QUIC, any IPv4 and port; boot: 44000]"},
    Setting{"peer", "-P,--peer", Kind::list, "nb", "ADDR",
            "Connect to this peer (.../p2p/<id>) and no status URL; repeatable"},
    Setting{"probe", "-R,--probe", Kind::list, "nb", "ADDR",
            "Use this peer (.../p2p/<id>) as AutoNAT server, and no other; repeatable"},
    Setting{"listen_only", "--listen-only", Kind::on_off, "nb", "", "Connect to nobody"},
    Setting{"bootstrap_url", "-B,--bootstrap-url", Kind::list, "nbp", "URL",
            "Ask this URL for peers; repeatable"},
    Setting{"announce", "--announce", Kind::list, "nb", "ADDR",
            "Others reach us at this address; repeatable"},
    Setting{"words", "words", Kind::words, "a", "WORDS", "explain ADDR, or replay FILE"},
    Setting{"address_scope", "--address-scope", Kind::text, "nba", "SCOPE",
            "Narrowest class of address that others can use: global, private, loopback [global]"},
    Setting{"global_network", "--global-network", Kind::list, "nba", "NET",
            "Count this network (10.0.0.0/8) as global, for labs; repeatable"},
    Setting{"security", "--security", Kind::text, "nb", "NAMES",
            "What secures TCP, best first: noise, tls, or both [noise,tls]"},
    Setting{"tls_cert", "--tls-cert", Kind::text, "nbt", "FILE",
            "Certificate for secure WebSockets (wss) and STUN over TLS, then those that lead to "
            "its root: PEM"},
    Setting{"tls_key", "--tls-key", Kind::text, "nbt", "FILE", "Its key: PEM"},
    Setting{"tls_ca", "--tls-ca", Kind::text, "nbgfpr", "FILE",
            "Trust these certificates too when dialing wss, or stuns: PEM [the roots of this "
            "machine only]"},
    Setting{"external_ip", "--external-ip", Kind::text, "nb", "IP",
            "IPv4 address to put into the addresses of /status"},
    Setting{"member", "--member", Kind::list, "b", "URL",
            "Status URL of another boot server of the cluster; repeatable"},
    Setting{"sibling", "--sibling", Kind::list, "b", "ADDR",
            "Boot server (.../p2p/<id>) at another IP that dials back for us, and we for it; "
            "repeatable"},
    Setting{"words", "words", Kind::words, "gf", "ADDR", "Whom: .../p2p/<id>"},
    Setting{"count", "-c,--count", Kind::text, "g", "N", "How many times [5]"},
    Setting{"run_server", "--run-server", Kind::on_off, "f", "", "Serve others, until stopped"},
    Setting{"server_address", "--server-address", Kind::text, "f", "IP:PORT",
            "Where the server listens, or which one to ask, instead of ADDR"},
    Setting{"transport", "--transport", Kind::text, "f", "NAME",
            "With --server-address: tcp or quic-v1 [tcp]"},
    Setting{"upload_bytes", "--upload-bytes", Kind::text, "f", "N", "Send so many bytes [0]"},
    Setting{"download_bytes", "--download-bytes", Kind::text, "f", "N",
            "Then have so many sent back [0]"},
    Setting{"key", "--key", Kind::text, "nbigfmt", "FILE",
            "Key file; variable PYRSIA_KEYPAIR [pyrsia/p2p_keypair.ser; ping, perf: a new key]"},
    Setting{"cache", "--cache", Kind::text, "nb", "FILE",
            "Where the last status documents are kept [beside the key file]; \"\" for nowhere"},
    Setting{
        "port_mapping", "--port-mapping", Kind::text, "nbpr", "MODE",
        "Have routers open our ports: auto or off [auto; boot: off]; probe: off asks no router"},
    Setting{"port_mapping_protocol", "--port-mapping-protocol,--protocol", Kind::list, "nbm",
            "NAME", "Ask routers by pcp, nat-pmp or upnp only; repeatable [all]"},
    Setting{"network_memory", "--network-memory", Kind::text, "nbm", "FILE",
            "Where it is kept what was learned of each network [beside the key file]; off for "
            "nowhere"},
    Setting{"lifetime", "--lifetime", Kind::text, "m", "SECONDS",
            "How long the mapping shall last [7200]"},
    Setting{"trace", "--trace", Kind::on_off, "m", "", "Print each packet in words, on stderr"},
    Setting{"action", "action", Kind::words, "m", "ACTION",
            "add tcp|udp PORT, remove tcp|udp PORT, peer tcp|udp PORT IP:PORT; nothing: list"},
    Setting{"map_address", "--address", Kind::text, "m", "IP",
            "Of this address of ours; an IPv6 one gets pinholes [the default route's, IPv4 first]"},
    Setting{"config", "--config", Kind::text, "nbisagfmprt", "FILE", "Configuration file (TOML)"},
    Setting{"record_evidence", "--record-evidence", Kind::text, "nb", "FILE",
            "Write down what the NAT verdict rests on, for `pyrsia addr replay`"},
    Setting{"once", "--once", Kind::on_off, "n", "",
            "End after the first verdict: 0, or 30 if no boot server was reached, 75 if none came"},
    Setting{"once_timeout", "--once-timeout", Kind::text, "n", "SECONDS",
            "How long --once waits for the verdict [120]"},
    Setting{"new", "--new", Kind::on_off, "i", "", "Make a new key; refused if the file exists"},
    Setting{"quiet", "--quiet", Kind::on_off, "s", "",
            "Print nothing: 0 if the daemon answers, 69 if not"},
    Setting{"stun_listen", "--stun-listen", Kind::list, "b", "IP:PORT",
            "Answer STUN here, over UDP and TCP; \"\" for nowhere; repeatable "
            "[ports 3478 and 3479 of all addresses]"},
    Setting{"stun_server_listen", "-L,--listen", Kind::list, "t", "IP:PORT",
            "Answer STUN here, over UDP and TCP; repeatable [port 3478 of all]"},
    Setting{"stun_tls_listen", "--stun-tls-listen", Kind::list, "bt", "IP:PORT",
            "Answer STUN over TLS here; repeatable [with --tls-cert: port 5349 of all]"},
    Setting{"stun_member", "--stun-member", Kind::list, "bt", "ADDR",
            "A server that lends us its address: /ip4/IP/udp/3478/p2p/ID; repeatable"},
    Setting{"stun_external_ip", "--stun-external-ip", Kind::text, "bt", "IP",
            "Behind a NAT that maps one to one: our IPv4 address as clients see it [boot: "
            "--external-ip]"},
    Setting{"hide_nat", "--hide-nat", Kind::on_off, "nb", "",
            "Do not tell peers how the NATs in front of us behave"},
    Setting{"serve_stun", "--serve-stun", Kind::on_off, "n", "",
            "Answer STUN at the UDP port of QUIC, as a boot server does"},
    Setting{"stun_rate", "--stun-rate", Kind::text, "nbt", "N",
            "Requests a second that one source may make; 0: any number [200]"},
    Setting{"stun_server", "-S,--server", Kind::list, "np", "HOST[:PORT]",
            "Ask this STUN server, or stun: URI; stuns:HOST over TLS; repeatable [the hosts of "
            "--bootstrap-url, "
            "port 3478]"},
    Setting{"alone", "--alone", Kind::on_off, "p", "", "Do not ask the node on this machine"},
    Setting{"every", "--every", Kind::text, "p", "SECONDS", "Do it again and again: 10s, 2m"},
    Setting{"brief", "--brief", Kind::on_off, "p", "", "Three lines: kind, address, verdict"},
    Setting{"mapping_lifetime", "--lifetime", Kind::on_off, "p", "",
            "Measure how long a UDP mapping lives: takes five minutes"},
    Setting{"local", "--local", Kind::text, "r", "FILE|URL",
            "What `pyrsia probe --json` said here [the node on this machine]"},
    Setting{"remote", "remote,--remote", Kind::text, "r", "PEER",
            "A peer that our node is connected to (12D3KooW...), the address of one "
            "(.../p2p/<id>), http://HOST:PORT/probe of its node, or a file with what `pyrsia probe "
            "--json` said there"},
    Setting{"json", "--json", Kind::on_off, "nbisagmprt", "", "JSON on stdout, one object a line"},
    Setting{"log_level", "--log-level", Kind::text, "nbt", "LEVEL",
            "debug, info, warning or error; variable RUST_LOG too [info]"},
    Setting{"init_blockchain", "--init-blockchain", Kind::on_off, "nb", "", kUnused},
    Setting{"max_provided_keys", "--max-provided-keys", Kind::text, "nb", "N", kUnused},
    Setting{"mapping_service_endpoint", "--mapping-service-endpoint", Kind::text, "nb", "URL",
            kUnused},
    Setting{"pipeline_service_endpoint", "--pipeline-service-endpoint", Kind::text, "nb", "URL",
            kUnused},
};

constexpr std::array kCommands{Command::node, Command::boot,        Command::id,    Command::ping,
                               Command::perf, Command::addr,        Command::map,   Command::probe,
                               Command::pair, Command::stun_server, Command::status};

constexpr std::string_view kIntroduction = R"(Examples:
  pyrsia boot -H 0.0.0.0                              run a boot server
  pyrsia node -B http://boot.example.org:7888/status  join a network, learn the NAT status
  pyrsia status                                       ask the node on this machine
  pyrsia probe --server stun.example.org              what NAT is this, and what helps?

Joins a peer-to-peer network from behind any NAT, and tells how reachable it is.)";

std::string_view introduction(Command command) {
  switch (command) {
    case Command::node:
      return R"(Examples:
  pyrsia node -B http://boot.example.org:7888/status
  pyrsia node -L /ip4/0.0.0.0/tcp/44000 -P /ip4/198.51.100.7/tcp/44000/p2p/12D3KooW...
  pyrsia node -B http://127.0.0.1:7888/status -p 7889 --address-scope loopback --once

Runs a node: bootstraps, is probed, reports its NAT status, stays connected.
Every setting is also a key of the configuration file (bootstrap_url) and a variable
(PYRSIA_BOOTSTRAP_URL; lists separated by commas). A flag wins over a variable, that over
the file. Precedence: --probe, --peer, --listen-only, --bootstrap-url.)";
    case Command::boot:
      return R"(Examples:
  pyrsia boot -H 0.0.0.0
  PYRSIA_EXTERNAL_IP=198.51.100.7 pyrsia boot -H 0.0.0.0 -p 80
  pyrsia boot -H 0.0.0.0 --member http://boot2.example.org/status
  pyrsia boot -H 0.0.0.0 --stun-member /ip4/203.0.113.5/udp/3478/p2p/12D3KooW...

Runs a boot server: a node that connects to nobody, and that answers GET /status with the
addresses of the cluster's healthy members in turn.)";
    case Command::id:
      return R"(Examples:
  pyrsia id
  pyrsia id --key /var/lib/pyrsia/key.ser
  pyrsia id --new --key key.ser --json

Prints the peer id of the key file, which is made if there is none.)";
    case Command::status:
      return R"(Examples:
  pyrsia status
  pyrsia status -p 7889
  pyrsia status --json

Asks the node on this machine. Exit code: 0 reachable, 20 unreachable, 75 not known yet,
69 no node answers.)";
    case Command::ping:
      return R"(Examples:
  pyrsia ping /ip4/198.51.100.7/tcp/44000/p2p/12D3KooW...
  pyrsia ping --count 100 --json /dns4/boot.example.org/tcp/44000/p2p/12D3KooW...
  pyrsia ping --key pyrsia/p2p_keypair.ser /ip4/198.51.100.7/tcp/44000/p2p/12D3KooW...

Connects, and measures round trips, one a second. Exit code: 0 all answered, 10 over a relay
only, 11 some answers are missing, 20 no answer.)";
    case Command::perf:
      return R"(Examples:
  pyrsia perf --run-server --server-address 0.0.0.0:4001
  pyrsia perf --server-address 198.51.100.7:4001 --upload-bytes 1000000000
  pyrsia perf --download-bytes 1000000000 /ip4/198.51.100.7/tcp/4001/p2p/12D3KooW...

Measures throughput by /perf/1.0.0. Prints what the libp2p perf harness reads: a JSON line
each second, and one at the end. Exit code: 0, or 20 if the run failed. A server has the
fixed key of the harness unless --key is given, and serves whoever comes.)";
    case Command::addr:
      return R"(Examples:
  pyrsia addr explain /ip4/100.64.3.7/tcp/44000
  pyrsia addr explain 192.168.1.2 --json
  pyrsia addr replay evidence.txt

explain: what kind of address it is, who can reach it, and if the node on this machine has it:
what it thinks of it, why, and what to do. Exit code as of status; 0 without a node.
replay: tells the recording of `pyrsia node --record-evidence` to the state machine again.)";
    case Command::map:
      return R"(Examples:
  pyrsia map
  pyrsia map add tcp 44000
  pyrsia map add tcp 44000 --address 2001:db8::2
  pyrsia map remove tcp 44000 --protocol pcp --trace
  pyrsia map peer udp 44000 198.51.100.7:443

Asks the router of this network, in PCP, NAT-PMP and UPnP, which it speaks and what it has
open (UPnP alone can tell); opens and closes ports. peer: has the mapping of one outgoing
connection kept, and says how the peer sees it; PCP alone can. Needs no running node. Exit code:
0 done, 11 granted but not at a public address, or a router that cannot list, 20 no router does
it.)";
    case Command::probe:
      return R"(Examples:
  pyrsia probe
  pyrsia probe --server stun.example.org --server 198.51.100.7:3478 --json
  pyrsia probe --every 10s --brief

Says what NAT or firewall this machine is behind, whether peers will connect directly, and what
would help. Asks the node on this machine if there is one, else does it itself.
Exit code: 0 direct, 10 relayed, 11 degraded, 20 unreachable, 21 UDP blocked, 22 captive
portal, 30 nobody answers; with --every, stopped by a signal, that of the last time. `pyrsia
probe pair` says which path two peers will get.)";
    case Command::pair:
      return R"(Examples:
  pyrsia probe --json > here.json
  pyrsia probe pair --local here.json --remote there.json
  pyrsia probe pair http://198.51.100.7:7888/probe

Says beforehand which path two peers will get, and why, from what `pyrsia probe --json` said at
each of them. Exit code: 0 direct or punched, 10 relayed, 75 too little is known.)";
    case Command::stun_server:
      return R"(Examples:
  pyrsia stun-server --listen 198.51.100.7:3478
  pyrsia stun-server -L 198.51.100.7:3478 -L 198.51.100.7:3479 -L 198.51.100.8:3478
                     -L 198.51.100.8:3479
  pyrsia stun-server -L 198.51.100.7:3478 -L 198.51.100.7:3479
                     --stun-member /ip4/203.0.113.5/udp/3478/p2p/12D3KooW...

A STUN server (RFC 8489). With two addresses of two ports each, or with another server that lends
its address, clients can find out how their NAT behaves (RFC 5780).)";
  }
  return "";
}

/// What stands for a command in Setting::commands.
char letter(Command command) {
  switch (command) {
    case Command::node: return 'n';
    case Command::boot: return 'b';
    case Command::id: return 'i';
    case Command::status: return 's';
    case Command::ping: return 'g';
    case Command::perf: return 'f';
    case Command::addr: return 'a';
    case Command::map: return 'm';
    case Command::probe: return 'p';
    case Command::pair: return 'r';
    case Command::stun_server: return 't';
  }
  return ' ';
}

std::string variable_name(const Setting& setting) {
  if (setting.key == "key") return "PYRSIA_KEYPAIR";  // The original's name.
  std::string name = "PYRSIA_";
  for (const char c : setting.key) name += static_cast<char>(std::toupper(c));
  return name;
}

std::string_view long_flag(const Setting& setting) {
  if (setting.kind == Kind::words) return setting.flags;
  if (const auto comma = setting.flags.find(",--"); setting.flags.starts_with("--"))
    return setting.flags.substr(0, comma);
  return setting.flags.substr(setting.flags.find("--"));
}

bool has(const Setting& setting, Command command) {
  return setting.commands.find(letter(command)) != std::string_view::npos;
}

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    if (auto part = trimmed(text.substr(0, comma)); !part.empty()) parts.push_back(part);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

/// "true" or "false"; nothing if it is neither.
std::optional<std::string> switch_value(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const auto* yes : {"1", "true", "on", "yes"}) {
    if (text == yes) return "true";
  }
  for (const auto* no : {"0", "false", "off", "no"}) {
    if (text == no) return "false";
  }
  return std::nullopt;
}

/// The values that flags give, where CLI11 puts them.
struct Flags {
  std::map<std::string_view, std::vector<std::string>> values;
  std::map<std::string_view, bool> switches;
};

void add_flags(CLI::App& app, Command command, Flags& flags) {
  app.set_help_flag("-h,--help", "Print this");
  for (const auto& setting : kSettings) {
    if (!has(setting, command)) continue;
    const std::string names(setting.flags);
    const std::string help(setting.help);
    if (setting.kind == Kind::on_off) {
      app.add_flag(names, flags.switches[setting.key], help);
      continue;
    }
    auto* option = app.add_option(names, flags.values[setting.key], help);
    if (setting.kind == Kind::words) {
      option->type_name(std::string(setting.value))->expected(1, 16);
      continue;
    }
    option->type_name(std::string(setting.value))->expected(1)->allow_extra_args(false);
    option->multi_option_policy(setting.kind == Kind::list ? CLI::MultiOptionPolicy::TakeAll
                                                           : CLI::MultiOptionPolicy::TakeLast);
  }
}

void take_flags(CLI::App& app, Flags& flags, Settings& settings) {
  for (const auto& setting : kSettings) {
    if (!has(setting, settings.command)) continue;
    const std::string flag(long_flag(setting));
    if (app.count(flag) == 0) continue;
    auto values = flags.values[setting.key];
    if (setting.kind == Kind::on_off) values = {flags.switches[setting.key] ? "true" : "false"};
    settings.given[std::string(setting.key)] = {std::move(values), flag, ExitCode::usage};
  }
}

/// The level that RUST_LOG asks of us, which is the original's variable: "debug", or
/// "warn,pyrsia=trace". Nothing if it asks none: it may be meant for other programs.
std::optional<std::string> rust_log_level(std::string_view directives) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kLevels{
      {{"trace", "debug"},
       {"debug", "debug"},
       {"info", "info"},
       {"warn", "warning"},
       {"error", "error"},
       {"off", "error"}}};
  std::optional<std::string> of_all;
  std::optional<std::string> of_ours;
  for (const std::string_view directive : split(directives)) {
    const bool is_ours = directive.starts_with("pyrsia=");
    const auto word = is_ours ? directive.substr(directive.find('=') + 1) : directive;
    const auto level = std::ranges::find(kLevels, word, &decltype(kLevels)::value_type::first);
    if (level != kLevels.end()) (is_ours ? of_ours : of_all) = std::string(level->second);
  }
  return of_ours ? of_ours : of_all;
}

std::optional<Complaint> take_variables(const char* (*variable)(const char*), Settings& settings) {
  for (const auto& setting : kSettings) {
    if (!has(setting, settings.command) || settings.find(setting.key) != nullptr) continue;
    if (setting.kind == Kind::words) continue;
    const auto name = variable_name(setting);
    const char* const raw = variable(name.c_str());
    const auto text = trimmed(raw == nullptr ? "" : raw);
    if (text.empty()) continue;  // As the original has it: empty counts as unset.
    // Kubernetes sets PYRSIA_PORT=tcp://... for a service that is named pyrsia.
    if (setting.key == "port" && text.starts_with("tcp://")) continue;
    Given given{{text}, name, ExitCode::bad_config};
    if (setting.kind == Kind::list) given.values = split(text);
    if (given.values.empty()) continue;
    if (setting.kind == Kind::on_off) {
      const auto value = switch_value(text);
      if (!value) {
        return Complaint{ExitCode::bad_config,
                         fmt::format("{}: \"{}\" is neither true nor false", name, text)};
      }
      given.values = {*value};
    }
    settings.given[std::string(setting.key)] = std::move(given);
  }
  for (const char* const name : kUnusedVariables) {
    const char* const raw = variable(name);
    if (raw != nullptr && !trimmed(raw).empty()) settings.unused_variables.emplace_back(name);
  }
  const auto log = std::ranges::find(kSettings, "log_level", &Setting::key);
  const char* const directives = variable("RUST_LOG");
  if (!has(*log, settings.command) || settings.find(log->key) != nullptr || directives == nullptr)
    return std::nullopt;
  if (auto level = rust_log_level(directives))
    settings.given[std::string(log->key)] = {{*std::move(level)}, "RUST_LOG", ExitCode::bad_config};
  return std::nullopt;
}

std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return trimmed(text->get());
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  return std::nullopt;
}

/// The values of one key. Nothing if they are of the wrong type.
std::optional<std::vector<std::string>> values_of(const Setting& setting, const toml::node& node) {
  std::vector<std::string> values;
  const auto* list = node.as_array();
  if (list != nullptr && setting.kind != Kind::list) return std::nullopt;
  if (list == nullptr) {
    const auto value = scalar_text(node);
    if (!value || node.is_boolean() != (setting.kind == Kind::on_off)) return std::nullopt;
    return std::vector{*value};
  }
  for (const auto& element : *list) {
    const auto value = scalar_text(element);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

std::optional<Complaint> take_file(const std::string& file, Settings& settings) {
  const auto complain = [](std::string text) { return Complaint{ExitCode::bad_config, text}; };
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) {
    return complain(fmt::format("configuration file {}: {}", file,
                                error ? error.message() : std::string("not a file")));
  }
  const auto parsed = toml::parse_file(file);
  if (!parsed) {
    const auto& at = parsed.error().source().begin;
    return complain(fmt::format("configuration file {}, line {}, column {}: {}", file, at.line,
                                at.column, parsed.error().description()));
  }
  for (const auto& [toml_key, node] : parsed.table()) {
    std::string key(toml_key.str());
    std::ranges::replace(key, '-', '_');
    const auto setting = std::ranges::find(kSettings, key, &Setting::key);
    if (setting == kSettings.end() || key == "config" || setting->kind == Kind::words) {
      return complain(fmt::format("configuration file {}, line {}: there is no setting \"{}\"",
                                  file, toml_key.source().begin.line, toml_key.str()));
    }
    if (!has(*setting, settings.command) || settings.find(key) != nullptr) continue;
    auto values = values_of(*setting, node);
    if (!values) {
      return complain(fmt::format("configuration file {}, line {}: {} has a value of a wrong type",
                                  file, node.source().begin.line, toml_key.str()));
    }
    settings.given[key] = {*std::move(values), fmt::format("{}: {}", file, toml_key.str()),
                           ExitCode::bad_config};
  }
  return std::nullopt;
}

}  // namespace

std::string_view name(Command command) {
  switch (command) {
    case Command::node: return "node";
    case Command::boot: return "boot";
    case Command::id: return "id";
    case Command::status: return "status";
    case Command::ping: return "ping";
    case Command::perf: return "perf";
    case Command::addr: return "addr";
    case Command::map: return "map";
    case Command::probe: return "probe";
    case Command::pair: return "pair";
    case Command::stun_server: return "stun-server";
  }
  return "";
}

const Given* Settings::find(std::string_view key) const {
  const auto at = given.find(key);
  return at == given.end() ? nullptr : &at->second;
}

bool Settings::is_on(std::string_view key) const {
  const auto* value = find(key);
  return value != nullptr && value->values == std::vector<std::string>{"true"};
}

CommandLine read_settings(int argc, const char* const* argv,
                          const char* (*variable)(const char* name)) {
  CLI::App app{std::string(kIntroduction), "pyrsia"};
  app.set_version_flag("--version", std::string("pyrsia ") + PYRSIA_VERSION);
  app.set_help_flag("-h,--help", "Print this; after a command, its settings");
  app.require_subcommand(1);
  std::array<Flags, kCommands.size()> flags;
  std::array<CLI::App*, kCommands.size()> subs{};
  constexpr std::array kOneLine{"Run a node",
                                "Run a boot server",
                                "Print or make the identity",
                                "Measure round trips to a peer",
                                "Measure throughput to a peer",
                                "Explain an address",
                                "List, add or remove port mappings of the router",
                                "Say what NAT this is and what helps",
                                "Say which path two peers will get (also: probe pair)",
                                "Run a STUN server alone",
                                "Ask the node on this machine"};
  for (std::size_t i = 0; i < kCommands.size(); ++i) {
    subs[i] = app.add_subcommand(std::string(name(kCommands[i])), kOneLine[i]);
    add_flags(*subs[i], kCommands[i], flags[i]);
  }
  CommandLine line;
  std::vector<const char*> words(argv, argv + argc);
  const auto is = [&](std::size_t at, std::string_view word) {
    return at < words.size() && words[at] == word;
  };
  if (is(1, "probe") && is(2, "pair")) words.erase(words.begin() + 1);
  const std::string_view first = words.size() > 1 ? words[1] : "";
  if (!first.empty() && first.front() != '-' &&
      std::ranges::find(kCommands, first, [](Command c) { return name(c); }) == kCommands.end()) {
    line.complaint =
        Complaint{ExitCode::usage, fmt::format("there is no command \"{}\" (see --help)", first)};
    return line;
  }
  try {  // CLI11 has no other way to say that the command line is wrong.
    app.parse(static_cast<int>(words.size()), words.data());
  } catch (const CLI::CallForHelp&) {
    for (std::size_t i = 0; i < kCommands.size(); ++i) {
      if (subs[i]->parsed()) subs[i]->description(std::string(introduction(kCommands[i])));
    }
    line.text = app.help();
    return line;
  } catch (const CLI::CallForVersion&) {
    line.text = std::string("pyrsia ") + PYRSIA_VERSION + "\n";
    return line;
  } catch (const CLI::ParseError& error) {
    line.complaint = Complaint{ExitCode::usage, std::string(error.what()) + " (see --help)"};
    return line;
  }
  Settings settings;
  for (std::size_t i = 0; i < kCommands.size(); ++i) {
    if (!subs[i]->parsed()) continue;
    settings.command = kCommands[i];
    take_flags(*subs[i], flags[i], settings);
  }
  line.complaint = take_variables(variable, settings);
  if (const auto* file = settings.find("config"); file != nullptr && !line.complaint) {
    line.complaint = take_file(file->values.front(), settings);
  }
  if (!line.complaint) line.settings = std::move(settings);
  return line;
}

}  // namespace pyrsia::app
