// A NAT box in userspace, for kinds that nftables cannot do: it runs the very tables of the
// simulation (src/sim/nat.hpp) between two network namespaces, over IPv4.
//   natbox KIND NS_INSIDE DEVICE NS_OUTSIDE DEVICE OUTER_IP [SECONDS]
//   natbox --list     the kinds, one a line
// Prints "ready" once the devices are up; ends after SECONDS (120), or on SIGTERM.
#include "sim/nat_kinds.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

namespace {

using namespace pyrsia;
using sim::NatTable;

volatile sig_atomic_t is_stopped = 0;

constexpr int kMtu = 9000;  // So that a padded request stays whole on its way to the table.
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// Enters the namespace, makes the device there and keeps only its descriptor.
int open_tun(const std::string& name_space, const char* device) {
  const int at = open(("/run/netns/" + name_space).c_str(), O_RDONLY);
  if (at < 0 || setns(at, CLONE_NEWNET)) die(name_space.c_str());
  close(at);
  const int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  if (tun < 0 || ioctl(tun, TUNSETIFF, &request)) die("TUNSETIFF");
  const int any = socket(AF_INET, SOCK_DGRAM, 0);
  request.ifr_mtu = kMtu;
  if (ioctl(any, SIOCSIFMTU, &request)) die("SIOCSIFMTU");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(any, SIOCSIFFLAGS, &request)) die("SIOCSIFFLAGS");
  close(any);
  return tun;
}

std::uint16_t u16(const std::uint8_t* at) {
  return static_cast<std::uint16_t>(at[0] << 8 | at[1]);
}
void put_u16(std::uint8_t* at, unsigned number) {
  at[0] = static_cast<std::uint8_t>(number >> 8);
  at[1] = static_cast<std::uint8_t>(number);
}
unsigned sum(std::span<const std::uint8_t> bytes, unsigned before) {
  for (std::size_t i = 0; i < bytes.size(); ++i) before += bytes[i] << (i % 2 == 0 ? 8 : 0);
  return before;
}
unsigned folded(unsigned total) {
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return ~total & 0xffff;
}

/// An IPv4 packet of TCP or UDP, not a fragment: what the box carries.
class IpPacket {
 public:
  explicit IpPacket(std::span<std::uint8_t> bytes) : bytes_(bytes) {}

  bool is_carried() const {
    if (bytes_.size() < 20 || bytes_[0] >> 4 != 4 || u16(&bytes_[2]) != bytes_.size()) return false;
    if ((u16(&bytes_[6]) & 0x3fff) != 0) return false;  // More fragments, or not the first one.
    const auto protocol = bytes_[9];
    if (protocol != kTcp && protocol != kUdp) return false;
    return header_bytes() >= 20 && bytes_.size() >= header_bytes() + (protocol == kTcp ? 20U : 8U);
  }
  sim::Packet read() const {
    sim::Packet packet;
    packet.protocol = bytes_[9] == kTcp ? sim::Protocol::tcp : sim::Protocol::udp;
    packet.from = {ip(12), u16(transport())};
    packet.to = {ip(16), u16(transport() + 2)};
    if (packet.protocol == sim::Protocol::tcp) {
      packet.syn = (transport()[13] & 2) != 0;
      packet.ack = (transport()[13] & 16) != 0;
    } else {
      packet.payload.resize(transport_bytes() - 8);
    }
    return packet;
  }
  void readdress(const sim::Packet& packet) {
    put(12, packet.from.ip);
    put(16, packet.to.ip);
    put_u16(transport(), packet.from.port);
    put_u16(transport() + 2, packet.to.port);
    put_u16(&bytes_[10], 0);
    put_u16(&bytes_[10], folded(sum(bytes_.first(header_bytes()), 0)));
    const bool is_tcp = bytes_[9] == kTcp;
    auto* const checksum = transport() + (is_tcp ? 16 : 6);
    put_u16(checksum, 0);
    auto total = sum(bytes_.subspan(12, 8), bytes_[9] + unsigned(transport_bytes()));
    total = folded(sum(bytes_.subspan(header_bytes()), total));
    put_u16(checksum, total == 0 && !is_tcp ? 0xffff : total);
  }

 private:
  std::size_t header_bytes() const { return std::size_t(bytes_[0] & 15) * 4; }
  std::size_t transport_bytes() const { return bytes_.size() - header_bytes(); }
  std::uint8_t* transport() const { return &bytes_[header_bytes()]; }
  IpAddress ip(std::size_t at) const {
    return IpAddress::v4({bytes_[at], bytes_[at + 1], bytes_[at + 2], bytes_[at + 3]});
  }
  void put(std::size_t at, const IpAddress& ip) { std::memcpy(&bytes_[at], ip.bytes().data(), 4); }

  std::span<std::uint8_t> bytes_;
};

class Box {
 public:
  Box(int inside, int outside, sim::NatConfig config)
      : inside_(inside),
        outside_(outside),
        table_(std::move(config), std::mt19937_64(std::random_device()())) {}

  void carry(bool is_outbound) {
    std::array<std::uint8_t, kMtu> buffer{};
    for (int i = 0; i < 64; ++i) {
      const ssize_t size = read(is_outbound ? inside_ : outside_, buffer.data(), buffer.size());
      if (size <= 0) return;
      IpPacket ip(std::span(buffer).first(std::size_t(size)));
      if (!ip.is_carried()) continue;
      auto packet = ip.read();
      const int to = is_outbound ? leave(packet) : enter(packet);
      if (to < 0) continue;
      ip.readdress(packet);
      // What does not fit into the device's queue is lost, as on any path.
      if (write(to, buffer.data(), std::size_t(size)) < 0 && errno != EAGAIN) std::perror("write");
    }
  }

 private:
  /// The device it goes on to; none: dropped.
  int leave(sim::Packet& packet) {
    const auto now = TimePoint(std::chrono::steady_clock::now());
    const bool is_hairpin = table_.is_external(packet.to.ip);
    if (is_hairpin && !table_.has_hairpin()) return -1;
    if (!table_.translate_outbound(packet, now)) return -1;
    return is_hairpin ? enter(packet) : outside_;
  }
  int enter(sim::Packet& packet) {
    const auto now = TimePoint(std::chrono::steady_clock::now());
    return table_.translate_inbound(packet, now) == NatTable::Verdict::pass ? inside_ : -1;
  }

  int inside_;
  int outside_;
  NatTable table_;
};

}  // namespace

int main(int count, char** words) {
  if (count == 2 && std::string(words[1]) == "--list") {
    for (const auto& each : sim::nat_kinds()) std::puts(std::string(each.name).c_str());
    return 0;
  }
  if (count < 7) return 64;
  const auto* kind = sim::find_nat_kind(words[1]);
  const auto outer = IpAddress::parse(words[6]);
  if (kind == nullptr || !outer) return 64;
  auto config = kind->config;
  if (kind->translates) config.external = {*outer};
  const int inside = open_tun(words[2], words[3]);
  const int outside = open_tun(words[4], words[5]);
  Box box(inside, outside, config);
  signal(SIGTERM, [](int) { is_stopped = 1; });
  signal(SIGINT, [](int) { is_stopped = 1; });
  alarm(count > 7 ? unsigned(std::atoi(words[7])) : 120);
  signal(SIGALRM, [](int) { is_stopped = 1; });
  std::puts("ready");
  std::fflush(stdout);
  while (!is_stopped) {
    std::array<pollfd, 2> polled{{{inside, POLLIN, 0}, {outside, POLLIN, 0}}};
    poll(polled.data(), polled.size(), 1000);
    box.carry(true);
    box.carry(false);
  }
}
