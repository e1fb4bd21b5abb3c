#include "bootstrap/directory/status_service.hpp"

#include <utility>

namespace pyrsia::bootstrap {

std::string metrics_text(const std::map<std::string, std::uint64_t>& values) {
  std::string out;
  for (const auto& [name, value] : values) {
    out += "# TYPE " + name + (name.ends_with("_total") ? " counter\n" : " gauge\n");
    out += name + " " + std::to_string(value) + "\n";
  }
  return out;
}

StatusService::StatusService(Directory& directory, const LocalNode& node, Values values)
    : directory_(directory), node_(node), values_(std::move(values)) {}

void StatusService::mount(http::Router& router) {
  router.add("GET", "/status", [this](const http::Request& request) {
    return status(request.query.contains(std::string(kHealthCheckQuery)));
  });
  router.add("GET", "/peers", [this](const http::Request&) { return peers(); });
  router.add("GET", "/metrics", [this](const http::Request&) { return metrics(); });
}

Task<http::Response> StatusService::status(bool is_health_check) {
  const auto& documents = directory_.documents();
  if (turns_.empty() || generation_ != directory_.generation()) {
    generation_ = directory_.generation();
    turns_.clear();
    for (const auto& document : documents) {
      http::Response response;
      response.content_type = "application/json";
      response.body = document;
      // A cache in between would give everybody the same first peer.
      response.headers.emplace_back("Cache-Control", "no-store");
      turns_.push_back(http::prebuild(response, ""));
    }
  }
  http::Response response;
  if (is_health_check) {
    response.prebuilt = turns_.front();
    co_return response;
  }
  // Goes on where it was when the list changes, or the first member would get more than others.
  if (next_turn_ >= turns_.size()) next_turn_ = 0;
  response.prebuilt = turns_[next_turn_++];
  co_return response;
}

Task<http::Response> StatusService::peers() {
  std::string list = "[";
  for (const auto& peer : node_.connected_peers()) {
    if (list.size() > 1) list += ',';
    list += '"' + peer.to_string() + '"';
  }
  http::Response response;
  response.content_type = "application/json";
  response.body = list + "]";
  co_return response;
}

Task<http::Response> StatusService::metrics() {
  http::Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = metrics_text(values_());
  co_return response;
}

}  // namespace pyrsia::bootstrap
