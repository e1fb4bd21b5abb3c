#include "runtime/signals.hpp"

#include <array>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <utility>

namespace pyrsia {
namespace {

constexpr std::array<int, 2> kSignals = {SIGINT, SIGTERM};

// A signal handler reaches nothing but globals.
std::array<volatile std::sig_atomic_t, kSignals.size()> caught{};
volatile std::sig_atomic_t wake_descriptor = -1;
std::array<struct sigaction, kSignals.size()> former{};

void on_caught(int signal) {
  const int error = errno;
  for (std::size_t i = 0; i < kSignals.size(); ++i)
    if (kSignals[i] == signal) caught[i] = 1;
  Reactor::wake(wake_descriptor);
  errno = error;
}

}  // namespace

Signals::Signals(Reactor& reactor, std::function<void(int signal)> on_signal)
    : on_signal_(std::move(on_signal)) {
  assert(wake_descriptor < 0);
  wake_descriptor = reactor.wake_descriptor();
  struct sigaction action{};
  action.sa_handler = on_caught;
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    caught[i] = 0;
    ::sigaction(kSignals[i], &action, &former[i]);
  }
}

Signals::~Signals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &former[i], nullptr);
  wake_descriptor = -1;
}

void Signals::deliver() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (caught[i] == 0) continue;
    caught[i] = 0;
    on_signal_(kSignals[i]);
  }
}

}  // namespace pyrsia
