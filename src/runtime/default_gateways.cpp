#include "runtime/default_gateways.hpp"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <optional>
#include <tuple>

namespace pyrsia {
namespace {

constexpr std::size_t kMaxGateways = 16;
/// Messages of one dump that are looked at: a router's tables can be long.
constexpr int kMaxMessages = 100'000;

/// One dump of a kernel table: a question and its answer, which the kernel has ready at once.
class Netlink {
 public:
  Netlink() : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
    const timeval limit{.tv_sec = 1, .tv_usec = 0};
    if (socket_ >= 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~Netlink() {
    if (socket_ >= 0) ::close(socket_);
  }
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  /// Calls `take` for each message. What cannot be asked is empty.
  template <class Head>
  void dump(std::uint16_t type, const Head& head, const std::function<void(nlmsghdr&)>& take) {
    struct {
      nlmsghdr message;
      Head head;
    } request{};
    request.message.nlmsg_len = sizeof request;
    request.message.nlmsg_type = type;
    request.message.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.head = head;
    if (::send(socket_, &request, sizeof request, 0) < 0) return;
    alignas(nlmsghdr) std::array<char, 32 * 1024> buffer;
    for (int left = kMaxMessages; left > 0;) {
      auto size = ::recv(socket_, buffer.data(), buffer.size(), 0);
      if (size <= 0) return;
      auto* message = reinterpret_cast<nlmsghdr*>(buffer.data());
      for (; NLMSG_OK(message, size); message = NLMSG_NEXT(message, size)) {
        if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) return;
        if (--left > 0) take(*message);
      }
    }
  }

 private:
  int socket_;
};

std::optional<IpAddress> ip_in(const rtattr& attribute) {
  const auto* data = static_cast<const std::uint8_t*>(RTA_DATA(&attribute));
  if (RTA_PAYLOAD(&attribute) == 4) return IpAddress::v4({data[0], data[1], data[2], data[3]});
  if (RTA_PAYLOAD(&attribute) != 16) return std::nullopt;
  std::array<std::uint8_t, 16> bytes;
  std::memcpy(bytes.data(), data, bytes.size());
  return IpAddress::v6(bytes);
}

std::uint32_t number_in(const rtattr& attribute) {
  std::uint32_t number = 0;
  if (RTA_PAYLOAD(&attribute) == sizeof number)
    std::memcpy(&number, RTA_DATA(&attribute), sizeof number);
  return number;
}

struct Route {
  std::uint32_t metric = 0;
  std::uint32_t interface = 0;
  std::optional<IpAddress> gateway;
};

/// Of several next hops each is a route.
void take_next_hops(const rtattr& attribute, std::uint32_t metric, std::vector<Route>& out) {
  auto* hop = static_cast<rtnexthop*>(RTA_DATA(&attribute));
  auto left = static_cast<int>(RTA_PAYLOAD(&attribute));
  while (left >= static_cast<int>(sizeof *hop) && RTNH_OK(hop, left)) {
    Route route{metric, static_cast<std::uint32_t>(hop->rtnh_ifindex), {}};
    auto size = static_cast<int>(hop->rtnh_len) - static_cast<int>(RTNH_LENGTH(0));
    for (auto* each = RTNH_DATA(hop); RTA_OK(each, size); each = RTA_NEXT(each, size))
      if (each->rta_type == RTA_GATEWAY) route.gateway = ip_in(*each);
    out.push_back(route);
    left -= static_cast<int>(RTNH_ALIGN(hop->rtnh_len));
    hop = RTNH_NEXT(hop);
  }
}

void take_route(nlmsghdr& message, std::vector<Route>& out) {
  const auto* head = static_cast<const rtmsg*>(NLMSG_DATA(&message));
  const bool is_default = message.nlmsg_type == RTM_NEWROUTE && head->rtm_dst_len == 0 &&
                          head->rtm_table == RT_TABLE_MAIN && head->rtm_type == RTN_UNICAST;
  if (!is_default) return;
  Route route;
  const rtattr* hops = nullptr;
  auto size = static_cast<int>(RTM_PAYLOAD(&message));
  for (auto* each = RTM_RTA(head); RTA_OK(each, size); each = RTA_NEXT(each, size)) {
    if (each->rta_type == RTA_GATEWAY) route.gateway = ip_in(*each);
    if (each->rta_type == RTA_OIF) route.interface = number_in(*each);
    if (each->rta_type == RTA_PRIORITY) route.metric = number_in(*each);
    if (each->rta_type == RTA_MULTIPATH) hops = each;
  }
  if (hops) take_next_hops(*hops, route.metric, out);
  out.push_back(route);
}

struct Neighbour {
  std::uint32_t interface = 0;
  std::optional<IpAddress> ip;
  std::string hardware_address;
};

std::string hardware_text(const rtattr& attribute) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  const auto* data = static_cast<const std::uint8_t*>(RTA_DATA(&attribute));
  for (std::size_t i = 0; i < RTA_PAYLOAD(&attribute); ++i) {
    if (i > 0) text += ':';
    text += kDigits[data[i] >> 4];
    text += kDigits[data[i] & 15];
  }
  return text;
}

void take_neighbour(nlmsghdr& message, std::vector<Neighbour>& out) {
  auto* head = static_cast<ndmsg*>(NLMSG_DATA(&message));
  if (message.nlmsg_type != RTM_NEWNEIGH) return;
  Neighbour neighbour{static_cast<std::uint32_t>(head->ndm_ifindex), {}, {}};
  auto size = static_cast<int>(message.nlmsg_len) - static_cast<int>(NLMSG_LENGTH(sizeof *head));
  auto* each = reinterpret_cast<rtattr*>(reinterpret_cast<char*>(head) + NLMSG_ALIGN(sizeof *head));
  for (; RTA_OK(each, size); each = RTA_NEXT(each, size)) {
    if (each->rta_type == NDA_DST) neighbour.ip = ip_in(*each);
    if (each->rta_type == NDA_LLADDR && RTA_PAYLOAD(each) == 6)
      neighbour.hardware_address = hardware_text(*each);
  }
  if (neighbour.ip) out.push_back(std::move(neighbour));
}

}  // namespace

std::vector<Gateway> read_default_gateways() {
  Netlink kernel;
  std::vector<Route> routes;
  for (const auto family : {AF_INET, AF_INET6}) {
    rtmsg head{};
    head.rtm_family = static_cast<unsigned char>(family);
    kernel.dump(RTM_GETROUTE, head, [&](nlmsghdr& message) { take_route(message, routes); });
  }
  std::erase_if(routes, [](const Route& route) { return !route.gateway; });
  std::ranges::sort(routes, [](const Route& a, const Route& b) {
    return std::tie(a.metric, a.gateway) < std::tie(b.metric, b.gateway);
  });
  if (routes.size() > kMaxGateways) routes.resize(kMaxGateways);
  if (routes.empty()) return {};
  std::vector<Neighbour> neighbours;
  kernel.dump(RTM_GETNEIGH, ndmsg{},
              [&](nlmsghdr& message) { take_neighbour(message, neighbours); });
  std::vector<Gateway> gateways;
  for (const auto& route : routes) {
    std::array<char, IF_NAMESIZE> interface_name{};
    if (!::if_indextoname(route.interface, interface_name.data())) continue;
    Gateway gateway{interface_name.data(), *route.gateway, ""};
    for (const auto& each : neighbours)
      if (each.interface == route.interface && each.ip == route.gateway)
        gateway.hardware_address = each.hardware_address;
    if (std::ranges::find(gateways, gateway) == gateways.end()) gateways.push_back(gateway);
  }
  return gateways;
}

}  // namespace pyrsia
