#include "crypto/sodium.hpp"

#include <sodium.h>

#include <cassert>

namespace pyrsia::crypto {

void use_sodium() {
  static const bool is_ready = sodium_init() >= 0;  // It fails only without random numbers.
  assert(is_ready);
}

}  // namespace pyrsia::crypto
