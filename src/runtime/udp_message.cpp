#include "runtime/udp_message.hpp"

// time.h first: errqueue.h needs its timespec.
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <time.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace pyrsia {
namespace {

constexpr std::uint8_t kEcnBits = 3;

template <class T>
T value_of(const cmsghdr& note) {
  T value{};
  std::memcpy(&value, CMSG_DATA(&note), sizeof value);
  return value;
}

UdpError::Kind kind_of(const sock_extended_err& told) {
  using enum UdpError::Kind;
  if (told.ee_origin == SO_EE_ORIGIN_ICMP) {
    if (told.ee_type == ICMP_TIME_EXCEEDED && told.ee_code == ICMP_EXC_TTL) return expired;
    if (told.ee_type == ICMP_DEST_UNREACH && told.ee_code == ICMP_PORT_UNREACH) return refused;
  } else {
    if (told.ee_type == ICMP6_TIME_EXCEEDED && told.ee_code == ICMP6_TIME_EXCEED_TRANSIT)
      return expired;
    if (told.ee_type == ICMP6_DST_UNREACH && told.ee_code == ICMP6_DST_UNREACH_NOPORT)
      return refused;
  }
  return other;
}

}  // namespace

void read_notes(const msghdr& message, ReceivedNotes& notes) {
  auto* header = const_cast<msghdr*>(&message);  // CMSG_NXTHDR's; it changes nothing.
  for (auto* note = CMSG_FIRSTHDR(header); note; note = CMSG_NXTHDR(header, note)) {
    const auto level = note->cmsg_level;
    const auto type = note->cmsg_type;
    if (level == SOL_UDP && type == UDP_GRO) {
      notes.segment_bytes = static_cast<std::size_t>(value_of<int>(*note));
    } else if (level == IPPROTO_IP && type == IP_TOS) {
      notes.ecn = value_of<std::uint8_t>(*note) & kEcnBits;
    } else if (level == IPPROTO_IPV6 && type == IPV6_TCLASS) {
      notes.ecn = static_cast<std::uint8_t>(value_of<int>(*note) & kEcnBits);
    } else if (level == IPPROTO_IP && type == IP_PKTINFO) {
      std::array<std::uint8_t, 4> bytes{};
      const auto info = value_of<in_pktinfo>(*note);
      std::memcpy(bytes.data(), &info.ipi_addr, bytes.size());
      notes.to = IpAddress::v4(bytes);
    } else if (level == IPPROTO_IPV6 && type == IPV6_PKTINFO) {
      std::array<std::uint8_t, 16> bytes{};
      const auto info = value_of<in6_pktinfo>(*note);
      std::memcpy(bytes.data(), &info.ipi6_addr, bytes.size());
      notes.to = IpAddress::v6(bytes).unmapped();
    }
  }
}

std::optional<UdpError> read_error(const msghdr& message, const SocketAddress& to) {
  auto* header = const_cast<msghdr*>(&message);  // CMSG_NXTHDR's; it changes nothing.
  for (auto* note = CMSG_FIRSTHDR(header); note; note = CMSG_NXTHDR(header, note)) {
    const bool is_v4 = note->cmsg_level == IPPROTO_IP && note->cmsg_type == IP_RECVERR;
    const bool is_v6 = note->cmsg_level == IPPROTO_IPV6 && note->cmsg_type == IPV6_RECVERR;
    if (!is_v4 && !is_v6) continue;
    // The address of who says so follows the error.
    struct Told {
      sock_extended_err error;
      sockaddr_in6 offender;
    } told{};
    static_assert(sizeof(sockaddr_in) <= sizeof(sockaddr_in6));
    if (note->cmsg_len < CMSG_LEN(sizeof told.error + sizeof(sockaddr_in))) continue;
    std::memcpy(&told, CMSG_DATA(note), std::min(note->cmsg_len - CMSG_LEN(0), sizeof told));
    if (told.error.ee_origin != SO_EE_ORIGIN_ICMP && told.error.ee_origin != SO_EE_ORIGIN_ICMP6)
      continue;
    const auto& from = reinterpret_cast<const sockaddr&>(told.offender);
    return UdpError{to.endpoint(), ip_of(from).unmapped(), kind_of(told.error)};
  }
  return std::nullopt;
}

void OutgoingMessage::fill(msghdr& message, const OutgoingDatagram& datagram, BytesView bytes,
                           std::size_t segment_bytes) {
  to_ = SocketAddress(datagram.to);
  vector_.iov_base = const_cast<std::uint8_t*>(bytes.data());
  vector_.iov_len = bytes.size();
  message.msg_name = to_.data();
  message.msg_namelen = std::as_const(to_).size();
  message.msg_iov = &vector_;
  message.msg_iovlen = 1;
  message.msg_control = control_.data();
  message.msg_controllen = 0;
  const bool is_v6 = to_.family() == AF_INET6;
  if (bytes.size() > segment_bytes && segment_bytes > 0) {
    const auto size = static_cast<std::uint16_t>(segment_bytes);
    add(message, SOL_UDP, UDP_SEGMENT, &size, sizeof size);
  }
  if (datagram.ecn != 0) {
    const int ecn = datagram.ecn;
    add(message, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ? IPV6_TCLASS : IP_TOS, &ecn, sizeof ecn);
  }
  if (datagram.from && is_v6) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, datagram.from->bytes().data(), datagram.from->bytes().size());
    add(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  } else if (datagram.from) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, datagram.from->bytes().data(), datagram.from->bytes().size());
    add(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  }
  if (message.msg_controllen == 0) message.msg_control = nullptr;
}

void OutgoingMessage::add(msghdr& message, int level, int type, const void* value,
                          std::size_t size) {
  const auto at = message.msg_controllen;
  assert(at + CMSG_SPACE(size) <= control_.size());
  auto* const note = reinterpret_cast<cmsghdr*>(control_.data() + at);
  note->cmsg_level = level;
  note->cmsg_type = type;
  note->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(note), value, size);
  message.msg_controllen = at + CMSG_SPACE(size);
}

}  // namespace pyrsia
