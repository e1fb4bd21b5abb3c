#include "http/message.hpp"

#include <array>
#include <cstdio>

namespace pyrsia::http {
namespace {

std::string_view reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Status";
  }
}

void append_json_text(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(c));
      out += escaped.data();
    } else {
      out += c;
    }
  }
}

std::string_view without_weakness(std::string_view tag) {
  return tag.starts_with("W/") ? tag.substr(2) : tag;
}

bool has_body(int status) {
  return status >= 200 && status != 204 && status != 304;
}

}  // namespace

std::string head_of(const Response& response, bool is_last) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
  head += reason(response.status);
  head += "\r\n";
  const auto add = [&](std::string_view name, std::string_view value) {
    ((head += name) += ": ") += value;
    head += "\r\n";
  };
  if (!response.content_type.empty()) add("Content-Type", response.content_type);
  if (!response.stream && has_body(response.status))
    add("Content-Length", std::to_string(response.body.size()));
  for (const auto& [name, value] : response.headers) add(name, value);
  if (is_last) add("Connection", "close");
  head += "\r\n";
  return head;
}

std::shared_ptr<const Prebuilt> prebuild(const Response& response, std::string etag) {
  auto prebuilt = std::make_shared<Prebuilt>();
  Response whole = response;
  if (!etag.empty()) {
    whole.headers.emplace_back("ETag", etag);
    Response same;
    same.status = 304;
    same.headers = whole.headers;
    prebuilt->not_modified = head_of(same, false);
  }
  prebuilt->bytes = head_of(whole, false);
  prebuilt->head_bytes = prebuilt->bytes.size();
  prebuilt->bytes += whole.body;
  prebuilt->etag = std::move(etag);
  return prebuilt;
}

Response error_response(int status, std::string_view code_json, std::string_view message) {
  Response response;
  response.status = status;
  response.content_type = "application/json";
  response.body = "{\"errors\":[{\"code\":";
  response.body += code_json;
  response.body += ",\"message\":\"";
  append_json_text(response.body, message);
  response.body += "\"}]}";
  return response;
}

bool matches(std::string_view if_none_match, std::string_view etag) {
  if (etag.empty()) return false;
  while (!if_none_match.empty()) {
    const auto comma = std::min(if_none_match.find(','), if_none_match.size());
    auto tag = if_none_match.substr(0, comma);
    if_none_match.remove_prefix(std::min(comma + 1, if_none_match.size()));
    while (!tag.empty() && (tag.front() == ' ' || tag.front() == '\t')) tag.remove_prefix(1);
    while (!tag.empty() && (tag.back() == ' ' || tag.back() == '\t')) tag.remove_suffix(1);
    if (tag == "*" || without_weakness(tag) == without_weakness(etag)) return true;
  }
  return false;
}

Response with_etag(const Request& request, Response response, const std::string& etag) {
  response.headers.emplace_back("ETag", etag);
  if (response.status == 200 && matches(request.if_none_match, etag)) {
    response.status = 304;
    response.content_type.clear();
    response.body.clear();
  }
  return response;
}

}  // namespace pyrsia::http
