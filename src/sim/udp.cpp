#include "sim/udp.hpp"

#include "sim/host.hpp"
#include "sim/network.hpp"

#include <algorithm>

namespace pyrsia::sim {
namespace {

constexpr std::size_t kMaxBatch = 64;

class Socket final : public UdpSocket {
 public:
  Socket(UdpStack& stack, std::shared_ptr<UdpPort> port)
      : stack_(stack.link()), port_(std::move(port)) {}
  ~Socket() override { close(); }

  Task<std::span<const ReceivedDatagram>> receive_batch() override {
    if (auto* stack = this->stack(); stack && stack->operation_fails())
      co_return Errc::network_failed;
    while (port_->queue.empty()) {
      if (port_->is_closed) co_return Errc::closed;
      PYRSIA_CO_TRY(co_await port_->arrived.wait());
    }
    packets_.clear();
    batch_.clear();
    while (!port_->queue.empty() && packets_.size() < kMaxBatch) {
      packets_.push_back(std::move(port_->queue.front()));
      port_->queue.pop_front();
    }
    for (const auto& packet : packets_) {
      port_->queued_bytes -= packet.payload.size();
      const auto ecn = port_->options.reads_ecn ? packet.ecn : std::uint8_t(0);
      batch_.push_back({packet.from, packet.to.ip, ecn, packet.payload});
    }
    metrics_.receive_calls.add();
    metrics_.received.add(batch_.size());
    co_return std::span<const ReceivedDatagram>(batch_);
  }

  Result<std::size_t> send_batch(std::span<const OutgoingDatagram> datagrams) override {
    auto* stack = this->stack();
    if (!stack || port_->is_closed) return Errc::closed;
    metrics_.send_calls.add();
    std::size_t count = 0;
    for (const auto& datagram : datagrams) {
      const auto sent = stack->send(*port_, datagram);
      if (!sent && count == 0) return sent.error();
      if (!sent) break;
      ++count;
      metrics_.sent.add();
    }
    return count;
  }

  Task<> wait_writable() override {
    if (port_->is_closed) co_return Errc::closed;
    co_return ok;
  }
  Task<UdpError> receive_error() override {
    if (!port_->options.hears_errors) co_return Errc::not_supported;
    while (port_->errors.empty()) {
      if (port_->is_closed) co_return Errc::closed;
      PYRSIA_CO_TRY(co_await port_->error_arrived.wait());
    }
    const auto error = port_->errors.front();
    port_->errors.pop_front();
    co_return error;
  }
  const UdpMetrics& metrics() const override { return metrics_; }
  Endpoint local() const override { return port_->local; }
  void close() noexcept override {
    if (auto* stack = this->stack()) stack->close(*port_);
  }

 private:
  UdpStack* stack() const {
    const auto link = stack_.lock();
    return link ? *link : nullptr;
  }

  std::weak_ptr<UdpStack*> stack_;
  std::shared_ptr<UdpPort> port_;
  std::vector<Packet> packets_;  ///< Those of batch_.
  std::vector<ReceivedDatagram> batch_;
  UdpMetrics metrics_;
};

}  // namespace

Result<std::unique_ptr<UdpSocket>> UdpStack::bind(const Endpoint& local,
                                                  const UdpOptions& options) {
  if (operation_fails() || !host_.is_up()) return Errc::network_failed;
  if (!local.ip.is_unspecified() && !host_.is_own(local.ip)) return Errc::invalid_argument;
  const auto is_free = [&](std::uint16_t port) {
    return std::ranges::none_of(ports_, [&](const auto& entry) {
      const auto& ip = entry.first.ip;
      return entry.first.port == port && ip.is_v6() == local.ip.is_v6() &&
             (ip == local.ip || ip.is_unspecified() || local.ip.is_unspecified());
    });
  };
  auto at = local;
  if (at.port == 0) {
    PYRSIA_TRY(at.port, host_.choose_port(is_free));
  } else if (!is_free(at.port)) {
    return Errc::address_in_use;
  }
  auto port = std::make_shared<UdpPort>(host_, at, options);
  ports_.emplace(at, port);
  return std::make_unique<Socket>(*this, std::move(port));
}

Result<> UdpStack::send(const UdpPort& port, const OutgoingDatagram& datagram) {
  if (operation_fails()) return Errc::network_failed;
  const auto step = datagram.segment_bytes > 0 ? datagram.segment_bytes : datagram.bytes.size();
  if (std::min(step, datagram.bytes.size()) > kMaxDatagramBytes) return Errc::too_large;
  if (datagram.to.ip.is_v6() != port.local.ip.is_v6()) return Errc::unreachable;
  Packet packet;
  packet.from = port.local;
  packet.to = datagram.to;
  packet.ecn = datagram.ecn;
  packet.dont_fragment = port.options.dont_fragment;
  packet.hop_limit = port.options.hop_limit;
  if (datagram.from) {
    if (!host_.is_own(*datagram.from)) return Errc::unreachable;
    packet.from.ip = *datagram.from;
  } else if (packet.from.ip.is_unspecified()) {
    PYRSIA_TRY(packet.from.ip, host_.source_for(datagram.to.ip));
  }
  std::size_t at = 0;
  do {
    const auto bytes = datagram.bytes.subspan(at, std::min(step, datagram.bytes.size() - at));
    packet.payload.assign(bytes.begin(), bytes.end());
    host_.network().send(host_, packet);
    at += step;
  } while (at < datagram.bytes.size());
  return ok;
}

void UdpStack::receive(Packet packet) {
  if (packet.expired_at) return receive_error(packet);
  const auto port = port_for(packet.to);
  if (!port) return;
  if (port->queued_bytes + packet.payload.size() > kUdpQueueBytes) {
    host_.probe("udp: receive queue is full");
    return;
  }
  port->queued_bytes += packet.payload.size();
  port->queue.push_back(std::move(packet));
  port->arrived.notify();
}

void UdpStack::receive_error(const Packet& error) {
  const auto port = port_for(error.to);
  if (!port || !port->options.hears_errors || port->errors.size() >= kMaxUdpErrors) return;
  port->errors.push_back({error.from, *error.expired_at, UdpError::Kind::expired});
  port->error_arrived.notify();
}

std::shared_ptr<UdpPort> UdpStack::port_for(const Endpoint& local) const {
  const auto any = local.ip.is_v6() ? IpAddress::v6_any() : IpAddress::v4_any();
  for (const auto& at : {local, Endpoint{any, local.port}}) {
    const auto found = ports_.find(at);
    if (found != ports_.end()) return found->second;
  }
  return nullptr;
}

void UdpStack::close(UdpPort& port) {
  if (port.is_closed) return;
  port.is_closed = true;
  port.queue.clear();
  port.queued_bytes = 0;
  port.arrived.notify();
  port.error_arrived.notify();
  ports_.erase(port.local);
}

void UdpStack::close_all() {
  for (const auto& [at, port] : std::exchange(ports_, {})) {
    port->is_closed = true;
    port->queue.clear();
    port->arrived.notify();
    port->error_arrived.notify();
  }
  link_ = std::make_shared<UdpStack*>(this);
}

bool UdpStack::operation_fails() {
  return host_.network().operation_fails();
}

std::string UdpStack::describe() const {
  std::string text;
  for (const auto& [at, port] : ports_)
    if (port->arrived.has_waiter()) text += "  udp " + at.to_string() + " waits to receive\n";
  return text;
}

}  // namespace pyrsia::sim
