#include "http/request_reader.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <array>
#include <cstring>

namespace pyrsia::http {
namespace {

namespace beast = boost::beast::http;

/// The buffer a connection begins with; it grows only for long heads.
constexpr std::size_t kFirstBufferBytes = 2048;
/// Our limit on query parameters; further ones are dropped.
constexpr std::size_t kMaxParameters = 32;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

void set_query(std::string_view query, Request& out) {
  while (!query.empty() && out.query.size() < kMaxParameters) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    if (pair.empty()) continue;
    out.query[decoded(pair.substr(0, equals))] =
        decoded(pair.substr(std::min(equals + 1, pair.size())));
  }
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || (c >= '0' && c <= '9');
}

bool is_plain_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

bool equals_lower(std::string_view name, std::string_view lower) {
  return name.size() == lower.size() &&
         std::equal(name.begin(), name.end(), lower.begin(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a | 0x20 : a) == b; });
}

/// The first value of a header. False if it is empty or not the first.
bool take_once(std::string_view value, std::string& out) {
  if (value.empty() || !out.empty()) return false;
  out = value;
  return true;
}

/// Takes the header into `out`. False if it is one that changes how a request is read.
bool take_plain_header(std::string_view name, std::string_view value, Request& out) {
  if (equals_lower(name, "host")) return take_once(value, out.host);
  if (equals_lower(name, "accept")) return take_once(value, out.accept);
  if (equals_lower(name, "if-none-match")) return take_once(value, out.if_none_match);
  if (equals_lower(name, "connection")) {
    if (equals_lower(value, "keep-alive")) return true;
    out.is_keep_alive = false;
    return equals_lower(value, "close");
  }
  static constexpr std::array<std::string_view, 5> kForBeast = {
      "content-length", "transfer-encoding", "expect", "upgrade", "trailer"};
  return std::none_of(kForBeast.begin(), kForBeast.end(),
                      [&](std::string_view lower) { return equals_lower(name, lower); });
}

bool take_plain_headers(std::string_view lines, Request& out) {
  while (!lines.empty()) {
    const auto end = lines.find("\r\n");
    const auto line = lines.substr(0, end);
    lines.remove_prefix(end + 2);
    const auto colon = line.find(':');
    if (colon == line.npos || colon == 0) return false;
    const auto name = line.substr(0, colon);
    auto value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    while (!value.empty() && value.back() == ' ') value.remove_suffix(1);
    if (!std::all_of(name.begin(), name.end(), is_name_char) || !is_plain_value(value))
      return false;
    if (!take_plain_header(name, value, out)) return false;
  }
  return !out.host.empty();
}

void clear(Request& out) {
  out.method.clear();
  out.path.clear();
  out.query.clear();
  out.host.clear();
  out.accept.clear();
  out.if_none_match.clear();
  out.body.clear();
  out.is_keep_alive = true;
}

}  // namespace

bool set_target(std::string_view target, Request& out) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const auto slash = target.find('/', scheme.size());
    target = slash == target.npos ? std::string_view("/") : target.substr(slash);
    break;
  }
  if (!target.starts_with('/')) return false;
  const auto question = std::min(target.find('?'), target.size());
  out.path = target.substr(0, question);
  if (question < target.size()) set_query(target.substr(question + 1), out);
  return true;
}

struct RequestReader::Beast {
  beast::request_parser<beast::string_body> parser;
};

RequestReader::RequestReader(std::size_t max_head_bytes, std::size_t max_body_bytes)
    : max_head_bytes_(max_head_bytes), max_body_bytes_(max_body_bytes) {}

RequestReader::~RequestReader() = default;

std::string_view RequestReader::unread() const {
  return as_text(std::span(buffer_).subspan(begin_, end_ - begin_));
}

std::span<std::uint8_t> RequestReader::space() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(std::max(kFirstBufferBytes, buffer_.size() * 2));
  return std::span(buffer_).subspan(end_);
}

RequestReader::State RequestReader::fail(int status) {
  failure_ = status;
  return State::failed;
}

RequestReader::State RequestReader::next(Request& out) {
  if (failure_ != 0) return State::failed;
  if (!beast_) {
    if (begin_ == end_) return State::need_more;
    clear(out);
    if (read_plain(out)) return State::done;
    clear(out);
    beast_ = std::make_unique<Beast>();
    beast_->parser.header_limit(static_cast<std::uint32_t>(max_head_bytes_));
    beast_->parser.body_limit(max_body_bytes_);
  }
  return read_with_beast(out);
}

bool RequestReader::read_plain(Request& out) {
  constexpr std::string_view kMethod = "GET ";
  constexpr std::string_view kVersion = " HTTP/1.1\r\n";
  const auto text = unread();
  if (!text.starts_with(kMethod)) return false;
  const auto end = text.find("\r\n\r\n");
  if (end == text.npos || end + 4 > max_head_bytes_) return false;
  const auto head = text.substr(kMethod.size(), end + 2 - kMethod.size());
  const auto space = head.find(' ');
  const auto target = head.substr(0, space);
  if (!is_plain_value(target) || !target.starts_with('/')) return false;
  if (space == head.npos || head.substr(space, kVersion.size()) != kVersion) return false;
  if (!take_plain_headers(head.substr(space + kVersion.size()), out)) return false;
  out.method = "GET";
  set_target(target, out);
  begin_ += end + 4;
  if (begin_ == end_) begin_ = end_ = 0;
  return true;
}

RequestReader::State RequestReader::read_with_beast(Request& out) {
  auto& parser = beast_->parser;
  while (!parser.is_done()) {
    boost::system::error_code error;
    const auto text = unread();
    const auto used = parser.put(boost::asio::const_buffer(text.data(), text.size()), error);
    begin_ += used;
    if (error == beast::error::header_limit) return fail(431);
    if (error == beast::error::body_limit) return fail(413);
    if (error && error != beast::error::need_more) return fail(400);
    // Without eager(), put() ends with the head: Beast never comes to a chunk, which it cannot be
    // trusted with (Boost 1.83: a short last chunk breaks an assertion of parse_chunk_header).
    if (parser.is_header_done() && parser.get().count(beast::field::transfer_encoding) > 0)
      return fail(411);
    if (parser.is_done()) break;
    // A head that does not end within the limit: Beast would go on to ask for more.
    if (!parser.is_header_done() && unread().size() > max_head_bytes_) return fail(431);
    if (error || used == 0 || begin_ == end_) return State::need_more;
  }
  const auto& message = parser.get();
  if (!set_target(message.target(), out)) return fail(400);
  if (message.version() >= 11 && message.count(beast::field::host) != 1) return fail(400);
  out.method = message.method_string();
  out.host = message[beast::field::host];
  out.accept = message[beast::field::accept];
  out.if_none_match = message[beast::field::if_none_match];
  out.body = message.body();
  // Our limit: an HTTP/1.0 connection ends with its answer.
  out.is_keep_alive = message.version() >= 11 && message.keep_alive();
  beast_.reset();
  if (begin_ == end_) begin_ = end_ = 0;
  return State::done;
}

}  // namespace pyrsia::http
