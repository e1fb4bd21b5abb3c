#pragma once

#include <exception>

namespace pyrsia {

/// True if `thrown` is what unwinds a cancelled Task.
bool is_cancellation(const std::exception_ptr& thrown);

}  // namespace pyrsia
