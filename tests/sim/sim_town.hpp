#pragma once

#include "sim_resident.hpp"

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace pyrsia::test {

struct TownConfig {
  std::size_t boot_count = 3;
  std::size_t home_count = 47;
  std::size_t friend_count = 2;  ///< Of each home.
};

/// Boot servers that are members of each other, and nodes behind boxes of all kinds, on bad links.
/// The same seed makes the same town, in which the same happens. For the body of a test.
class Town {
 public:
  Town(std::uint64_t seed, const TownConfig& config);

  /// All that follow: false if a program could not be started or stopped; see
  /// World::deadlock_report().

  bool start();
  /// Something goes wrong, or is mended.
  bool disturb();
  /// All is mended, and what was off runs again; one boot server may stay dead for ever.
  bool calm();
  bool stop();

  /// What is not yet as it should be, of the first node that has not joined, or has not the verdict
  /// that fits its place; empty if there is none.
  std::string problem();
  /// What cannot be: tables that have grown, counters that do not fit together. Empty: nothing.
  std::string nonsense();

  sim::World& world() { return world_; }
  sim::Network& network() { return network_; }
  const std::vector<std::unique_ptr<Resident>>& residents() const { return residents_; }

 private:
  void add_boot(std::size_t number);
  void add_home();
  void add_behind(const std::vector<sim::NatConfig>& boxes);
  Resident& add(const std::string& ip, const std::vector<Box>& boxes, Config config,
                bootstrap::DirectoryConfig directory);
  void choose_friends();
  sim::NatConfig random_box(const std::string& outer);
  std::string new_outer_ip();
  Config home_config();

  bool start(Resident& resident);
  bool stop(Resident& resident);
  void cut_off_some();
  void move(Resident& resident);
  void reboot_box(Resident& resident);
  std::string problem_of(Resident& resident);
  std::string nonsense_of(Resident& resident);
  std::size_t draw(std::size_t bound) { return random_() % bound; }
  Resident& any() { return *residents_[draw(residents_.size())]; }

  TownConfig config_;
  sim::World world_;
  sim::Network network_{world_};
  std::mt19937_64 random_;
  std::size_t place_count_ = 0;
  std::vector<std::string> urls_;
  std::vector<std::unique_ptr<Resident>> residents_;  ///< The boot servers first.
};

}  // namespace pyrsia::test
