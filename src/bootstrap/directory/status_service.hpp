/// The HTTP side of a boot server, and of every node: GET and HEAD of /status, /peers, /metrics.
/// Spec: docs/protocols.md, "Boot cluster"; the original node's HTTP API.
#pragma once

#include "bootstrap/directory/directory.hpp"
#include "http/message.hpp"
#include "http/router.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace pyrsia::bootstrap {

/// The Prometheus text format: names that end in _total are counters, all others gauges.
std::string metrics_text(const std::map<std::string, std::uint64_t>& values);

/// Hands out the documents of a directory in turn. Each is a whole response that was made when the
/// list last changed, so that an answer is a lookup and a write. Owned by the program.
class StatusService {
 public:
  using Values = std::function<std::map<std::string, std::uint64_t>()>;

  /// `directory` and `node` must outlive it. `values`: what /metrics shows.
  StatusService(Directory& directory, const LocalNode& node, Values values);

  /// `router` must be gone before the service is.
  void mount(http::Router& router);

 private:
  Task<http::Response> status(bool is_health_check);
  Task<http::Response> peers();
  Task<http::Response> metrics();

  Directory& directory_;
  const LocalNode& node_;
  Values values_;
  std::vector<std::shared_ptr<const http::Prebuilt>> turns_;
  std::uint64_t generation_ = 0;
  std::size_t next_turn_ = 0;
};

}  // namespace pyrsia::bootstrap
