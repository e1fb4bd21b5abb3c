#include "commands.hpp"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace pyrsia::app {

void complain(const Complaint& complaint) {
  fmt::print(stderr, "pyrsia: {}\n", complaint.text);
}

namespace {

const char* variable(const char* name) {
  return std::getenv(name);
}

ExitCode run(int argc, char** argv) {
  const auto line = read_settings(argc, argv, variable);
  if (line.complaint) {
    complain(*line.complaint);
    return line.complaint->code;
  }
  if (!line.settings) {
    fmt::print("{}", line.text);
    return ExitCode::success;
  }
  Options options;
  if (const auto complaint = read_options(*line.settings, options)) {
    complain(*complaint);
    return complaint->code;
  }
  switch (options.command) {
    case Command::node:
    case Command::boot: return run_node(std::move(options));
    case Command::id: return run_id(options);
    case Command::status: return run_status(options);
    case Command::probe: return run_probe(options);
    case Command::pair: return run_pair(options);
    case Command::stun_server: return run_stun_server(options);
  }
  return ExitCode::usage;
}

}  // namespace
}  // namespace pyrsia::app

int main(int argc, char** argv) {
  // A reader of stdout that has gone is noticed by the write, not by the end of the program.
  std::signal(SIGPIPE, SIG_IGN);
  return static_cast<int>(pyrsia::app::run(argc, argv));
}
