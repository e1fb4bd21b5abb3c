#include "http/router.hpp"

#include <utility>

namespace pyrsia::http {
namespace {

constexpr std::string_view kUnknownCode = R"({"Unknown":""})";

Task<Response> ready(Response response) {
  co_return response;
}

}  // namespace

void Router::add(const std::string& method, const std::string& path, Handler handler) {
  paths_[path][method] = std::move(handler);
}

Task<Response> Router::handle(const Request& request) const {
  std::string_view path = request.path;
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const auto methods = paths_.find(path);
  if (methods == paths_.end())
    return ready(error_response(404, kUnknownCode, "there is nothing at this path"));
  std::string_view method = request.method;
  if (method == "HEAD") method = "GET";
  const auto found = methods->second.find(method);
  if (found != methods->second.end()) return found->second(request);
  auto response = error_response(405, kUnknownCode, "this method is not allowed at this path");
  std::string allowed;
  for (const auto& [name, handler] : methods->second) {
    allowed += allowed.empty() ? "" : ", ";
    allowed += name == "GET" ? "GET, HEAD" : name;
  }
  response.headers.emplace_back("Allow", allowed);
  return ready(std::move(response));
}

}  // namespace pyrsia::http
