/// Where settings come from: a flag wins over a PYRSIA_* variable, that over the configuration
/// file, that over the default.
#pragma once

#include "exit_code.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::app {

enum class Command { node, boot, id, status, ping, perf, addr, map, probe, pair, stun_server };

std::string_view name(Command command);

/// One setting as it was given.
struct Given {
  std::vector<std::string> values;  ///< One, but for lists. Of a switch: "true" or "false".
  std::string origin;               ///< For messages: "--listen", "PYRSIA_LISTEN", "a.toml: listen"
  ExitCode fault = ExitCode::usage;  ///< If the value is wrong.
};

/// The one line that says what is wrong, and the exit code that goes with it.
struct Complaint {
  ExitCode code;
  std::string text;
};

/// All settings that were given, by key ("bootstrap_url").
struct Settings {
  Command command = Command::node;
  std::map<std::string, Given, std::less<>> given;
  /// Variables of the original that are set and have no setting here.
  std::vector<std::string> unused_variables;

  const Given* find(std::string_view key) const;
  bool is_on(std::string_view key) const;
};

/// What the command line asks for: settings to run with, or a text to print and end.
struct CommandLine {
  std::optional<Settings> settings;
  std::string text;  ///< Help or version, for stdout.
  std::optional<Complaint> complaint;
};

/// Reads flags, environment (`variable(name)`, null if unset) and configuration file.
CommandLine read_settings(int argc, const char* const* argv,
                          const char* (*variable)(const char* name));

}  // namespace pyrsia::app
