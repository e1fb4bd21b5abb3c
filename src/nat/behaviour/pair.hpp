/// Which path two peers will get, said before they try. A pure table of two behaviours; measured in
/// the lab (docs/adr/0025-probe.md).
#pragma once

#include "nat/behaviour/report.hpp"

#include <string>
#include <string_view>

namespace pyrsia::nat {

/// Best first.
enum class Path { direct, punch, punch_by_prediction, punch_tcp, relay };

struct Prediction {
  std::optional<Path> path;  ///< Nothing: too little is known.
  std::string why;
};

std::string_view name(Path path);
Prediction predict(const Report& one, const Report& other);

}  // namespace pyrsia::nat
