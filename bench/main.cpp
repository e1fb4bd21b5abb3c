// Load between two processes on this machine:
//   pyrsia_bench server [-p PORT] [-C CPU]
//   pyrsia_bench client -p PORT [-w throughput|setup] [-n AT_ONCE] [-t SECONDS] [-C CPU]
#include "runtime/real_env.hpp"
#include "workloads.hpp"

#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) std::perror("sched_setaffinity");
}

}  // namespace

int main(int argc, char** argv) {
  using namespace pyrsia;
  const std::string_view side = argc > 1 ? argv[1] : "";
  std::string_view workload = "throughput";
  bench::Load load;
  load.remote.ip = IpAddress::v4_loopback();
  optind = 2;
  for (int option = 0; (option = getopt(argc, argv, "p:w:n:t:C:")) != -1;) {
    switch (option) {
      case 'p': load.remote.port = std::uint16_t(std::atoi(optarg)); break;
      case 'w': workload = optarg; break;
      case 'n': load.at_once = std::atoi(optarg); break;
      case 't': load.duration = std::chrono::seconds(std::atoi(optarg)); break;
      case 'C': pin_to(std::atoi(optarg)); break;
      default: return 2;
    }
  }
  const auto env = make_real_env({});
  bench::Node node(*env);
  Result<> done = Errc::invalid_argument;
  if (side == "server") done = run(*env, bench::serve(node, load.remote), {});
  if (side == "client" && workload == "throughput")
    done = run(*env, bench::throughput(node, load), {});
  if (side == "client" && workload == "setup") done = run(*env, bench::setup(node, load), {});
  if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
