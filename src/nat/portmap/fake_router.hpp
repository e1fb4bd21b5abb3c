/// For tests: a router that speaks PCP, NAT-PMP and UPnP on any Env, and misbehaves as it is told.
#pragma once

#include "nat/portmap/nat_pmp_wire.hpp"
#include "nat/portmap/pcp_wire.hpp"
#include "nat/portmap/upnp_wire.hpp"
#include "runtime/task_group.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace pyrsia::portmap {

class FakeRouter {
 public:
  struct Behaviour {
    bool speaks_pcp = true;
    bool speaks_nat_pmp = true;
    bool speaks_upnp = true;
    pcp::ResultCode pcp_result = pcp::ResultCode::success;
    std::uint16_t pcp_refused_port = 0;   ///< Inside; the result is for it alone. 0: for all.
    std::uint32_t pcp_error_seconds = 0;  ///< How long it says that errors will last.
    bool sees_another_client = false;     ///< A NAT is in front of it.
    nat_pmp::ResultCode nat_pmp_result = nat_pmp::ResultCode::success;
    int upnp_error = 0;                                 ///< Of AddPortMapping.
    int upnp_errors = std::numeric_limits<int>::max();  ///< So often, then it is granted.
    int pinhole_error = 0;                              ///< Of AddPinhole.
    bool forgets_pinholes = false;                      ///< Knows none that is to be renewed.
    std::string upnp_status = "Connected";
    bool has_wrong_nonce = false;
    bool does_nothing = false;  ///< Says yes, opens nothing.
    bool forgets_upnp = false;  ///< Says yes, does not list it.
    bool knows_only_permanent = false;
    bool checks_pinhole_client = false;  ///< Pinholes only for the address that asks.
    std::uint32_t max_lifetime_seconds = 7200;
    std::uint32_t min_lifetime_seconds = 0;  ///< Grants this much, whatever was asked.
    std::uint16_t port_offset = 0;           ///< Grants this much above what was asked.
    bool stalls = false;                     ///< Takes connections and says nothing.
    std::string description = "";            ///< In place of the device's own.
    std::string upnp_answer = "";            ///< In place of every answer to a call.
    int replies = 1;                         ///< To a search.
    std::uint32_t epoch_jump = 0;  ///< Its clock is ahead by so much more in every answer.
    bool moves_always = false;     ///< It tells another outside address in every answer.
  };
  struct Entry {
    Endpoint internal;
    pcp::Nonce nonce{};
    std::uint32_t lifetime_seconds = 0;
  };
  using Key = std::pair<Transport, std::uint16_t>;
  /// Opens (internal) or closes (none) an outside port.
  using Forward = std::function<void(const Key&, const std::optional<Endpoint>&)>;

  FakeRouter(Env& env, const IpAddress& inside, const IpAddress& outside, Forward forward)
      : env_(env), inside_(inside), external(outside), forward_(std::move(forward)), tasks_(env) {}

  Behaviour does;
  std::map<Key, Entry> table;
  int requests = 0;
  int pcp_maps = 0;                       ///< Asked for; to take away is another thing.
  IpAddress last_client{};                ///< Whom the last request of PCP was for.
  int pinholes = 0;                       ///< Opened.
  std::vector<FakeRouter*> neighbours{};  ///< Hear a search too, as by multicast, and before us.

 private:
  Env& env_;
  IpAddress inside_;

 public:
  IpAddress external;  ///< What it says; may be a lie.

  Result<> start() {
    booted_ = clock();
    PYRSIA_TRY(control_, env_.udp_bind({inside_, pcp::kServerPort}));
    PYRSIA_TRY(ssdp_, env_.udp_bind({inside_, upnp::kSsdpPort}));
    PYRSIA_TRY(http_, env_.tcp_listen({inside_, 0}, {}));
    tasks_.spawn(serve_control());
    tasks_.spawn(serve_ssdp());
    tasks_.spawn(serve_http());
    return ok;
  }
  Task<> stop() {
    tasks_.cancel();
    return tasks_.join();
  }
  /// Forgets all, as after a power failure.
  void restart() {
    for (const auto& [key, entry] : table) forward_(key, std::nullopt);
    table.clear();
    booted_ = clock();
  }
  /// Tells a client of it, without being asked.
  Result<> announce(const IpAddress& client) {
    pcp::Response response;
    response.epoch_seconds = epoch();
    return control_->send({client, pcp::kClientPort}, pcp::encode(response));
  }

 private:
  IpAddress outside() { return does.moves_always ? IpAddress::v4({73, 1, 9, ++moves_}) : external; }
  TimePoint clock() const { return env_.now() + env_.slept(); }
  std::uint32_t epoch() {
    const auto up = std::chrono::duration_cast<std::chrono::seconds>(clock() - booted_);
    return static_cast<std::uint32_t>(up.count()) + (epoch_ahead_ += does.epoch_jump);
  }

  /// Anything else concerns one packet or connection only.
  static bool is_end(const Error& error) {
    return error == Errc::cancelled || error == Errc::closed;
  }

  Task<> serve_control() {
    std::array<std::uint8_t, 1200> buffer;
    for (;;) {
      const auto datagram = co_await control_->receive(buffer);
      if (!datagram && is_end(datagram.error())) co_return datagram.error();
      if (!datagram) continue;
      const auto bytes = BytesView(buffer).first(std::min(datagram->size, buffer.size()));
      ++requests;
      if (const auto answer = control_answer(bytes, datagram->from)) {
        const auto sent = control_->send(datagram->from, *answer);
        if (!sent) continue;
      }
    }
  }

  std::optional<Bytes> control_answer(BytesView bytes, const Endpoint& from) {
    if (bytes.empty()) return std::nullopt;
    if (bytes[0] == pcp::kVersion && does.speaks_pcp) {
      const auto request = pcp::decode_request(bytes);
      if (!request) return std::nullopt;
      return pcp::encode(answer(*request, from));
    }
    if (!does.speaks_nat_pmp) return std::nullopt;
    const auto request = nat_pmp::decode_request(bytes);
    if (request) return nat_pmp::encode(answer(*request, from));
    nat_pmp::Response response;  // RFC 6886, section 3.5: to other versions too.
    response.result = nat_pmp::ResultCode::unsupported_version;
    response.epoch_seconds = epoch();
    return nat_pmp::encode(response);
  }

  pcp::Response answer(const pcp::Request& request, const Endpoint& from) {
    last_client = request.client;
    if (request.mapping && request.lifetime_seconds > 0) ++pcp_maps;
    pcp::Response response;
    response.opcode = request.opcode;
    response.epoch_seconds = epoch();
    response.mapping = request.mapping;
    if (request.client != from.ip || does.sees_another_client)
      response.result = pcp::ResultCode::address_mismatch;
    const bool is_meant =
        request.mapping &&
        (does.pcp_refused_port == 0 || does.pcp_refused_port == request.mapping->internal_port);
    if (does.pcp_result != pcp::ResultCode::success && is_meant) response.result = does.pcp_result;
    if (response.result != pcp::ResultCode::success)
      response.lifetime_seconds = does.pcp_error_seconds;
    if (!request.mapping || response.result != pcp::ResultCode::success) return response;
    auto& mapping = *response.mapping;
    const auto transport = static_cast<Transport>(mapping.protocol);
    const Endpoint internal{from.ip, mapping.internal_port};
    response.lifetime_seconds = granted(request.lifetime_seconds);
    const auto port =
        set(transport, internal, mapping.external.port, response.lifetime_seconds, mapping.nonce);
    if (!port) {
      response.result = pcp::ResultCode::not_authorized;
      return response;
    }
    mapping.external = {internal.ip.is_v6() ? internal.ip : outside(), *port};
    if (does.has_wrong_nonce) mapping.nonce[0] ^= 1;
    return response;
  }

  nat_pmp::Response answer(const nat_pmp::Request& request, const Endpoint& from) {
    nat_pmp::Response response;
    response.result = does.nat_pmp_result;
    response.epoch_seconds = epoch();
    response.external = outside();
    response.mapping = request.mapping;
    if (!request.mapping || response.result != nat_pmp::ResultCode::success) return response;
    auto& mapping = *response.mapping;
    mapping.lifetime_seconds = granted(mapping.lifetime_seconds);
    const Endpoint internal{from.ip, mapping.internal_port};
    const auto port = set(mapping.transport, internal, mapping.external_port,
                          mapping.lifetime_seconds, pcp::Nonce{});
    mapping.external_port = port.value_or(0);
    return response;
  }

  /// 0 takes a mapping away.
  std::uint32_t granted(std::uint32_t asked) const {
    if (asked == 0) return 0;
    return std::max(std::min(asked, does.max_lifetime_seconds), does.min_lifetime_seconds);
  }

  /// The outside port; none if it is somebody else's mapping.
  std::optional<std::uint16_t> set(Transport transport, const Endpoint& internal,
                                   std::uint16_t wanted, std::uint32_t lifetime_seconds,
                                   const pcp::Nonce& nonce) {
    for (auto& [key, entry] : table) {
      if (key.first != transport || entry.internal != internal) continue;
      if (entry.nonce != nonce) return std::nullopt;
      entry.lifetime_seconds = lifetime_seconds;
      const auto port = key.second;
      if (lifetime_seconds == 0) {
        forward_(key, std::nullopt);
        table.erase(key);
      }
      return port;
    }
    if (lifetime_seconds == 0) return wanted;
    const Key key{transport, static_cast<std::uint16_t>(wanted + does.port_offset)};
    if (table.contains(key)) return std::nullopt;
    table[key] = {internal, nonce, lifetime_seconds};
    if (!does.does_nothing) forward_(key, internal);
    return key.second;
  }

  Task<> serve_ssdp() {
    std::array<std::uint8_t, 2048> buffer;
    for (;;) {
      const auto datagram = co_await ssdp_->receive(buffer);
      if (!datagram && is_end(datagram.error())) co_return datagram.error();
      if (!datagram) continue;
      for (auto* neighbour : neighbours) neighbour->answer_search(datagram->from);
      answer_search(datagram->from);
    }
  }

  void answer_search(const Endpoint& from) {
    if (!does.speaks_upnp) return;
    const auto url = "http://" + http_->local().to_string() + "/root.xml";
    for (int i = 0; i < does.replies; ++i) {
      const auto text =
          "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
          "LOCATION: " +
          url + (i > 0 ? "?" + std::to_string(i) : "") + "\r\n\r\n";
      const auto sent = ssdp_->send(from, as_bytes(text));
      if (!sent) break;
    }
  }

  Task<> serve_http() {
    for (;;) {
      auto accepting = http_->accept();
      const auto socket = co_await std::move(accepting);
      if (!socket && is_end(socket.error())) co_return socket.error();
      if (!socket) continue;
      auto serving = serve_one(**socket);
      const auto served = co_await std::move(serving);
      if (!served && served.error() == Errc::cancelled) co_return served.error();
    }
  }

  Task<> serve_one(TcpSocket& socket) {
    std::string text;
    std::array<std::uint8_t, 2048> buffer;
    while (does.stalls || !is_whole(text)) {
      PYRSIA_CO_TRY(const auto count, co_await socket.read_some(buffer));
      if (count == 0) co_return Errc::closed;
      text += as_text(BytesView(buffer).first(count));
    }
    const auto [status, body] = http_answer(text, socket.remote().ip);
    const auto whole = "HTTP/1.1 " + status + "\r\nContent-Type: text/xml\r\nContent-Length: " +
                       std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
    PYRSIA_CO_TRY(co_await socket.write_all(as_bytes(whole)));
    PYRSIA_CO_TRY(co_await socket.close_write());
    PYRSIA_CO_TRY(co_await socket.read_some(buffer));
    co_return ok;
  }

  static bool is_whole(const std::string& text) {
    const auto end = text.find("\r\n\r\n");
    if (end == text.npos) return false;
    const auto at = text.find("Content-Length: ");
    const auto length = at == text.npos ? 0 : std::stoul(text.substr(at + 16));
    return text.size() >= end + 4 + length;
  }

  static std::string element(const std::string& text, const std::string& name) {
    const auto begin = text.find("<" + name + ">");
    if (begin == text.npos) return "";
    const auto from = begin + name.size() + 2;
    return text.substr(from, text.find('<', from) - from);
  }

  static std::pair<std::string, std::string> fault(int code) {
    return {"500 Internal Server Error",
            "<e><errorCode>" + std::to_string(code) + "</errorCode></e>"};
  }

  std::pair<std::string, std::string> http_answer(const std::string& request,
                                                  const IpAddress& from) {
    if (request.starts_with("GET ")) {
      if (!does.description.empty()) return {"200 OK", does.description};
      const auto service = [](const std::string& type, const std::string& url) {
        return "<service><serviceType>urn:schemas-upnp-org:service:" + type +
               "</serviceType><controlURL>" + url + "</controlURL></service>";
      };
      return {"200 OK", "<root><device><serviceList>" + service("WANIPConnection:1", "/ip") +
                            service("WANIPv6FirewallControl:1", "/v6") +
                            "</serviceList></device></root>"};
    }
    if (!does.upnp_answer.empty()) return {"200 OK", does.upnp_answer};
    const auto value = [](const std::string& name, const std::string& text) {
      return "<" + name + ">" + text + "</" + name + ">";
    };
    const auto is = [&](const char* action) {
      return request.find(std::string("#") + action + "\"") != request.npos;
    };
    if (is("GetStatusInfo"))
      return {"200 OK", "<a>" + value("NewConnectionStatus", does.upnp_status) + "</a>"};
    if (is("GetExternalIPAddress"))
      return {"200 OK", "<a>" + value("NewExternalIPAddress", external.to_string()) + "</a>"};
    const bool is_for_asker = element(request, "InternalClient") == from.to_string();
    if (is("AddPinhole") && does.checks_pinhole_client && !is_for_asker) return fault(606);
    if (is("AddPinhole") && does.pinhole_error != 0) return fault(does.pinhole_error);
    if (is("UpdatePinhole") && does.forgets_pinholes) return fault(704);
    if (is("AddPinhole")) ++pinholes;
    if (is("AddPinhole") || is("UpdatePinhole"))
      return {"200 OK", "<a>" + value("UniqueID", "7") + "</a>"};
    if (is("DeletePinhole")) return {"200 OK", "<a></a>"};
    return mapping_answer(request, from, is("AddPortMapping"), is("DeletePortMapping"),
                          is("GetGenericPortMappingEntry"));
  }

  std::pair<std::string, std::string> mapping_answer(const std::string& request,
                                                     const IpAddress& from, bool adds, bool removes,
                                                     bool lists) {
    const auto transport =
        element(request, "NewProtocol") == "UDP" ? Transport::udp : Transport::tcp;
    const auto number = [&](const char* name) {
      const auto text = element(request, name);
      unsigned long parsed = 0;
      std::from_chars(text.data(), text.data() + text.size(), parsed);
      return parsed;
    };
    Key key{transport, static_cast<std::uint16_t>(number("NewExternalPort"))};
    if (adds) {
      if (does.upnp_error != 0 && does.upnp_errors-- > 0) return fault(does.upnp_error);
      const auto lease = static_cast<std::uint32_t>(number("NewLeaseDuration"));
      if (does.knows_only_permanent && lease != 0) return fault(725);
      const Endpoint internal{*IpAddress::parse(element(request, "NewInternalClient")),
                              static_cast<std::uint16_t>(number("NewInternalPort"))};
      if (internal.ip != from) return fault(606);
      if (table.contains(key) && table[key].internal != internal) return fault(718);
      if (!does.forgets_upnp) table[key] = {internal, pcp::Nonce{}, lease};
      if (!does.does_nothing && !does.forgets_upnp) forward_(key, internal);
      return {"200 OK", "<a></a>"};
    }
    if (lists) {
      const auto index = number("NewPortMappingIndex");
      if (index >= table.size()) return fault(713);
      key = std::next(table.begin(), static_cast<std::ptrdiff_t>(index))->first;
    }
    if (!table.contains(key)) return fault(714);
    if (removes) {
      forward_(key, std::nullopt);
      table.erase(key);
      return {"200 OK", "<a></a>"};
    }
    const auto& entry = table[key];
    return {"200 OK",
            "<a><NewInternalClient>" + entry.internal.ip.to_string() +
                "</NewInternalClient><NewInternalPort>" + std::to_string(entry.internal.port) +
                "</NewInternalPort><NewExternalPort>" + std::to_string(key.second) +
                "</NewExternalPort><NewProtocol>" + (key.first == Transport::udp ? "UDP" : "TCP") +
                "</NewProtocol><NewLeaseDuration>" + std::to_string(entry.lifetime_seconds) +
                "</NewLeaseDuration><NewPortMappingDescription>x</NewPortMappingDescription></a>"};
  }

  Forward forward_;
  TimePoint booted_{};
  std::uint8_t moves_ = 0;
  std::uint32_t epoch_ahead_ = 0;
  std::unique_ptr<UdpSocket> control_;
  std::unique_ptr<UdpSocket> ssdp_;
  std::unique_ptr<TcpListener> http_;
  TaskGroup tasks_;
};

}  // namespace pyrsia::portmap
