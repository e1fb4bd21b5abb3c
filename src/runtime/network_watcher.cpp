#include "runtime/network_watcher.hpp"

#include "runtime/descriptor.hpp"
#include "runtime/kernel_error.hpp"
#include "runtime/nd_options.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace pyrsia {
namespace {

constexpr std::uint32_t kGroups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                                  RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE |
                                  1U << (RTNLGRP_ND_USEROPT - 1);

/// The body of a message of this type; none if it is cut off.
template <class T>
bool read_body(BytesView message, T& out) {
  if (message.size() < NLMSG_HDRLEN + sizeof(T)) return false;
  std::memcpy(&out, message.data() + NLMSG_HDRLEN, sizeof(T));
  return true;
}

bool is_change(std::uint16_t type, BytesView message) {
  if (type == RTM_NEWADDR || type == RTM_DELADDR || type == RTM_DELLINK) return true;
  if (type == RTM_NEWLINK) {
    ifinfomsg link{};
    // Wireless links tell of their signal as well, many times a minute.
    return read_body(message, link) && (link.ifi_change & (IFF_UP | IFF_RUNNING)) != 0;
  }
  if (type == RTM_NEWROUTE || type == RTM_DELROUTE) {
    rtmsg route{};
    return read_body(message, route) && route.rtm_table == RT_TABLE_MAIN &&
           route.rtm_type == RTN_UNICAST && (route.rtm_flags & RTM_F_CLONED) == 0;
  }
  return false;
}

class KernelNetworkWatcher final : public NetworkWatcher {
 public:
  KernelNetworkWatcher(Reactor& reactor, Env& env)
      : env_(env), descriptor_(reactor, env.executor()) {}

  Result<> open(int socket) { return descriptor_.open(socket); }

  Task<> changed() override {
    for (;;) {
      PYRSIA_CO_TRY(co_await descriptor_.wait_readable());
      PYRSIA_CO_TRY(const bool has_changed, take_all());
      if (has_changed) co_return ok;
      // A flood of what is no change must not starve the others.
      if (descriptor_.may_read()) PYRSIA_CO_TRY(co_await descriptor_.share_the_thread());
    }
  }
  std::vector<AdvertisedNat64> nat64_prefixes() override { return prefixes_.good(env_.now()); }

 private:
  /// Reads what there is. True if it tells of a change. Errors: those of the kernel.
  Result<bool> take_all() {
    bool has_changed = false;
    std::array<std::uint8_t, 8192> buffer;
    for (int i = 0; i < 256; ++i) {
      const auto size = ::recv(descriptor_.number(), buffer.data(), buffer.size(), MSG_TRUNC);
      if (size >= 0) {
        const auto read = std::size_t(size);
        // One that did not fit, or was dropped, may have told of anything.
        has_changed |= read > buffer.size() || take(BytesView(buffer).first(read));
      } else if (errno == ENOBUFS) {
        has_changed = true;
      } else if (errno == EAGAIN) {
        descriptor_.read_blocked();
        break;
      } else if (errno != EINTR) {
        return kernel_error(errno);
      }
    }
    return has_changed;
  }

  bool take(BytesView bytes) {
    bool has_changed = tells_of_change(bytes);
    for (const auto& advertised : read_nat64(bytes))
      has_changed |= prefixes_.take(advertised, env_.now());
    return has_changed;
  }

  Env& env_;
  Nat64Prefixes prefixes_;
  Descriptor descriptor_;
};

}  // namespace

bool tells_of_change(BytesView bytes) {
  while (bytes.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header{};
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > bytes.size()) return false;
    if (is_change(header.nlmsg_type, bytes.first(header.nlmsg_len))) return true;
    bytes = bytes.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), bytes.size()));
  }
  return false;
}

Result<std::unique_ptr<NetworkWatcher>> watch_network(Reactor& reactor, Env& env) {
  const int socket = ::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (socket < 0) return kernel_error(errno);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = kGroups;
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    ::close(socket);
    return kernel_error(error);
  }
  auto watcher = std::make_unique<KernelNetworkWatcher>(reactor, env);
  PYRSIA_TRY(watcher->open(socket));
  return std::unique_ptr<NetworkWatcher>(std::move(watcher));
}

}  // namespace pyrsia
