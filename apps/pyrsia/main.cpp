#include "commands.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace pyrsia::app {

void complain(const Complaint& complaint) {
  std::fputs(("pyrsia: " + complaint.text + "\n").c_str(), stderr);
}

ExitCode print(const std::string& text) {
  const bool is_written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (is_written && std::fflush(stdout) == 0) return ExitCode::success;
  const int error = errno;
  if (error == EPIPE) return ExitCode::success;  // The reader has had enough, as `head` has.
  const auto why = std::generic_category().message(error);
  complain({ExitCode::try_later, "cannot write to standard output: " + why});
  return ExitCode::try_later;
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
  if (!line.settings) return print(line.text);
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
    case Command::ping: return run_ping(options);
    case Command::perf: return run_perf(options);
    case Command::addr: return run_addr(options);
    case Command::map: return run_map(options);
    case Command::probe: return run_probe(options);
    case Command::pair: return run_pair(options);
    case Command::stun_server: return run_stun_server(options);
  }
  return ExitCode::usage;
}

/// Opens the standard streams that are closed, or the first sockets would take their places and get
/// what is printed. For reading only, so that to print there fails.
void open_standard_streams() {
  int descriptor = 0;
  while (descriptor >= 0 && descriptor <= STDERR_FILENO)
    descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (descriptor > STDERR_FILENO) ::close(descriptor);
}

}  // namespace
}  // namespace pyrsia::app

int main(int argc, char** argv) {
  pyrsia::app::open_standard_streams();
  // A reader of stdout that has gone is noticed by the write, not by the end of the program.
  std::signal(SIGPIPE, SIG_IGN);
  return static_cast<int>(pyrsia::app::run(argc, argv));
}
