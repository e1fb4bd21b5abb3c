#pragma once

#include <pyrsia/error.hpp>

namespace pyrsia {

/// The one place where the kernel's error numbers become ours.
Errc kernel_error(int number) noexcept;

/// The same for bind() and listen(): the local address is the caller's.
Errc bind_error(int number) noexcept;

/// The same for an established connection: whatever happens to it, it is over.
Errc stream_error(int number) noexcept;

}  // namespace pyrsia
