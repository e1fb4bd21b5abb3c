#pragma once

#include <openssl/err.h>

namespace pyrsia::crypto {

/// OpenSSL keeps what went wrong in a queue that others would read as theirs.
struct ErrorQueueGuard {
  ErrorQueueGuard() { ERR_clear_error(); }
  ErrorQueueGuard(const ErrorQueueGuard&) = delete;
  ErrorQueueGuard& operator=(const ErrorQueueGuard&) = delete;
  ~ErrorQueueGuard() { ERR_clear_error(); }
};

}  // namespace pyrsia::crypto
