#pragma once

#include "exit_code.hpp"
#include "settings.hpp"

#include <pyrsia/key.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace pyrsia::app {

/// The key of this node, and what a person should know about it.
struct Identity {
  std::optional<KeyPair> key;
  bool is_new = false;
  std::string warning;                 ///< One line; empty if all is well.
  std::optional<Complaint> complaint;  ///< If there is no key.
};

/// Reads the key file, or makes it if there is none. A file that cannot be read, that is no key or
/// that others than its owner can read or change is refused and left as it is. If the disk is full,
/// the key lives as long as the program.
Identity load_or_make_identity(const std::filesystem::path& file);

/// Makes the key file; refuses to if there is a file.
Identity make_identity(const std::filesystem::path& file);

}  // namespace pyrsia::app
