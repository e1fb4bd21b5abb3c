#pragma once

#include "runtime/env.hpp"

#include <string>

namespace pyrsia::sim {

/// Env::http_get() as real bytes over the TCP of `env`: HTTP/1.1, plain http:// only. A body ends
/// by Content-Length, by its last chunk, or by the end of the connection.
Task<HttpResponse> http_get(Env& env, HttpRequest request, std::string* detail);
/// Env::http_post() likewise.
Task<HttpResponse> http_post(Env& env, HttpRequest request, std::string* detail);

}  // namespace pyrsia::sim
