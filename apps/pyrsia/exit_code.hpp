#pragma once

namespace pyrsia::app {

/// What the program tells the shell. The numbers from 64 on are those of sysexits.h.
enum class ExitCode {
  success = 0,
  relayed = 10,           ///< ping: the peer answers, but over a relay only.
  degraded = 11,          ///< ping: some answers are missing. map add: not a public address.
  unreachable = 20,       ///< status: none can connect to the node. ping, perf: no answer.
                          ///< map: no router does it.
  bootstrap_failed = 30,  ///< node --once: no boot server could be reached.
  usage = 64,             ///< A flag, or a value given by one, is wrong.
  not_running = 69,       ///< status: no daemon answers.
  try_later = 75,         ///< A port is in use, or the verdict is not known yet.
  bad_config = 78,        ///< The environment, the configuration file or the key file is wrong.
};

}  // namespace pyrsia::app
