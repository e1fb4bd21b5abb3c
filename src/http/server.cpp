#include "http/server.hpp"

#include "http/request_reader.hpp"
#include "runtime/interruptible.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace pyrsia::http {
namespace {

/// Connections over the limits that are told so at the same time; further ones are just dropped.
constexpr std::size_t kMaxRefusals = 64;

Response failure(int status) {
  switch (status) {
    case 411:
      return error_response(411, R"({"BadRequest":""})", "a body must have a Content-Length");
    case 413: return error_response(413, R"({"BadRequest":""})", "the body is too large");
    case 431: return error_response(431, R"({"BadRequest":""})", "the header is too large");
    case 503: return error_response(503, R"({"Unknown":""})", "too many connections");
    default: return error_response(400, R"({"BadRequest":""})", "the request is malformed");
  }
}

}  // namespace

/// One client. Lives as long as a task uses it. Its timer ends what takes too long: unlike
/// with_timeout() it costs nothing at each request, it is only armed again when it expires early.
class Server::Connection final : public Timer, public Writer {
 public:
  Connection(Server& server, std::unique_ptr<Stream> s, const Endpoint& remote)
      : stream(std::move(s)),
        reader(server.config_.max_head_bytes, server.config_.max_body_bytes),
        server_(server) {
    request.remote = remote;
  }

  void set_limit(Duration limit) {
    deadline_ = server_.env_.now() + limit;
    if (armed_for_ && *armed_for_ <= deadline_) return;
    armed_for_ = deadline_;
    server_.env_.timers().arm(*this, deadline_);
  }
  void clear_limit() { deadline_ = TimePoint::max(); }

  Task<> write(std::string_view text) override {
    set_limit(server_.config_.idle_timeout);
    auto written = co_await stream->write_all(as_bytes(text));
    clear_limit();
    co_return written;
  }

  std::unique_ptr<Stream> stream;
  RequestReader reader;
  Request request;
  Interruptible streaming;
  int users = 0;
  bool is_refused = false;

 private:
  void expired() override {
    armed_for_.reset();
    if (deadline_ == TimePoint::max()) return;
    if (server_.env_.now() < deadline_) {
      armed_for_ = deadline_;
      return server_.env_.timers().arm(*this, deadline_);
    }
    server_.metrics_.timeouts.add();
    stream->reset();
  }

  Server& server_;
  TimePoint deadline_ = TimePoint::max();
  std::optional<TimePoint> armed_for_;
};

/// Keeps a connection while a task uses it.
class Server::Use {
 public:
  Use(Server& server, Connection& connection) : server_(server), connection_(connection) {
    ++connection_.users;
  }
  ~Use() {
    if (--connection_.users == 0) server_.forget(connection_);
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  Server& server_;
  Connection& connection_;
};

Server::Server(Env& env, const Config& config, Handler handler, Metrics& metrics)
    : env_(env), config_(config), handler_(std::move(handler)), metrics_(metrics), tasks_(env) {}

Server::~Server() = default;

Result<Endpoint> Server::listen(const Endpoint& local) {
  TcpListenOptions options;
  options.is_port_shared = false;
  PYRSIA_TRY(auto listener, env_.tcp_listen(local, options));
  const auto at = listener->local();
  tasks_.spawn(accept_all(*listeners_.emplace_back(std::move(listener))));
  return at;
}

Task<> Server::stop() {
  tasks_.cancel();
  PYRSIA_CO_TRY(co_await tasks_.join());
  listeners_.clear();
  co_return ok;
}

Task<> Server::accept_all(TcpListener& listener) {
  for (;;) {
    auto accepted = co_await listener.accept();
    if (accepted) {
      const auto remote = (*accepted)->remote();
      serve(std::move(*accepted), remote);
      continue;
    }
    if (accepted.error() == Errc::closed || accepted.error() == Errc::cancelled)
      co_return accepted.error();
    metrics_.failed_accepts.add();
    PYRSIA_CO_TRY(co_await env_.sleep_for(config_.accept_pause));
  }
}

bool Server::has_room_for(const IpAddress& ip) const {
  if (connections_.size() >= config_.max_connections) return false;
  return per_ip_.of(ip) < config_.max_connections_per_ip;
}

void Server::serve(std::unique_ptr<Stream> stream, const Endpoint& remote) {
  const bool has_room = has_room_for(remote.ip);
  (has_room ? metrics_.connections : metrics_.refused_connections).add();
  if (connections_.size() >= config_.max_connections + kMaxRefusals) return;
  auto& connection = connections_.emplace_back(*this, std::move(stream), remote);
  connection.is_refused = !has_room;
  per_ip_.add(remote.ip);
  tasks_.spawn(run(connection));
}

void Server::forget(Connection& connection) {
  per_ip_.remove(connection.request.remote.ip);
  const auto is_it = [&](const Connection& c) { return &c == &connection; };
  connections_.erase(std::find_if(connections_.begin(), connections_.end(), is_it));
}

Task<> Server::run(Connection& connection) {
  const Use use(*this, connection);
  if (connection.is_refused) {
    connection.set_limit(config_.close_timeout);
    PYRSIA_CO_TRY(co_await write(connection, failure(503), true));
  } else {
    PYRSIA_CO_TRY(co_await answer_all(connection));
  }
  co_return co_await close(connection);
}

Task<> Server::answer_all(Connection& connection) {
  for (std::size_t left = config_.max_requests; left > 0; --left) {
    const auto more = co_await read_request(connection);
    if (!more && more.error() == Errc::malformed) {
      metrics_.bad_requests.add();
      co_return co_await write(connection, failure(connection.reader.failure()), true);
    }
    if (!more) co_return more.error();
    if (!*more) co_return ok;
    metrics_.requests.add();
    PYRSIA_CO_TRY(const bool goes_on, co_await answer(connection, left == 1));
    if (!goes_on) co_return ok;
  }
  co_return ok;
}

Task<bool> Server::read_request(Connection& connection) {
  auto& reader = connection.reader;
  bool was_inside = false;
  connection.set_limit(config_.idle_timeout);
  for (;;) {
    const auto state = reader.next(connection.request);
    if (state == RequestReader::State::done) {
      if (was_inside) connection.set_limit(config_.idle_timeout);
      co_return true;
    }
    if (state == RequestReader::State::failed) co_return Errc::malformed;
    // Counted from the first byte: a client that sends one now and then gains nothing by it.
    if (reader.is_inside() && !std::exchange(was_inside, true))
      connection.set_limit(config_.request_timeout);
    PYRSIA_CO_TRY(const auto count, co_await connection.stream->read_some(reader.space()));
    if (count == 0) co_return false;
    reader.received(count);
  }
}

Task<bool> Server::answer(Connection& connection, bool is_last) {
  const auto& request = connection.request;
  auto response = co_await handler_(request);
  if (!response) {
    if (response.error() == Errc::cancelled) co_return Errc::cancelled;
    metrics_.failed_handlers.add();
    response = error_response(500, R"({"Unknown":""})", response.error().message());
  }
  if (response->stream && request.method != "HEAD") {
    PYRSIA_CO_TRY(co_await stream(connection, *response));
    co_return false;
  }
  is_last = is_last || !request.is_keep_alive || response->stream;
  connection.set_limit(config_.idle_timeout);
  PYRSIA_CO_TRY(co_await write(connection, *response, is_last));
  co_return !is_last;
}

Task<> Server::write(Connection& connection, const Response& response, bool is_last) {
  const auto& request = connection.request;
  if (const auto& prebuilt = response.prebuilt) {
    std::string_view bytes = prebuilt->bytes;
    if (!request.if_none_match.empty() && matches(request.if_none_match, prebuilt->etag)) {
      bytes = prebuilt->not_modified;
    } else if (request.method == "HEAD") {
      bytes = bytes.substr(0, prebuilt->head_bytes);
    }
    co_return co_await connection.stream->write_all(as_bytes(bytes));
  }
  const auto head = head_of(response, is_last);
  const bool has_body = request.method != "HEAD" && response.status != 304;
  const BytesView body = has_body ? as_bytes(response.body) : BytesView();
  const std::array<BytesView, 2> parts = {as_bytes(head), body};
  co_return co_await connection.stream->write_all_parts(parts);
}

Task<> Server::stream(Connection& connection, const Response& response) {
  const auto head = head_of(response, true);
  PYRSIA_CO_TRY(co_await connection.write(head));
  tasks_.spawn(watch_leaving(connection));
  auto body = response.stream(connection);
  const auto ended = co_await connection.streaming.run(env_, std::move(body));
  if (!ended && ended.error() == Errc::cancelled) connection.stream->reset();
  co_return ended;
}

Task<> Server::watch_leaving(Connection& connection) {
  const Use use(*this, connection);
  // What the client still sends is not looked at: its answer is the stream, and the last.
  std::array<std::uint8_t, 256> ignored{};
  for (;;) {
    const auto count = co_await connection.stream->read_some(ignored);
    if (count && *count > 0) continue;
    connection.streaming.interrupt();
    co_return ok;
  }
}

Task<> Server::close(Connection& connection) {
  auto& stream = *connection.stream;
  connection.set_limit(config_.close_timeout);
  PYRSIA_CO_TRY(co_await stream.close_write());
  // Bytes that nobody reads would make the kernel reset the connection, and take our last answer
  // from the client. A streaming connection has its reader already.
  std::array<std::uint8_t, 1024> ignored{};
  while (connection.users == 1) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(ignored));
    if (count == 0) break;
  }
  co_return ok;
}

}  // namespace pyrsia::http
