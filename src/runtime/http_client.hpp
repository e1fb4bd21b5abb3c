#pragma once

#include "runtime/env.hpp"
#include "runtime/reactor.hpp"

#include <map>
#include <memory>
#include <string>

namespace pyrsia {

/// HTTP GET by libcurl, on this thread: curl tells us its sockets and its next deadline. Names are
/// resolved by the Env, so that a slow name server holds up nobody; only where a proxy is
/// configured the rest is the proxy's. No call may be pending when it is destroyed.
class HttpClient {
 public:
  HttpClient(Env& env, Reactor& reactor, std::string user_agent);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Errors: as Env::http_get().
  Task<HttpResponse> get(HttpRequest request, std::string* detail);
  /// Errors: as Env::http_post().
  Task<HttpResponse> post(HttpRequest request, std::string* detail);

 private:
  class Multi;
  class Transfer;

  enum class Method { get, post };

  Task<HttpResponse> ask(Method method, HttpRequest request, std::string* detail);
  Task<HttpResponse> follow(Method method, const HttpRequest& request, std::string& detail);
  Task<> resolve_host(const HttpRequest& request, const std::string& url, Transfer& transfer,
                      std::string& detail);

  Env& env_;
  Reactor& reactor_;
  std::string user_agent_;
  std::unique_ptr<Multi> multi_;  ///< Made when first needed.
};

}  // namespace pyrsia
