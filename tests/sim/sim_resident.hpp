#pragma once

#include "runtime/task_group.hpp"
#include "sim_node.hpp"

#include <memory>
#include <vector>

namespace pyrsia::test {

/// A box between a machine and the internet.
struct Box {
  sim::SimNat* nat = nullptr;
  sim::NatConfig config;
};

/// What a program may come to think of its place in the network.
struct Truth {
  bool may_be_reachable = true;
  bool may_be_unreachable = true;
};

/// What is true of port `SimNode::kPort` at `ip` behind `boxes`, from inside to outside.
///
/// Both are allowed where a box lets in whoever was written to before, as servers of AutoNAT v1
/// dial from an address that was; and where each peer sees another port of ours, which may be open,
/// but those who are asked to dial it back may be told of others only.
Truth truth_of(const IpAddress& ip, const std::vector<Box>& boxes);

/// One machine, and the program that runs on it if one does: a node that visits its friends now
/// and then, or a boot server.
class Resident {
 public:
  /// `number` makes the key.
  Resident(sim::SimHost& machine, std::vector<Box> boxes, std::uint8_t number, Config config,
           bootstrap::DirectoryConfig directory);

  /// Turns the machine on and starts the program. Errors: those of Host::start().
  Task<> start();
  /// Ends the program. Errors: none.
  Task<> stop();
  /// The program is gone: after stop().
  void clear() { node_.reset(); }
  bool is_running() const { return node_ != nullptr; }

  sim::SimHost& machine() { return machine_; }
  SimNode& node() { return *node_; }
  const PeerId& peer() const { return peer_; }
  const std::vector<Box>& boxes() const { return boxes_; }
  bool is_boot() const { return config_.is_listen_only; }
  /// Whom it visits: they have no box before them.
  void set_friends(std::vector<Resident*> friends) { friends_ = std::move(friends); }
  std::uint64_t visit_count() const { return visit_count_; }

 private:
  Task<> live();
  Task<> visit(PeerId peer, std::vector<Multiaddr> addresses);
  Task<> echo(std::unique_ptr<Stream> stream);
  Task<> echo_all(Stream& stream);

  sim::SimHost& machine_;
  std::vector<Box> boxes_;
  std::uint8_t number_;
  Config config_;
  bootstrap::DirectoryConfig directory_;
  PeerId peer_;
  std::vector<Resident*> friends_;
  std::uint64_t visit_count_ = 0;
  std::unique_ptr<SimNode> node_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::test
