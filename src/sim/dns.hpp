#pragma once

#include "runtime/env.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::sim {

/// The names of a simulated network. Literals and "localhost" are known and cost no time.
class Dns {
 public:
  /// Adds to what `name` already has.
  void add(const std::string& name, const std::vector<std::string>& addresses);
  void add_txt(const std::string& name, std::vector<std::string> texts);
  /// Nobody has `name` any more.
  void remove(const std::string& name) { entries_.erase(name); }
  /// Every answer takes this long; 0 at first.
  void set_delay(Duration delay) { delay_ = delay; }
  /// Queries for `name` fail with this, until the next add() for it.
  void fail(const std::string& name, Errc failure);
  /// All queries fail with this; nothing: they work again.
  void fail_all(std::optional<Errc> failure) { failure_ = failure; }

  /// For hosts. Errors: as Env::resolve().
  Task<std::vector<IpAddress>> resolve(Env& env, std::string name, IpFamily family);
  Task<std::vector<std::string>> resolve_txt(Env& env, std::string name);

 private:
  struct Entry {
    std::vector<IpAddress> addresses;
    std::vector<std::string> texts;
    std::optional<Errc> failure;
  };
  Task<const Entry*> ask(Env& env, const std::string& name);

  Duration delay_{0};
  std::optional<Errc> failure_;
  std::map<std::string, Entry> entries_;
};

}  // namespace pyrsia::sim
