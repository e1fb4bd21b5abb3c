#pragma once

#include <pyrsia/error.hpp>

#include <string_view>

namespace pyrsia {

/// What happened, for a person and without a capital: "no answer in time". Logs and metrics have
/// the name of the code instead.
std::string_view in_words(const Error& error) noexcept;

}  // namespace pyrsia
