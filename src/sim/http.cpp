#include "sim/http.hpp"

#include "runtime/timeout.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace pyrsia::sim {
namespace {

constexpr std::size_t kMaxHeadBytes = 16 * 1024;

struct Url {
  std::string host;
  std::uint16_t port = 80;
  std::string path = "/";
  std::string authority;  ///< As the Host field wants it.
};

struct Head {
  int status = 0;
  std::string content_type;
  std::string location;
  std::optional<std::size_t> content_length;
  bool is_chunked = false;
};

template <class Number>
bool parse_number(std::string_view text, Number& number, int base) {
  const auto* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number, base);
  return result.ec == std::errc() && result.ptr == end;
}

Result<Url> parse_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return Errc::invalid_argument;
  text.remove_prefix(kScheme.size());
  Url url;
  const auto path_at = text.find_first_of("/?#");
  if (path_at != text.npos) {
    url.path = text.substr(path_at, text.find('#') - path_at);
    if (!url.path.starts_with('/')) url.path.insert(0, "/");
    text = text.substr(0, path_at);
  }
  url.authority = text;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos) return Errc::invalid_argument;
    url.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
  } else {
    const auto end = std::min(text.find(':'), text.size());
    url.host = text.substr(0, end);
    text.remove_prefix(end);
  }
  const bool has_port = text.starts_with(':');
  if (has_port && !parse_number(text.substr(1), url.port, 10)) return Errc::invalid_argument;
  if ((!has_port && !text.empty()) || url.host.empty()) return Errc::invalid_argument;
  return url;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return result;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

Result<Head> parse_head(std::string_view text) {
  Head head;
  const auto line_end = text.find("\r\n");
  const auto status_line = text.substr(0, line_end);
  if (!status_line.starts_with("HTTP/1.") || status_line.size() < 12) return Errc::network_failed;
  if (!parse_number(status_line.substr(9, 3), head.status, 10)) return Errc::network_failed;
  text.remove_prefix(std::min(text.size(), status_line.size() + 2));
  while (!text.empty()) {
    const auto end = std::min(text.find("\r\n"), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 2));
    const auto colon = line.find(':');
    if (colon == line.npos) return Errc::network_failed;
    const auto name = lower(line.substr(0, colon));
    const auto value = trim(line.substr(colon + 1));
    if (name == "content-type") head.content_type = value;
    if (name == "location") head.location = value;
    if (name == "transfer-encoding") head.is_chunked = lower(value) == "chunked";
    if (name == "content-length") {
      std::size_t length = 0;
      if (!parse_number(value, length, 10)) return Errc::network_failed;
      head.content_length = length;
    }
  }
  return head;
}

/// The answer as it comes in.
class Reader {
 public:
  explicit Reader(Stream& stream) : stream_(stream) {}

  /// The bytes before `mark`, which is taken too. Errors: `Errc::closed` (the end came first),
  /// `Errc::too_large`.
  Task<std::string> read_until(std::string_view mark) {
    for (;;) {
      const auto at = text_.find(mark);
      if (at != text_.npos) {
        auto found = text_.substr(0, at);
        text_.erase(0, at + mark.size());
        co_return found;
      }
      if (text_.size() > kMaxHeadBytes) co_return Errc::too_large;
      PYRSIA_CO_TRY(const auto count, co_await read_more());
      if (count == 0) co_return Errc::closed;
    }
  }

  Task<std::string> read(std::size_t size) {
    while (text_.size() < size) {
      PYRSIA_CO_TRY(const auto count, co_await read_more());
      if (count == 0) co_return Errc::closed;
    }
    auto found = text_.substr(0, size);
    text_.erase(0, size);
    co_return found;
  }

  Task<std::string> read_to_end(std::size_t max_bytes) {
    for (;;) {
      if (text_.size() > max_bytes) co_return Errc::too_large;
      PYRSIA_CO_TRY(const auto count, co_await read_more());
      if (count == 0) co_return std::move(text_);
    }
  }

 private:
  Task<std::size_t> read_more() {
    std::array<std::uint8_t, 4096> bytes;
    PYRSIA_CO_TRY(const auto count, co_await stream_.read_some(bytes));
    text_ += as_text(std::span(bytes).first(count));
    co_return count;
  }

  Stream& stream_;
  std::string text_;
};

Task<std::string> read_chunks(Reader& reader, std::size_t max_bytes) {
  std::string body;
  for (;;) {
    PYRSIA_CO_TRY(const auto line, co_await reader.read_until("\r\n"));
    std::size_t size = 0;
    const auto digits = trim(std::string_view(line).substr(0, line.find(';')));
    if (!parse_number(digits, size, 16)) co_return Errc::network_failed;
    if (size > max_bytes - body.size()) co_return Errc::too_large;
    if (size == 0) co_return body;
    PYRSIA_CO_TRY(const auto chunk, co_await reader.read(size));
    PYRSIA_CO_TRY(co_await reader.read_until("\r\n"));
    body += chunk;
  }
}

Task<std::string> read_body(Reader& reader, const Head& head, std::size_t max_bytes) {
  if (head.is_chunked) co_return co_await read_chunks(reader, max_bytes);
  if (!head.content_length) co_return co_await reader.read_to_end(max_bytes);
  if (*head.content_length > max_bytes) co_return Errc::too_large;
  co_return co_await reader.read(*head.content_length);
}

/// An exchange as it proceeds: `step` says what it was doing when it failed.
struct Progress {
  std::string step;
};

Task<std::unique_ptr<TcpSocket>> connect(Env& env, const Url& url,
                                         const std::optional<IpAddress>& local,
                                         Progress& progress) {
  progress.step = "resolving " + url.host;
  PYRSIA_CO_TRY(const auto addresses, co_await env.resolve(url.host, IpFamily::any));
  Error last = Errc::unreachable;
  for (const auto& ip : addresses) {
    const Endpoint remote{ip, url.port};
    progress.step = "connecting to " + remote.to_string();
    TcpConnectOptions options;
    if (local) options.local = Endpoint{*local, 0};
    auto socket = co_await env.tcp_connect(remote, options);
    if (socket) co_return std::move(socket);
    last = socket.error();
    if (last == Errc::cancelled) break;
  }
  co_return last;
}

struct Answer {
  Head head;
  std::string body;
  std::optional<IpAddress> server;
};

enum class Method { get, post };

std::string request_text(Method method, const Url& url, const HttpRequest& request) {
  auto text = std::string(method == Method::get ? "GET " : "POST ") + url.path +
              " HTTP/1.1\r\nHost: " + url.authority +
              "\r\nUser-Agent: pyrsia-sim\r\nAccept: */*\r\nConnection: close\r\n";
  for (const auto& header : request.headers) text += header + "\r\n";
  if (method == Method::get) return text + "\r\n";
  return text + "Content-Length: " + std::to_string(request.body.size()) + "\r\n\r\n" +
         request.body;
}

Task<Answer> exchange(Env& env, Method method, const Url& url, const HttpRequest& request,
                      Progress& progress) {
  PYRSIA_CO_TRY(const auto socket, co_await connect(env, url, request.local, progress));
  progress.step = "asking " + url.authority;
  const auto sent = request_text(method, url, request);
  PYRSIA_CO_TRY(co_await socket->write_all(as_bytes(sent)));
  Reader reader(*socket);
  PYRSIA_CO_TRY(const auto text, co_await reader.read_until("\r\n\r\n"));
  progress.step = "reading the answer of " + url.authority;
  Answer answer;
  answer.server = socket->remote().ip;
  PYRSIA_CO_TRY(answer.head, parse_head(text));
  PYRSIA_CO_TRY(answer.body, co_await read_body(reader, answer.head, request.max_body_bytes));
  co_return answer;
}

bool is_redirect(const Head& head) {
  constexpr std::array kRedirects{301, 302, 303, 307, 308};
  return std::ranges::find(kRedirects, head.status) != kRedirects.end() && !head.location.empty();
}

Task<HttpResponse> follow(Env& env, Method method, HttpRequest request, Progress& progress) {
  progress.step = "reading the URL " + request.url;
  PYRSIA_CO_TRY(auto url, parse_url(request.url));
  std::vector<IpAddress> contacted;
  for (int redirects = 0;; ++redirects) {
    PYRSIA_CO_TRY(auto answer, co_await exchange(env, method, url, request, progress));
    if (answer.server) contacted.push_back(*answer.server);
    if (method == Method::post || !is_redirect(answer.head)) {
      HttpResponse response;
      response.status = answer.head.status;
      response.content_type = answer.head.content_type;
      response.body = std::move(answer.body);
      response.contacted = std::move(contacted);
      co_return response;
    }
    progress.step = "following redirects to " + answer.head.location;
    if (redirects >= request.max_redirects) co_return Errc::limit_reached;
    if (answer.head.location.starts_with('/')) {
      url.path = answer.head.location;
    } else {
      PYRSIA_CO_TRY(url, parse_url(answer.head.location));
    }
  }
}

Task<HttpResponse> ask(Env& env, Method method, HttpRequest request, std::string* detail) {
  Progress progress;
  const auto limit = request.timeout;
  auto following = follow(env, method, std::move(request), progress);
  auto response = co_await with_timeout(env, limit, std::move(following));
  if (!response && detail) *detail = progress.step + ": " + response.error().message();
  co_return response;
}

}  // namespace

Task<HttpResponse> http_get(Env& env, HttpRequest request, std::string* detail) {
  return ask(env, Method::get, std::move(request), detail);
}

Task<HttpResponse> http_post(Env& env, HttpRequest request, std::string* detail) {
  return ask(env, Method::post, std::move(request), detail);
}

}  // namespace pyrsia::sim
