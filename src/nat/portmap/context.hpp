#pragma once

#include "runtime/env.hpp"

#include <pyrsia/metrics.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace pyrsia::portmap {

namespace pcp {
class Refusals;
}

struct Metrics {
  Counter requests_sent;      ///< Datagrams and HTTP requests.
  Counter requests_withheld;  ///< By PCP: refused lately, for a time that is not over.
  Counter answers;            ///< That were ours.
  Counter answers_discarded;  ///< Not ours, or not to be read.
  Counter refusals;           ///< A router said no.
  Counter granted;            ///< New mappings.
  Counter renewed;
  Counter renewals_failed;
  Counter lost;  ///< Mappings that are no more.
  Counter removed;
  Counter removals_failed;
  Counter router_restarts;
  Counter network_changes;
  Counter rounds;      ///< Searches for a router.
  Counter no_gateway;  ///< Searches that found none.
  Counter nested;      ///< Mappings through more than one router.
  Counter lies;        ///< Outside addresses that cannot be.
  Counter ports_over_limit;
};

/// What all that speaks to a router uses. The mapper, or whoever asks, owns it.
struct Context {
  Env& env;
  Metrics& metrics;
  /// Gets each packet in words; may be empty.
  std::function<void(std::string_view)> trace = {};
  pcp::Refusals* refusals = nullptr;  ///< None: what was refused is asked for again.

  void say(std::string_view text) const {
    if (trace) trace(text);
  }
};

}  // namespace pyrsia::portmap
