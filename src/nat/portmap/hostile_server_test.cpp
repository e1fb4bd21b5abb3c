// UPnP on the real Env, over loopback: a device that answers the search and then misbehaves.
#include "nat/portmap/upnp_client.hpp"
#include "runtime/real_env.hpp"
#include "runtime/task_group.hpp"
#include "runtime/timeout.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::portmap {
namespace {

using namespace std::chrono_literals;

enum class Manner { silent, endless, huge_answer, no_http, slow };

class HostileDevice {
 public:
  HostileDevice(Env& env, Manner manner) : env_(env), manner_(manner), tasks_(env) {
    const Endpoint local{IpAddress::v4_loopback(), 0};
    ssdp_ = *env.udp_bind(local);
    http_ = *env.tcp_listen(local, {});
    tasks_.spawn(answer_searches());
    tasks_.spawn(accept());
  }
  std::uint16_t port() const { return ssdp_->local().port; }
  Task<> stop() {
    tasks_.cancel();
    return tasks_.join();
  }

 private:
  Task<> answer_searches() {
    std::array<std::uint8_t, 2048> buffer;
    for (;;) {
      PYRSIA_CO_TRY(const auto datagram, co_await ssdp_->receive(buffer));
      const auto text =
          "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:service:WANIPConnection:1\r\n"
          "LOCATION: http://" +
          http_->local().to_string() + "/x.xml\r\n\r\n";
      PYRSIA_CO_TRY(ssdp_->send(datagram.from, as_bytes(text)));
    }
  }
  Task<> accept() {
    for (;;) {
      PYRSIA_CO_TRY(auto socket, co_await http_->accept());
      auto serving = serve(*socket);
      const auto served = co_await std::move(serving);
      if (!served && served.error() == Errc::cancelled) co_return served.error();
    }
  }
  Task<> serve(TcpSocket& socket) {
    std::array<std::uint8_t, 4096> buffer{};
    PYRSIA_CO_TRY(co_await socket.read_some(buffer));
    const std::string head = manner_ == Manner::no_http ? "220 ftp ready\r\n"
                             : manner_ == Manner::huge_answer
                                 ? "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
                                 : "HTTP/1.1 200 OK\r\n\r\n";
    if (manner_ != Manner::silent) PYRSIA_CO_TRY(co_await socket.write_all(as_bytes(head)));
    while (manner_ == Manner::endless) PYRSIA_CO_TRY(co_await socket.write_all(buffer));
    while (manner_ == Manner::slow) {
      PYRSIA_CO_TRY(co_await env_.sleep_for(5ms));
      PYRSIA_CO_TRY(co_await socket.write_all(as_bytes("<")));
    }
    // Until the client has had enough.
    PYRSIA_CO_TRY(co_await socket.read_some(buffer));
    co_return ok;
  }

  Env& env_;
  Manner manner_;
  std::unique_ptr<UdpSocket> ssdp_;
  std::unique_ptr<TcpListener> http_;
  TaskGroup tasks_;
};

struct Found {
  Result<Presence> presence = Errc::deadlock;
  std::string detail;
};

Task<> search(Env& env, Manner manner, Found& out) {
  HostileDevice device(env, manner);
  Metrics metrics;
  const Context context{env, metrics, {}};
  upnp::UpnpConfig config;
  config.ssdp_port = device.port();
  config.asks_everybody = false;
  config.device_timeout = 100ms;
  const auto here = IpAddress::v4_loopback();
  const Route route{here, here, here};
  upnp::UpnpClient client(context, route, config, {});
  auto discovery = client.discover(out.detail);
  out.presence = co_await with_timeout(env, 400ms, std::move(discovery));
  co_return co_await device.stop();
}

TEST(HostileDevice, WhateverItDoesTheSearchEndsWithItsTimeAndSaysWhy) {
  for (const auto manner :
       {Manner::silent, Manner::endless, Manner::huge_answer, Manner::no_http, Manner::slow}) {
    const auto env = make_real_env({});
    Found found;
    EXPECT_TRUE(run(*env, search(*env, manner, found), {}));
    EXPECT_EQ(found.presence.error(), Errc::timed_out) << static_cast<int>(manner);
    EXPECT_NE(found.detail, "") << static_cast<int>(manner);
  }
}

}  // namespace
}  // namespace pyrsia::portmap
