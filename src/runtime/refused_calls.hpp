/// For tests: system calls that fail from now on, by a filter for them (seccomp(2)). There is no
/// way back, so each case wants a process of its own.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pyrsia {

struct CallArgument {
  unsigned index = 0;
  std::uint32_t value = 0;
};

/// A system call, with these arguments, that fails.
struct RefusedCall {
  long call = 0;
  std::vector<CallArgument> arguments;
  int error = 0;
};

inline constexpr sock_filter kLoadNumber =
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));

inline void append(std::vector<sock_filter>& filter, const RefusedCall& refusal) {
  const auto tests = 1 + refusal.arguments.size();
  auto left = std::uint8_t(2 * tests - 1);  // Steps to the next refusal.
  const auto expect = [&](std::uint32_t value) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, left));
    left = std::uint8_t(left - 2);
  };
  filter.push_back(kLoadNumber);
  expect(std::uint32_t(refusal.call));
  for (const auto& argument : refusal.arguments) {
    const auto at = offsetof(seccomp_data, args) + argument.index * sizeof(std::uint64_t);
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, std::uint32_t(at)));
    expect(argument.value);
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | std::uint32_t(refusal.error)));
}

/// From now on, for this thread and those that it starts. False: the kernel has no such filters.
inline bool refuse_calls(const std::vector<RefusedCall>& refusals) {
  std::vector<sock_filter> filter;
  for (const auto& refusal : refusals) append(filter, refusal);
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace pyrsia
