#pragma once

#include <pyrsia/ip.hpp>
#include <pyrsia/task.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pyrsia::http {

/// One request, checked. Strings are as the client sent them but for `query`.
struct Request {
  std::string method;
  std::string path;                          ///< Begins with '/'; without the query.
  std::map<std::string, std::string> query;  ///< Percent-decoded; the last of equal names.
  std::string host;
  std::string accept;
  std::string if_none_match;
  std::string body;
  bool is_keep_alive = true;  ///< What the client wants.
  Endpoint remote;
};

/// A whole response, made once and sent many times with a single write.
struct Prebuilt {
  std::string bytes;         ///< Head and body.
  std::size_t head_bytes;    ///< What a HEAD request gets.
  std::string etag;          ///< With its quotes. Empty: none.
  std::string not_modified;  ///< The 304 that goes with `etag`.
};

/// Writes a streaming response. Each write ends within the server's write timeout.
class Writer {
 public:
  virtual ~Writer() = default;
  /// Errors: `Errc::closed`, `Errc::reset`.
  virtual Task<> write(std::string_view text) = 0;
};

struct Response {
  /// Writes the body of a response that has no length (server-sent events); the connection ends
  /// with it. Cancelled when the client leaves or the server stops.
  using Body = std::function<Task<>(Writer&)>;

  int status = 200;
  std::string content_type;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  ///< Further ones.
  std::shared_ptr<const Prebuilt> prebuilt;                  ///< Instead of all of the above.
  Body stream;                                               ///< Instead of `body`.
};

/// Makes a response to be sent many times; `etag`, if not empty, comes with its quotes.
std::shared_ptr<const Prebuilt> prebuild(const Response& response, std::string etag);

/// The error body of the original: {"errors":[{"code":`code_json`,"message":"`message`"}]}.
/// `code_json` is JSON already: "\"BlobUnknown\"", "{\"Unknown\":\"\"}".
Response error_response(int status, std::string_view code_json, std::string_view message);

/// True if `if_none_match` (a list of tags, or *) names `etag`. Spec: RFC 9110, 13.1.2.
bool matches(std::string_view if_none_match, std::string_view etag);

/// `response` with its `etag`; a 304 without a body if `request` has that already.
Response with_etag(const Request& request, Response response, const std::string& etag);

/// The head of `response`, ending in the empty line. `is_last`: the connection closes after it.
std::string head_of(const Response& response, bool is_last);

}  // namespace pyrsia::http
