#include "runtime/http_client.hpp"

#include "runtime/event.hpp"
#include "runtime/socket_address.hpp"
#include "runtime/timeout.hpp"

#include <curl/curl.h>

#include <array>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

namespace pyrsia {
namespace {

/// Our limit on how long one connection may take to be made.
constexpr Duration kConnectTimeout = std::chrono::seconds(10);

long millis(Duration duration) {
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return std::max(1L, static_cast<long>(rounded));
}

Errc curl_error(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT: return Errc::invalid_argument;
    case CURLE_COULDNT_RESOLVE_HOST: return Errc::not_found;
    case CURLE_OPERATION_TIMEDOUT: return Errc::timed_out;
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED: return Errc::too_large;
    case CURLE_TOO_MANY_REDIRECTS: return Errc::limit_reached;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: return Errc::closed;
    default: return Errc::network_failed;
  }
}

/// curl has one code for all that can go wrong with connect(); the kernel's number says more.
Errc connect_error(long number) {
  switch (number) {
    case ECONNREFUSED: return Errc::refused;
    case ETIMEDOUT: return Errc::timed_out;
    case ENETUNREACH:
    case EHOSTUNREACH: return Errc::unreachable;
    default: return Errc::refused;
  }
}

struct UrlParts {
  std::string scheme;
  std::string host;  ///< Without the brackets of IPv6.
  std::string port;
};

std::string url_part(CURLU* url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

/// Errors: `Errc::invalid_argument`.
Result<UrlParts> parse_url(const std::string& text, std::string& detail) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), curl_url_cleanup);
  const auto code = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0);
  if (code != CURLUE_OK) {
    detail = std::string("bad URL: ") + curl_url_strerror(code);
    return Errc::invalid_argument;
  }
  UrlParts parts{url_part(url.get(), CURLUPART_SCHEME, 0), url_part(url.get(), CURLUPART_HOST, 0),
                 url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT)};
  if (parts.scheme != "http" && parts.scheme != "https") {
    detail = "bad URL: only http:// and https:// are supported";
    return Errc::invalid_argument;
  }
  if (parts.host.size() > 2 && parts.host.front() == '[')
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  return parts;
}

std::string variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value ? value : "";
}

bool is_this_machine(const std::string& host) {
  const auto ip = IpAddress::parse(host);
  return ip ? ip->is_loopback() : host == "localhost";
}

/// The proxy that the environment names for a URL; empty: none. NO_PROXY is curl's to heed. No
/// proxy can reach what is on this machine. HTTP_PROXY counts as well, as for the original, unless
/// it may be a header that a web server made a variable of (httpoxy).
std::string proxy_for(const UrlParts& url) {
  if (is_this_machine(url.host)) return {};
  std::vector<std::string> names = {url.scheme + "_proxy"};
  if (url.scheme == "https") names.emplace_back("HTTPS_PROXY");
  if (url.scheme == "http" && variable("REQUEST_METHOD").empty()) names.emplace_back("HTTP_PROXY");
  names.insert(names.end(), {"all_proxy", "ALL_PROXY"});
  for (const auto& name : names)
    if (auto proxy = variable(name); !proxy.empty()) return proxy;
  return {};
}

}  // namespace

/// curl's event loop, run by ours.
class HttpClient::Multi {
 public:
  Multi(Env& env, Reactor& reactor) : env_(env), reactor_(reactor), deadline_(*this) {
    static const auto initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
    handle_ = initialized == CURLE_OK ? curl_multi_init() : nullptr;
    if (!handle_) return;
    curl_multi_setopt(handle_, CURLMOPT_SOCKETFUNCTION, &Multi::on_socket);
    curl_multi_setopt(handle_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(handle_, CURLMOPT_TIMERFUNCTION, &Multi::on_timer);
    curl_multi_setopt(handle_, CURLMOPT_TIMERDATA, this);
  }
  ~Multi() {
    if (handle_) curl_multi_cleanup(handle_);
  }
  Multi(const Multi&) = delete;
  Multi& operator=(const Multi&) = delete;

  CURLM* handle() { return handle_; }

 private:
  class SocketWatch final : public Watch {
   public:
    SocketWatch(Multi& multi, curl_socket_t socket) : multi_(multi), socket_(socket) {}
    void ready(std::uint32_t events) override {
      int mask = 0;
      if ((events & EPOLLIN) != 0) mask |= CURL_CSELECT_IN;
      if ((events & EPOLLOUT) != 0) mask |= CURL_CSELECT_OUT;
      if ((events & (EPOLLERR | EPOLLHUP)) != 0) mask |= CURL_CSELECT_ERR;
      multi_.act(socket_, mask);  // May destroy this watch.
    }
    bool is_registered = false;

   private:
    Multi& multi_;
    curl_socket_t socket_;
  };

  class Deadline final : public Timer {
   public:
    explicit Deadline(Multi& multi) : multi_(multi) {}

   private:
    void expired() override { multi_.act(CURL_SOCKET_TIMEOUT, 0); }
    Multi& multi_;
  };

  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
    static_cast<Multi*>(self)->watch(socket, what);
    return 0;
  }
  static int on_timer(CURLM*, long wait_millis, void* self) {
    auto& multi = *static_cast<Multi*>(self);
    if (wait_millis < 0) {
      multi.env_.timers().disarm(multi.deadline_);
    } else {
      multi.env_.timers().arm(multi.deadline_,
                              multi.env_.now() + std::chrono::milliseconds(wait_millis));
    }
    return 0;
  }

  void watch(curl_socket_t socket, int what);
  void act(curl_socket_t socket, int mask);

  Env& env_;
  Reactor& reactor_;
  CURLM* handle_ = nullptr;
  Deadline deadline_;
  std::map<curl_socket_t, std::unique_ptr<SocketWatch>> sockets_;
};

/// One request and its answer, without redirects. Destroying it gives it up at once.
class HttpClient::Transfer {
 public:
  Transfer(Env& env, Multi& multi, const std::string& user_agent, Method method,
           const HttpRequest& request)
      : multi_(multi),
        max_body_bytes_(request.max_body_bytes),
        done_(env.executor()),
        easy_(curl_easy_init()) {
    set(CURLOPT_PRIVATE, this);
    set(CURLOPT_USERAGENT, user_agent.c_str());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_CONNECTTIMEOUT_MS, millis(std::min(kConnectTimeout, request.timeout)));
    set(CURLOPT_ERRORBUFFER, error_text_.data());
    set(CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(request.max_body_bytes));
    set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    set(CURLOPT_WRITEDATA, this);
    if (request.local) {
      const auto source = "host!" + request.local->to_string();
      set(CURLOPT_INTERFACE, source.c_str());
      if (request.local->is_v6())
        set(CURLOPT_ADDRESS_SCOPE, static_cast<long>(interface_with(*request.local)));
    }
    for (const auto& header : request.headers)
      headers_ = curl_slist_append(headers_, header.c_str());
    if (method == Method::post) {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_COPYPOSTFIELDS, request.body.data());
      headers_ = curl_slist_append(headers_, "Expect:");  // Small servers know no "100 Continue".
    }
    if (headers_) set(CURLOPT_HTTPHEADER, headers_);
  }
  ~Transfer() {
    if (is_running_) curl_multi_remove_handle(multi_.handle(), easy_);
    curl_easy_cleanup(easy_);
    curl_slist_free_all(resolved_);
    curl_slist_free_all(headers_);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// Tells curl what the names of `entry` ("host:port:address,…") are.
  void add_resolved(const std::string& entry) {
    resolved_ = curl_slist_append(resolved_, entry.c_str());
    set(CURLOPT_RESOLVE, resolved_);
  }
  /// Empty: none, whatever the environment says.
  void set_proxy(const std::string& proxy) {
    has_proxy_ = !proxy.empty();
    set(CURLOPT_PROXY, proxy.c_str());
  }
  /// Errors: as Env::http_get(), but for redirects.
  Task<> run(const std::string& url, std::string& detail);
  void finish(CURLcode code) {
    code_ = code;
    is_done_ = true;
    done_.notify();
  }

  int status() const {
    long number = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &number);
    return static_cast<int>(number);
  }
  std::string content_type() const { return text(CURLINFO_CONTENT_TYPE); }
  /// Where the answer sends us; empty if nowhere.
  std::string redirect_url() const { return text(CURLINFO_REDIRECT_URL); }
  std::string take_body() { return std::move(body_); }
  /// Of the server, or of a proxy. Errors: `Errc::malformed`: not known.
  Result<IpAddress> remote_ip() const { return IpAddress::parse(text(CURLINFO_PRIMARY_IP)); }

 private:
  template <class T>
  void set(CURLoption option, T value) {
    curl_easy_setopt(easy_, option, value);
  }
  std::string text(CURLINFO what) const {
    const char* found = nullptr;
    curl_easy_getinfo(easy_, what, &found);
    return found ? found : "";
  }
  static std::size_t on_body(char* bytes, std::size_t, std::size_t size, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (size > transfer.max_body_bytes_ - transfer.body_.size()) return 0;  // Ends the transfer.
    transfer.body_.append(bytes, size);
    return size;
  }

  Multi& multi_;
  std::size_t max_body_bytes_;
  std::string body_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  CURLcode code_ = CURLE_OK;
  bool has_proxy_ = false;
  bool is_running_ = false;
  bool is_done_ = false;
  Event done_;
  CURL* easy_;
  curl_slist* resolved_ = nullptr;
  curl_slist* headers_ = nullptr;
};

void HttpClient::Multi::watch(curl_socket_t socket, int what) {
  if (what == CURL_POLL_REMOVE) {
    const auto at = sockets_.find(socket);
    if (at == sockets_.end()) return;
    if (at->second->is_registered) reactor_.remove(socket, *at->second);
    sockets_.erase(at);
    return;
  }
  auto& watch = sockets_[socket];
  if (!watch) watch = std::make_unique<SocketWatch>(*this, socket);
  std::uint32_t events = 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= EPOLLIN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= EPOLLOUT;
  if (watch->is_registered) {
    reactor_.change(socket, events, *watch);
  } else {
    // If it cannot be watched the request ends by its timeout.
    watch->is_registered = reactor_.add(socket, events, *watch).has_value();
  }
}

void HttpClient::Multi::act(curl_socket_t socket, int mask) {
  int running = 0;
  curl_multi_socket_action(handle_, socket, mask, &running);
  int left = 0;
  while (const auto* message = curl_multi_info_read(handle_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    Transfer* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    transfer->finish(message->data.result);
  }
}

Task<> HttpClient::Transfer::run(const std::string& url, std::string& detail) {
  set(CURLOPT_URL, url.c_str());
  if (curl_multi_add_handle(multi_.handle(), easy_) != CURLM_OK) co_return Errc::limit_reached;
  is_running_ = true;
  while (!is_done_) PYRSIA_CO_TRY(co_await done_.wait());
  if (code_ == CURLE_OK) co_return ok;
  detail = error_text_[0] != '\0' ? error_text_.data() : curl_easy_strerror(code_);
  if (code_ == CURLE_WRITE_ERROR) detail = "the body is larger than the limit";
  const bool is_unconnected =
      code_ == CURLE_COULDNT_CONNECT || code_ == CURLE_COULDNT_RESOLVE_PROXY;
  if (is_unconnected && has_proxy_) {
    // Not the server of the URL has failed; curl's words say which host did.
    detail += " (a proxy is set in the environment)";
    co_return Errc::network_failed;
  }
  if (is_unconnected) {
    long number = 0;
    curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &number);
    co_return connect_error(number);
  }
  co_return curl_error(code_);
}

HttpClient::HttpClient(Env& env, Reactor& reactor, std::string user_agent)
    : env_(env), reactor_(reactor), user_agent_(std::move(user_agent)) {}

HttpClient::~HttpClient() = default;

Task<HttpResponse> HttpClient::get(HttpRequest request, std::string* detail) {
  return ask(Method::get, std::move(request), detail);
}

Task<HttpResponse> HttpClient::post(HttpRequest request, std::string* detail) {
  return ask(Method::post, std::move(request), detail);
}

Task<HttpResponse> HttpClient::ask(Method method, HttpRequest request, std::string* detail) {
  if (!multi_) multi_ = std::make_unique<Multi>(env_, reactor_);
  if (!multi_->handle()) co_return Errc::unavailable;
  std::string words;
  auto response = co_await with_timeout(env_, request.timeout, follow(method, request, words));
  if (!response && response.error() == Errc::timed_out) {
    const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(request.timeout);
    words = "no complete answer within " + std::to_string(waited.count()) + " ms";
  }
  if (!response && detail) *detail = words;
  co_return response;
}

Task<HttpResponse> HttpClient::follow(Method method, const HttpRequest& request,
                                      std::string& detail) {
  std::string url = request.url;
  std::vector<IpAddress> contacted;
  for (int redirects = 0; redirects <= request.max_redirects; ++redirects) {
    Transfer transfer(env_, *multi_, user_agent_, method, request);
    PYRSIA_CO_TRY(co_await resolve_host(request, url, transfer, detail));
    PYRSIA_CO_TRY(co_await transfer.run(url, detail));
    if (const auto ip = transfer.remote_ip()) contacted.push_back(*ip);
    url = transfer.redirect_url();
    if (!url.empty() && method == Method::get) continue;
    HttpResponse response;
    response.status = transfer.status();
    response.content_type = transfer.content_type();
    response.body = transfer.take_body();
    response.contacted = std::move(contacted);
    co_return response;
  }
  detail = "more than " + std::to_string(request.max_redirects) + " redirects";
  co_return Errc::limit_reached;
}

Task<> HttpClient::resolve_host(const HttpRequest& request, const std::string& url,
                                Transfer& transfer, std::string& detail) {
  PYRSIA_CO_TRY(const auto parts, parse_url(url, detail));
  const auto proxy = request.is_direct ? std::string() : proxy_for(parts);
  transfer.set_proxy(proxy);
  if (IpAddress::parse(parts.host) || !proxy.empty()) co_return ok;
  auto found = co_await env_.resolve(parts.host, IpFamily::any);
  if (!found) {
    detail = "cannot resolve " + parts.host;
    co_return found.error();
  }
  std::string entry = parts.host + ":" + parts.port + ":";
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto& ip = (*found)[i];
    entry += i == 0 ? "" : ",";
    entry += ip.is_v6() ? "[" + ip.to_string() + "]" : ip.to_string();
  }
  transfer.add_resolved(entry);
  co_return ok;
}

}  // namespace pyrsia
