#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/time.hpp>

#include <string>
#include <vector>

namespace pyrsia::sim {

class SimNat;

/// A host or a NAT box: something that has a place in the network. Owned by its Network.
class Node {
 public:
  Node(std::string name, std::vector<IpAddress> addresses, SimNat* behind, Duration access_delay)
      : name_(std::move(name)),
        addresses_(std::move(addresses)),
        behind_(behind),
        access_delay_(access_delay) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  virtual ~Node() = default;

  const std::string& name() const { return name_; }
  const std::vector<IpAddress>& addresses() const { return addresses_; }
  /// The box between it and the internet; nullptr: none.
  SimNat* behind() const { return behind_; }
  /// Every packet to or from it takes this longer.
  Duration access_delay() const { return access_delay_; }

 protected:
  std::string name_;
  std::vector<IpAddress> addresses_;
  SimNat* behind_;
  Duration access_delay_;
};

}  // namespace pyrsia::sim
