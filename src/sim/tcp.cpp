#include "sim/tcp.hpp"

#include "sim/host.hpp"
#include "sim/network.hpp"

#include <algorithm>

namespace pyrsia::sim {
namespace {

using StackLink = std::weak_ptr<TcpStack*>;

TcpStack* stack_of(const StackLink& link) {
  const auto stack = link.lock();
  return stack ? *stack : nullptr;
}

class Socket final : public TcpSocket {
 public:
  Socket(TcpStack& stack, std::shared_ptr<TcpConnection> connection)
      : stack_(stack.link()), connection_(std::move(connection)) {}
  ~Socket() override {
    if (auto* stack = stack_of(stack_)) stack->release(*connection_);
  }

  Endpoint local() const override { return connection_->local(); }
  Endpoint remote() const override { return connection_->remote(); }

  Task<> wait_readable() override { co_return co_await connection_->wait_readable(); }

  Task<std::size_t> read_some(std::span<std::uint8_t> out) override {
    count_operation();
    PYRSIA_CO_TRY(co_await connection_->wait_readable());
    const auto* stack = stack_of(stack_);
    const auto limit = stack ? stack->max_read_bytes() : SIZE_MAX;
    co_return connection_->take(out.first(std::min(out.size(), limit)));
  }

  Task<> write_all(BytesView bytes) override {
    count_operation();
    co_return co_await connection_->write(bytes);
  }

  Task<> write_all_parts(std::span<const BytesView> parts) override {
    Bytes joined;
    for (const auto part : parts) joined.insert(joined.end(), part.begin(), part.end());
    co_return co_await write_all(joined);
  }

  Task<> close_write() override {
    count_operation();
    co_return connection_->finish();
  }

  void reset(ResetCode) noexcept override { connection_->abort(Errc::closed); }

 private:
  void count_operation() {
    auto* stack = stack_of(stack_);
    if (stack && stack->operation_fails()) connection_->abort(Errc::reset);
  }

  StackLink stack_;
  std::shared_ptr<TcpConnection> connection_;
};

class Listener final : public TcpListener {
 public:
  Listener(TcpStack& stack, std::shared_ptr<ListenQueue> queue)
      : stack_(stack.link()), queue_(std::move(queue)) {}
  ~Listener() override { close(); }

  Task<std::unique_ptr<TcpSocket>> accept() override {
    if (auto* stack = stack_of(stack_); stack && stack->operation_fails())
      co_return Errc::network_failed;
    while (queue_->ready.empty()) {
      if (queue_->is_closed) co_return Errc::closed;
      PYRSIA_CO_TRY(co_await queue_->arrived.wait());
    }
    auto* stack = stack_of(stack_);
    if (queue_->is_closed || !stack) co_return Errc::closed;
    auto connection = std::move(queue_->ready.front());
    queue_->ready.pop_front();
    co_return std::make_unique<Socket>(*stack, std::move(connection));
  }

  Endpoint local() const override { return queue_->local; }
  void close() noexcept override {
    if (auto* stack = stack_of(stack_)) stack->close(*queue_);
  }

 private:
  StackLink stack_;
  std::shared_ptr<ListenQueue> queue_;
};

Endpoint any_of_family(const Endpoint& endpoint) {
  return {endpoint.ip.is_v6() ? IpAddress::v6_any() : IpAddress::v4_any(), endpoint.port};
}

/// Two sockets bound to these would be in each other's way.
bool overlap(const Endpoint& a, const Endpoint& b) {
  return a.port == b.port && a.ip.is_v6() == b.ip.is_v6() &&
         (a.ip == b.ip || a.ip.is_unspecified() || b.ip.is_unspecified());
}

}  // namespace

TcpStack::~TcpStack() {
  close_all(false);
}

Result<std::unique_ptr<TcpListener>> TcpStack::listen(const Endpoint& local,
                                                      const TcpListenOptions& options) {
  if (operation_fails() || !host_.is_up()) return Errc::network_failed;
  if (!local.ip.is_unspecified() && !host_.is_own(local.ip)) return Errc::invalid_argument;
  auto at = local;
  if (at.port == 0) {
    const auto is_free = [&](std::uint16_t port) {
      const Endpoint tried{local.ip, port};
      return !is_listened(tried) && !is_connected_from(tried);
    };
    PYRSIA_TRY(at.port, host_.choose_port(is_free));
  } else if (is_listened(at)) {  // Connections do not matter: SO_REUSEADDR.
    return Errc::address_in_use;
  }
  auto queue = std::make_shared<ListenQueue>(host_, at, options);
  listeners_.emplace(at, queue);
  return std::make_unique<Listener>(*this, std::move(queue));
}

Task<std::unique_ptr<TcpSocket>> TcpStack::connect(Endpoint remote, TcpConnectOptions options) {
  if (operation_fails()) co_return Errc::unreachable;
  PYRSIA_CO_TRY(const auto local, choose_local(remote, options));
  auto connection = std::make_shared<TcpConnection>(*this, local, remote);
  connections_.emplace(Pair(local, remote), connection);
  // From here on the socket cleans up, also when we are cancelled.
  auto socket = std::make_unique<Socket>(*this, connection);
  connection->dial();
  PYRSIA_CO_TRY(co_await connection->wait_established());
  co_return std::move(socket);
}

Result<Endpoint> TcpStack::choose_local(const Endpoint& remote, const TcpConnectOptions& options) {
  if (!host_.is_up()) return Errc::network_failed;
  PYRSIA_TRY(const auto source, host_.source_for(remote.ip));
  Endpoint local{source, 0};
  if (options.local) {
    if (options.local->ip.is_v6() != remote.ip.is_v6()) return Errc::unreachable;
    if (!options.local->ip.is_unspecified()) {
      if (!host_.is_own(options.local->ip)) return Errc::network_failed;
      local.ip = options.local->ip;
    }
    local.port = options.local->port;
  }
  if (local.port != 0) {
    if (is_listened_alone(local) || connections_.contains(Pair(local, remote)))
      return Errc::address_in_use;
    return local;
  }
  const auto is_free = [&](std::uint16_t port) {
    const Endpoint at{local.ip, port};
    return at != remote && !is_listened(at) && !is_connected_from(at);
  };
  PYRSIA_TRY(local.port, host_.choose_port(is_free));
  return local;
}

bool TcpStack::is_listened(const Endpoint& local) const {
  return std::ranges::any_of(listeners_,
                             [&](const auto& entry) { return overlap(entry.first, local); });
}

bool TcpStack::is_connected_from(const Endpoint& local) const {
  return std::ranges::any_of(connections_,
                             [&](const auto& entry) { return overlap(entry.first.first, local); });
}

bool TcpStack::is_listened_alone(const Endpoint& local) const {
  const auto queue = listener_for(local);
  return queue && !queue->options.is_port_shared;
}

std::shared_ptr<ListenQueue> TcpStack::listener_for(const Endpoint& local) const {
  for (const auto& at : {local, any_of_family(local)}) {
    const auto found = listeners_.find(at);
    if (found != listeners_.end()) return found->second;
  }
  return nullptr;
}

void TcpStack::receive(Packet packet) {
  const auto found = connections_.find(Pair(packet.to, packet.from));
  if (found != connections_.end()) {
    const auto connection = found->second;
    if (!connection->is_of_earlier_peer(packet)) {
      connection->receive(std::move(packet));
      erase_if_finished(*connection);
      return;
    }
    // The peer has crashed, forgotten the connection, and dials anew.
    connection->fail(Errc::reset);
    connections_.erase(found);
  }
  if (packet.rst) return;
  if (packet.syn && !packet.ack && listener_for(packet.to)) {
    answer(packet);
  } else {
    refuse(packet);
  }
}

void TcpStack::answer(const Packet& syn) {
  const auto queue = listener_for(syn.to);
  if (queue->ready.size() >= std::size_t(queue->options.backlog)) {
    probe("tcp: backlog is full");
    return;
  }
  auto connection = std::make_shared<TcpConnection>(*this, syn.to, syn.from);
  connections_.emplace(Pair(syn.to, syn.from), connection);
  connection->answer(syn);
}

void TcpStack::accepted(TcpConnection& connection) {
  const auto queue = listener_for(connection.local());
  if (!queue) {
    connection.abort(Errc::closed);
    return;
  }
  queue->ready.push_back(connections_.at(Pair(connection.local(), connection.remote())));
  queue->arrived.notify();
}

void TcpStack::release(TcpConnection& connection) {
  if (!connection.is_closed_by_both()) connection.abort(Errc::closed);
  erase_if_finished(connection);
}

void TcpStack::erase_if_finished(TcpConnection& connection) {
  if (!connection.is_finished()) return;
  connection.fail(Errc::closed);
  const auto found = connections_.find(Pair(connection.local(), connection.remote()));
  if (found != connections_.end() && found->second.get() == &connection) connections_.erase(found);
}

void TcpStack::close(ListenQueue& queue) {
  if (queue.is_closed) return;
  queue.is_closed = true;
  for (const auto& connection : std::exchange(queue.ready, {})) release(*connection);
  queue.arrived.notify();
  listeners_.erase(queue.local);
}

void TcpStack::close_all(bool tells_peers) {
  for (const auto& [pair, connection] : std::exchange(connections_, {})) {
    if (tells_peers) {
      connection->abort(Errc::closed);
    } else {
      connection->fail(Errc::closed);
    }
    connection->forget_stack();
  }
  for (const auto& [at, queue] : std::exchange(listeners_, {})) {
    queue->is_closed = true;
    queue->ready.clear();
    queue->arrived.notify();
  }
  link_ = std::make_shared<TcpStack*>(this);
}

std::size_t TcpStack::break_connections(const IpAddress& ip) {
  std::size_t count = 0;
  const auto all = connections_;
  for (const auto& [pair, connection] : all) {
    if (pair.second.ip != ip) continue;
    connection->abort(Errc::reset);
    erase_if_finished(*connection);
    ++count;
  }
  return count;
}

std::string TcpStack::describe() const {
  std::string text;
  for (const auto& [at, queue] : listeners_)
    if (queue->arrived.has_waiter()) text += "  tcp " + at.to_string() + " waits to accept\n";
  for (const auto& [pair, connection] : connections_) text += "  " + connection->describe() + "\n";
  return text;
}

Env& TcpStack::env() {
  return host_;
}

void TcpStack::send(Packet packet) {
  host_.network().send(host_, std::move(packet));
}

std::uint64_t TcpStack::next_connection_id() {
  return host_.network().next_connection_id();
}

bool TcpStack::operation_fails() {
  return host_.network().operation_fails();
}

std::size_t TcpStack::max_read_bytes() const {
  return host_.network().max_read_bytes();
}

void TcpStack::probe(std::string_view name) {
  host_.probe(name);
}

}  // namespace pyrsia::sim
