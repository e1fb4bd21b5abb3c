#include "sim/bare_env.hpp"

namespace pyrsia::sim {

WallTime BareEnv::wall_now() const {
  using namespace std::chrono;
  return WallTime(sys_days(2026y / January / 1d).time_since_epoch()) +
         world_.now().time_since_epoch();
}

void BareEnv::random(std::span<std::uint8_t> out) {
  for (auto& byte : out) byte = static_cast<std::uint8_t>(world_.random()());
}

Result<std::unique_ptr<TcpListener>> BareEnv::tcp_listen(const Endpoint&, const TcpListenOptions&) {
  return Errc::network_failed;
}

Task<std::unique_ptr<TcpSocket>> BareEnv::tcp_connect(Endpoint, TcpConnectOptions) {
  co_return Errc::unreachable;
}

Result<std::unique_ptr<UdpSocket>> BareEnv::udp_bind(const Endpoint&, const UdpOptions&) {
  return Errc::network_failed;
}

Task<std::vector<IpAddress>> BareEnv::resolve(std::string, IpFamily) {
  co_return Errc::not_found;
}

Task<std::vector<std::string>> BareEnv::resolve_txt(std::string) {
  co_return Errc::not_found;
}

Task<HttpResponse> BareEnv::http_get(HttpRequest, std::string*) {
  co_return Errc::unreachable;
}

Task<> BareEnv::run_blocking(std::function<void()> work) {
  work();
  co_return ok;
}

}  // namespace pyrsia::sim
