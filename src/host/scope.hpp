#pragma once

#include "multi/address_class.hpp"

#include <pyrsia/config.hpp>

#include <string_view>

namespace pyrsia {

struct Network {
  IpAddress ip;
  unsigned bits = 0;
};

/// From "73.0.0.0/24". Errors: `Errc::malformed`.
Result<Network> parse_network(std::string_view text);

/// The classifier that the configuration asks for; what does not parse is left out.
AddressClassifier make_classifier(const Config& config);

}  // namespace pyrsia
