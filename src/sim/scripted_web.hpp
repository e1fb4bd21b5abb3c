#pragma once

#include "sim/bare_env.hpp"

#include <map>
#include <string>
#include <vector>

namespace pyrsia::sim {

/// A world without a network but for a web that answers as scripted, by URL.
class ScriptedWeb : public BareEnv {
 public:
  struct Page {
    Duration delay{0};
    std::string body;
    int status = 200;
    std::vector<IpAddress> contacted = {};
    Errc error{};             ///< If set: the failure instead.
    std::string detail = "";  ///< Of the failure.
  };

  using BareEnv::BareEnv;

  Task<HttpResponse> http_get(HttpRequest request, std::string* detail) override {
    const auto page = pages[request.url];
    ++requests[request.url];
    PYRSIA_CO_TRY(co_await sleep_for(page.delay));
    if (page.error != Errc{}) {
      if (detail != nullptr) *detail = page.detail;
      co_return page.error;
    }
    HttpResponse response;
    response.status = page.status;
    response.body = page.body;
    response.contacted = page.contacted;
    co_return response;
  }

  std::map<std::string, Page> pages;
  std::map<std::string, int> requests;
};

}  // namespace pyrsia::sim
