// A virtual cable between two network namespaces, for kernels without netem: one process holds a
// TAP device in each and carries the frames with delay, jitter, loss, duplication and rate.
//   cable NS_A DEVICE_A NS_B DEVICE_B [delay=ms] [jitter=ms] [loss=%] [dup=%] [rate=Mbit/s]
//         [limit=frames] [reorder=0|1] [seed=n] [seconds=n]
// Prints "ready" once the devices are up; ends after `seconds`, or on SIGTERM.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <queue>
#include <random>
#include <string>
#include <vector>

namespace {

volatile sig_atomic_t is_stopped = 0;

double now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + double(t.tv_nsec) / 1e9;
}

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// Enters the namespace, makes the device there and keeps only its descriptor.
int open_tap(const std::string& name_space, const char* device) {
  const int at = open(("/run/netns/" + name_space).c_str(), O_RDONLY);
  if (at < 0 || setns(at, CLONE_NEWNET)) die(name_space.c_str());
  close(at);
  const int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  std::strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  if (tap < 0 || ioctl(tap, TUNSETIFF, &request)) die("TUNSETIFF");
  const int any = socket(AF_INET, SOCK_DGRAM, 0);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(any, SIOCSIFFLAGS, &request)) die("SIOCSIFFLAGS");
  close(any);
  return tap;
}

struct Frame {
  double due;
  unsigned long number;
  std::vector<unsigned char> bytes;
  bool operator<(const Frame& other) const {
    return due != other.due ? due > other.due : number > other.number;
  }
};

struct Options {
  std::map<std::string, double> values{{"delay", 0},   {"jitter", 0}, {"loss", 0},
                                       {"dup", 0},     {"rate", 0},   {"limit", 1000},
                                       {"reorder", 0}, {"seed", 1},   {"seconds", 60}};
  double operator[](const char* name) const { return values.at(name); }
};

class Direction {
 public:
  Direction(int in, int out) : in_(in), out_(out) {}

  int in() const { return in_; }
  double next_due(double otherwise) const {
    return queue_.empty() ? otherwise : std::min(otherwise, queue_.top().due);
  }

  void take(const Options& options, std::mt19937& random) {
    std::uniform_real_distribution<double> unit(0, 1);
    std::array<unsigned char, 65600> buffer{};
    for (int i = 0; i < 64; ++i) {
      const ssize_t size = read(in_, buffer.data(), buffer.size());
      if (size <= 0) return;
      if (unit(random) * 100 < options["loss"] || double(queue_.size()) >= options["limit"])
        continue;
      double due = now();
      if (options["rate"] > 0) {
        free_at_ = std::max(free_at_, due) + double(size) / (options["rate"] * 1e6 / 8);
        due = free_at_;
      }
      due += (options["delay"] + options["jitter"] * (2 * unit(random) - 1)) / 1e3;
      if (options["reorder"] == 0) due = last_due_ = std::max(due, last_due_);
      const std::vector<unsigned char> bytes(buffer.begin(), buffer.begin() + size);
      queue_.push({due, ++number_, bytes});
      if (unit(random) * 100 < options["dup"]) queue_.push({due, ++number_, bytes});
    }
  }

  void give() {
    for (const double t = now(); !queue_.empty() && queue_.top().due <= t; queue_.pop()) {
      const auto& bytes = queue_.top().bytes;
      if (write(out_, bytes.data(), bytes.size()) < 0 && errno == EAGAIN) return;
    }
  }

 private:
  int in_;
  int out_;
  std::priority_queue<Frame> queue_;
  double free_at_ = 0;
  double last_due_ = 0;
  unsigned long number_ = 0;
};

}  // namespace

int main(int count, char** words) {
  if (count < 5) return 64;
  Options options;
  for (int i = 5; i < count; ++i) {
    const std::string word = words[i];
    const auto equals = word.find('=');
    if (equals == std::string::npos || !options.values.contains(word.substr(0, equals))) return 64;
    options.values[word.substr(0, equals)] = std::atof(word.c_str() + equals + 1);
  }
  const int a = open_tap(words[1], words[2]);
  const int b = open_tap(words[3], words[4]);
  std::array directions{Direction(a, b), Direction(b, a)};
  std::mt19937 random{unsigned(options["seed"])};
  signal(SIGTERM, [](int) { is_stopped = 1; });
  signal(SIGINT, [](int) { is_stopped = 1; });
  prctl(PR_SET_TIMERSLACK, 1);
  std::puts("ready");
  std::fflush(stdout);
  const double end = now() + options["seconds"];
  while (!is_stopped && now() < end) {
    double next = now() + 0.2;
    for (const auto& direction : directions) next = direction.next_due(next);
    const double wait = std::max(0.0, next - now());
    const timespec limit{time_t(wait), long((wait - double(time_t(wait))) * 1e9)};
    std::array<pollfd, 2> polled{{{a, POLLIN, 0}, {b, POLLIN, 0}}};
    ppoll(polled.data(), polled.size(), &limit, nullptr);
    for (auto& direction : directions) {
      direction.take(options, random);
      direction.give();
    }
  }
}
