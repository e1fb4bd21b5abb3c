#pragma once

#include "http/message.hpp"

#include <map>
#include <string>

namespace pyrsia::http {

/// What answers a request. `request` lives until the answer is there. An error becomes a 500.
using Handler = std::function<Task<Response>(const Request& request)>;

/// Finds the handler of a request. Paths are exact; a trailing slash makes no difference.
/// Must outlive the server that uses it.
class Router {
 public:
  /// `path` begins with '/' and, unless it is "/", does not end with it. GET answers HEAD too.
  void add(const std::string& method, const std::string& path, Handler handler);
  /// An unknown path is a 404, a wrong method a 405 with Allow; both carry the error envelope.
  Task<Response> handle(const Request& request) const;

 private:
  using Methods = std::map<std::string, Handler, std::less<>>;

  std::map<std::string, Methods, std::less<>> paths_;
};

}  // namespace pyrsia::http
