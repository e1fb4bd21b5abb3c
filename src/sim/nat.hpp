/// NAT and firewall behaviour in the words of RFC 4787 (UDP) and RFC 5382 (TCP).
#pragma once

#include "sim/packet.hpp"

#include <pyrsia/time.hpp>

#include <map>
#include <optional>
#include <random>
#include <vector>

namespace pyrsia::sim {

/// What of the remote endpoint counts: for a mapping, when it may be used again; for a filter,
/// who may send through it.
enum class Dependence { endpoint_independent, address_dependent, address_and_port_dependent };

enum class PortAllocation {
  preserve,    ///< The inner port if it is free, else the next free one above it.
  contiguous,  ///< `port_offset` above the inner one: neighbours stay neighbours.
  sequential,  ///< `port_step` above the last, or the next free one.
  parity,      ///< A random one, odd for odd and even for even.
  random,
};

/// A static rule: what comes to the external port goes to `inner`, whoever sends it.
struct PortForward {
  Protocol protocol = Protocol::tcp;
  std::uint16_t external_port = 0;
  Endpoint inner;
};

/// How a NAT box behaves.
struct NatConfig {
  /// Its outer addresses, at most one a family. A family without one is not translated, only
  /// filtered: a box without any is a firewall.
  std::vector<IpAddress> external;
  Dependence mapping = Dependence::endpoint_independent;
  Dependence filtering = Dependence::address_and_port_dependent;
  PortAllocation allocation = PortAllocation::preserve;
  std::uint16_t port_step = 1;
  std::uint16_t port_offset = 10000;
  bool has_hairpin = false;  ///< Inner hosts reach each other through the outer address.
  Duration udp_lifetime = std::chrono::minutes(2);  ///< Without outbound packets. RFC 4787, REQ-5.
  bool inbound_refreshes_udp = false;
  Duration tcp_lifetime = std::chrono::hours(2);  ///< Without packets. RFC 5382, REQ-5.
  bool blocks_udp = false;                        ///< Lets no datagram out.
  bool blocks_dials = false;        ///< Lets out only what comes from a forwarded port.
  bool drops_fragments = false;     ///< Neither in nor out: datagrams of more than 1472 bytes.
  bool refuses_tcp = false;         ///< Answers an unsolicited SYN by RST, instead of dropping it.
  std::uint16_t first_port = 1024;  ///< Of the ports it gives out; the last is 65535.
  std::size_t max_mapping_count = 65536;
  std::vector<PortForward> forwards;
  /// Its address inside, from which it tells that a packet has expired; nothing: it tells nobody.
  std::optional<IpAddress> inside = std::nullopt;
};

/// The tables of one NAT box. A plain state machine: packets in, translated packets out.
class NatTable {
 public:
  enum class Verdict { pass, drop, refuse };

  NatTable(NatConfig config, std::mt19937_64 random)
      : config_(std::move(config)), random_(random), last_port_(config_.first_port - 1) {}

  /// A packet from inside to outside. Rewrites its source. False: dropped, as no port is free.
  bool translate_outbound(Packet& packet, TimePoint now);
  /// A packet from outside. Rewrites its destination if it passes.
  Verdict translate_inbound(Packet& packet, TimePoint now);

  /// `ip` is one of its outer addresses.
  bool is_external(const IpAddress& ip) const;
  /// It has an outer address for the family of `inner`.
  bool translates(const IpAddress& inner) const { return external_for(inner).has_value(); }
  bool has_hairpin() const { return config_.has_hairpin; }
  void add_forward(const PortForward& forward) { config_.forwards.push_back(forward); }
  void remove_forward(Protocol protocol, std::uint16_t external_port);
  void remove_forwards() { config_.forwards.clear(); }
  /// Forgets all mappings, as a reboot does.
  void forget();
  std::size_t mapping_count() const { return mappings_.size(); }

 private:
  struct Key {
    Protocol protocol;
    Endpoint inner;
    Endpoint remote;  ///< Its IP and port only as far as the mapping depends on them.
    auto operator<=>(const Key&) const = default;
  };
  struct Outer {
    Protocol protocol;
    Endpoint endpoint;
    auto operator<=>(const Outer&) const = default;
  };
  struct Mapping {
    Endpoint inner;
    Endpoint outer;
    Key key;
    TimePoint expires_at;
    std::map<Endpoint, TimePoint> contacted;  ///< Remotes that may answer, and until when.
  };

  Key key_of(const Packet& packet) const;
  /// The outer address of that family, or nothing: not translated.
  std::optional<IpAddress> external_for(const IpAddress& inner) const;
  Mapping* find_or_make(const Packet& packet, TimePoint now);
  std::optional<std::uint16_t> allocate(Protocol protocol, const IpAddress& ip,
                                        std::uint16_t inner_port, TimePoint now);
  bool is_free(const Outer& outer, TimePoint now) const;
  const PortForward* forward_to(const Packet& packet) const;
  const PortForward* forward_from(const Packet& packet) const;
  bool is_forbidden(const Packet& packet) const;
  std::uint32_t first_choice(std::uint16_t inner_port);
  bool may_pass(const Mapping& mapping, const Endpoint& from, TimePoint now) const;
  Duration lifetime(Protocol protocol) const;
  void erase_expired(TimePoint now);

  NatConfig config_;
  std::mt19937_64 random_;
  std::uint16_t last_port_;
  std::map<Outer, Mapping> mappings_;
  std::map<Key, Outer> by_key_;
};

}  // namespace pyrsia::sim
