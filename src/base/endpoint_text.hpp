#pragma once

#include <pyrsia/ip.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace pyrsia {

/// "192.0.2.1:3478", "[2001:db8::1]:3478", or without a port. Nothing: something else.
std::optional<Endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port);

}  // namespace pyrsia
