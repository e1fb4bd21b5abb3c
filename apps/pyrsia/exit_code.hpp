#pragma once

namespace pyrsia::app {

/// What the program tells the shell. The numbers from 64 on are those of sysexits.h.
enum class ExitCode {
  success = 0,            ///< probe: most peers will connect directly.
  relayed = 10,           ///< ping: the peer answers, but over a relay only. probe: so will most.
  degraded = 11,          ///< ping: some answers are missing. probe: relays only for some peers.
                          ///< map add: not a public address. map: the router cannot list.
  unreachable = 20,       ///< status, probe: others cannot connect. ping, perf: no answer.
                          ///< map: no router does it.
  udp_blocked = 21,       ///< probe: only TCP gets out.
  captive_portal = 22,    ///< probe: a portal answers in the name of others.
  bootstrap_failed = 30,  ///< node --once, probe: no boot server could be reached.
  usage = 64,             ///< A flag, or a value given by one, is wrong.
  not_running = 69,       ///< status: no daemon answers.
  internal_error = 70,    ///< It did not stop in time, or was told to a second time.
  try_later = 75,         ///< A port is in use, or the verdict is not known yet.
  bad_config = 78,        ///< The environment, the configuration file or the key file is wrong.
};

}  // namespace pyrsia::app
