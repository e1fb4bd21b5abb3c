#include "base/in_words.hpp"
#include "commands.hpp"
#include "host/scope.hpp"
#include "identity.hpp"
#include "node.hpp"

#include <fmt/format.h>

#include <fstream>

namespace pyrsia::app {
namespace {

/// A peer to connect to that is ourselves: most often a key file that was copied.
std::optional<Complaint> own_id_complaint(const Options& options, const PeerId& self) {
  for (const auto* list : {&options.host.peers, &options.host.probe_servers}) {
    for (const auto& address : *list) {
      if (address.peer_id() != self) continue;
      return Complaint{ExitCode::usage,
                       fmt::format("{} is our own peer id: is the key file {} a copy?",
                                   address.to_string(), options.key_file.string())};
    }
  }
  return std::nullopt;
}

}  // namespace

ExitCode run_node(Options options) {
  Terminal terminal(options.is_json, options.log_level);
  auto identity = load_or_make_identity(options.key_file);
  if (!identity.complaint) {
    identity.complaint = own_id_complaint(options, identity.key->peer_id());
  }
  if (identity.complaint) {
    complain(*identity.complaint);
    return identity.complaint->code;
  }
  if (!identity.warning.empty()) terminal.note("pyrsia: " + identity.warning);
  for (const auto& note : options.notes) terminal.note("pyrsia: " + note);
  options.host.log = terminal.sink();
  std::ofstream evidence;
  if (!options.evidence_file.empty()) {
    evidence.open(options.evidence_file, std::ios::trunc);
    if (!evidence) {
      const Complaint complaint{ExitCode::bad_config, fmt::format("{}: cannot be written to",
                                                                  options.evidence_file.string())};
      complain(complaint);
      return complaint.code;
    }
    options.host.evidence_sink = [&evidence](const std::string& line) {
      evidence << line << std::endl;  // Flushed: what led to a crash is what is wanted most.
    };
  }
  Runtime runtime;
  auto host = Host::make(runtime, *identity.key, options.host);
  if (!host) {
    const Complaint complaint{ExitCode::bad_config, std::string(in_words(host.error()))};
    complain(complaint);
    return complaint.code;
  }
  const auto classifier = make_classifier(options.host);
  Node node(runtime.env(), options, **host, *identity.key, classifier, terminal);
  const auto ended = runtime.run(node.run(), [&](int) { node.on_signal(); });
  if (!ended) terminal.note("pyrsia: " + ended.error().message());
  return node.exit_code();
}

}  // namespace pyrsia::app
