#include "nat/portmap/upnp_client.hpp"

#include "base/printable.hpp"
#include "runtime/beside.hpp"
#include "runtime/event.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>

namespace pyrsia::portmap::upnp {
namespace {

/// Descriptions of one machine that are looked at: our limit, one for each search target.
constexpr std::size_t kMaxUrls = 4;
/// fe80::/10
const IpAddress kLinkLocal = IpAddress::v6({0xfe, 0x80});

std::string upper_name(Transport transport) {
  return transport == Transport::tcp ? "TCP" : "UDP";
}

std::string value_in(const std::map<std::string, std::string>& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? "" : found->second;
}

template <class T>
T number_in(const std::map<std::string, std::string>& values, const std::string& key) {
  const auto text = value_in(values, key);
  T number{};
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// " NewExternalPort=44000 NewProtocol=TCP", for the trace.
template <class Pairs>
std::string words_of(const Pairs& pairs) {
  std::string out;
  for (const auto& [key, value] : pairs)
    out += " " + printable(std::string(key)) + "=" + printable(value);
  return out;
}

std::string lifetime_text(Duration lifetime) {
  using std::chrono::duration_cast, std::chrono::seconds;
  return std::to_string(duration_cast<seconds>(std::min(lifetime, kMaxLifetime)).count());
}

}  // namespace

/// For one machine that answers the search, and what came of looking at it.
struct UpnpClient::Place {
  explicit Place(const asio::any_io_executor& executor) : answered(executor) {}
  IpAddress ip;
  std::vector<std::string> urls;  ///< Where it describes itself. None: the place is free.
  std::optional<Device> device;   ///< The best that it describes.
  Event answered;
};

struct UpnpClient::Search {
  Search(Env& env, UdpSocket& from, std::string& why)
      : socket(from), detail(why), progress(env.executor()) {}
  UdpSocket& socket;
  std::string& detail;
  std::deque<Place> places;  ///< The first is kept for the router.
  Error failure;
  Event progress;
};

Task<> UpnpClient::ask_everybody(UdpSocket& socket) {
  // The router itself as well: where multicast does not pass, this still does.
  std::vector<Endpoint> whom{{route_.server, config_.ssdp_port}};
  if (config_.asks_everybody)
    whom.push_back({is_v6() ? kSsdpGroupV6 : kSsdpGroup, config_.ssdp_port});
  bool was_sent = false;
  Error last = Errc::unreachable;
  for (const auto& to : whom) {
    for (const auto target : search_targets()) {
      const auto message = search_message(target, is_v6());
      const auto sent = socket.send(to, as_bytes(message));
      context_.say("to " + to.to_string() + ": SSDP M-SEARCH " + std::string(target) +
                   (sent ? "" : ", not sent: " + sent.error().message()));
      context_.metrics.requests_sent.add();
      was_sent = was_sent || sent.has_value();
      if (!sent) last = sent.error();
    }
  }
  if (!was_sent) co_return last;
  co_return ok;
}

Task<> UpnpClient::ask_again(Search& search) {
  for (Duration wait{0};;) {
    const auto asked = co_await ask_everybody(search.socket);
    if (!asked) {
      search.failure = asked.error();
      search.progress.notify();
      co_return asked.error();
    }
    wait = next_wait(wait, plan_, context_.env.random_below(201));
    PYRSIA_CO_TRY(co_await context_.env.sleep_for(wait));
  }
}

Task<> UpnpClient::take_answers(Search& search) {
  std::array<std::uint8_t, kMaxSsdpBytes + 1> buffer;
  for (;;) {
    const auto datagram = co_await search.socket.receive(buffer);
    if (!datagram) {
      search.failure = datagram.error();
      search.progress.notify();
      co_return datagram.error();
    }
    const auto bytes = BytesView(buffer).first(std::min(datagram->size, buffer.size()));
    const auto url = read_search_answer(bytes);
    const auto host = url ? host_of(*url) : std::nullopt;
    if (!host || !may_describe(*host, datagram->from.ip)) {
      context_.metrics.answers_discarded.add();
      context_.say("from " + datagram->from.to_string() + ": not a gateway of its own address");
      continue;
    }
    const bool is_new = take_answer(search, *url, datagram->from.ip);
    context_.say("from " + datagram->from.to_string() + ": an Internet gateway, at " + *url +
                 (is_new ? "" : ", passed over: known, or one too many"));
    if (is_new) context_.metrics.answers.add();
  }
}

bool UpnpClient::take_answer(Search& search, const std::string& url, const IpAddress& from) const {
  auto place = std::ranges::find(search.places, from, &Place::ip);
  if (place == search.places.end())
    place = std::ranges::find_if(search.places, [&](const Place& each) {
      return each.urls.empty() && each.ip != route_.server;
    });
  if (place == search.places.end() || place->urls.size() >= kMaxUrls) return false;
  if (std::ranges::find(place->urls, url) != place->urls.end()) return false;
  place->ip = from;
  place->urls.push_back(url);
  place->answered.notify();
  return true;
}

bool UpnpClient::may_describe(const IpAddress& host, const IpAddress& from) const {
  if (host == from) return true;
  constexpr unsigned kLinkBits = 64;
  const auto is_on_link = [&](const IpAddress& ip) {
    return ip.is_v6() && (ip.is_in(kLinkLocal, 10) || ip.is_in(route_.local, kLinkBits));
  };
  return is_v6() && is_on_link(host) && is_on_link(from);
}

bool UpnpClient::is_usable(const Device& device) const {
  if (is_v6()) return device.firewall.has_value();
  return device.is_connected || !device.connection;
}

Task<UpnpClient::Device> UpnpClient::look_at(std::string url, IpAddress ip, std::string& detail) {
  PYRSIA_CO_TRY(const auto page, co_await fetch(url, kMaxDescriptionBytes, detail));
  const auto description = read_description(page.body, url);
  if (!description) {
    detail = ip.to_string() + " answers the search, but describes no gateway";
    context_.say(detail);
    co_return description.error();
  }
  Device device;
  device.ip = ip;
  device.name = description->name;
  device.firewall = description->firewall;
  if (is_v6()) co_return device;  // Pinholes do not depend on how IPv4 is.
  for (const auto& connection : description->connections) {
    device.connection = connection;
    PYRSIA_CO_TRY(co_await ask_state(device, detail));
    if (device.is_connected) break;
  }
  co_return device;
}

Task<> UpnpClient::ask_state(Device& device, std::string& detail) {
  const Arguments none;
  const auto connection = *device.connection;
  int code = 0;
  const auto status = co_await call(connection, "GetStatusInfo", none, detail, &code);
  // Who does not know the question is not disconnected for that.
  if (!status && code == 0) co_return status.error();
  device.is_connected = !status || value_in(*status, "NewConnectionStatus") == "Connected";
  const auto address = co_await call(connection, "GetExternalIPAddress", none, detail, &code);
  if (!address && code == 0) co_return address.error();
  if (!address) co_return ok;
  if (const auto ip = IpAddress::parse(value_in(*address, "NewExternalIPAddress")))
    device.external = *ip;
  co_return ok;
}

Task<> UpnpClient::look_at_all(Search& search, Place& place) {
  for (std::size_t i = 0; i < kMaxUrls; ++i) {
    while (i == place.urls.size()) PYRSIA_CO_TRY(co_await place.answered.wait());
    const auto url = place.urls[i];
    std::string why;
    auto looking = look_at(url, place.ip, why);
    auto found = co_await std::move(looking);
    if (!found && found.error() == Errc::cancelled) co_return found.error();
    const bool is_router = place.ip == route_.server;
    // Another may do; of all failures that of the router is what is told.
    if (!found && (is_router || search.detail.empty())) search.detail = why;
    if (!found) continue;
    if (is_router) note_outside(*found, search.detail);
    if (!place.device || (is_usable(*found) && !is_usable(*place.device)))
      place.device = *std::move(found);
    search.progress.notify();
    if (is_usable(*place.device)) break;  // There is no better one.
  }
  co_return ok;
}

Task<> UpnpClient::look_for_devices(Search& search) {
  std::vector<Task<>> tasks;
  tasks.push_back(ask_again(search));
  tasks.push_back(take_answers(search));
  for (auto& place : search.places) tasks.push_back(look_at_all(search, place));
  co_await run_all(context_.env, std::move(tasks));
  co_return ok;
}

Task<UpnpClient::Device> UpnpClient::choose(Search& search) {
  const auto give_up_on_router = context_.env.now() + config_.preference;
  for (;;) {
    if (search.failure) co_return search.failure;
    const auto& router = search.places.front().device;
    if (router && is_usable(*router)) co_return *router;
    const auto left = give_up_on_router - context_.env.now();
    const Device* best = nullptr;
    for (const auto& place : search.places)
      if (place.device && (!best || (is_usable(*place.device) && !is_usable(*best))))
        best = &*place.device;
    if (best && left <= Duration(0)) co_return *best;
    auto waiting = search.progress.wait();
    if (left <= Duration(0)) {
      PYRSIA_CO_TRY(co_await std::move(waiting));
      continue;
    }
    const auto woken = co_await with_timeout(context_.env, left, std::move(waiting));
    if (!woken && woken.error() != Errc::timed_out) co_return woken.error();
  }
}

Task<UpnpClient::Device> UpnpClient::find_device(UdpSocket& socket, std::string& detail) {
  Search search(context_.env, socket, detail);
  for (std::size_t i = 0; i < std::max<std::size_t>(config_.max_devices, 1); ++i)
    search.places.emplace_back(context_.env.executor());
  search.places.front().ip = route_.server;
  auto choosing = choose(search);
  auto looking = look_for_devices(search);
  co_return co_await with_beside(context_.env, std::move(choosing), std::move(looking));
}

/// At once: what comes later may be cut off.
void UpnpClient::note_outside(const Device& device, std::string& detail) {
  outside_.ip = device.external;
  outside_.is_missing = device.connection && !device.is_connected;
  if (outside_.is_missing)
    detail = "the router at " + device.ip.to_string() + " says that it is not connected";
}

Task<Presence> UpnpClient::discover(std::string& detail) {
  const Endpoint local{route_.local, 0};
  PYRSIA_CO_TRY(const auto socket, context_.env.udp_bind(local));
  device_.reset();
  PYRSIA_CO_TRY(auto found, co_await find_device(*socket, detail));
  device_ = std::move(found);
  note_outside(*device_, detail);
  if (is_v6() && !device_->firewall) {
    detail = "the router at " + device_->ip.to_string() + " has no service for IPv6 pinholes";
    co_return Errc::not_supported;
  }
  if (outside_.is_missing) co_return Errc::unavailable;
  detail.clear();
  Presence presence;
  presence.external = device_->external;
  presence.name = device_->name;
  presence.words = "UPnP at " + device_->ip.to_string();
  if (device_->external) presence.words += ", outside address " + device_->external->to_string();
  co_return presence;
}

Task<HttpResponse> UpnpClient::fetch(std::string url, std::size_t max_bytes, std::string& detail) {
  HttpRequest request;
  request.url = url;
  request.timeout = config_.device_timeout;
  request.max_body_bytes = max_bytes;
  request.max_redirects = 0;
  request.is_direct = true;
  request.local = route_.local;
  context_.metrics.requests_sent.add();
  context_.say("to " + url + ": HTTP GET, how does it describe itself?");
  std::string why;
  auto getting = context_.env.http_get(std::move(request), &why);
  auto page = co_await std::move(getting);
  if (!page) {
    detail = url + ": " + (why.empty() ? page.error().message() : why);
    context_.say(detail);
    co_return page.error();
  }
  const auto status = "HTTP status " + std::to_string(page->status);
  context_.say("from " + url + ": " + status + ", " + std::to_string(page->body.size()) + " bytes");
  if (page->status == 200) co_return page;
  detail = url + ": " + status;
  co_return Errc::protocol_violation;
}

Task<UpnpClient::Values> UpnpClient::call(Service service, std::string_view action,
                                          Arguments arguments, std::string& detail, int* code) {
  HttpRequest request;
  request.url = service.control_url;
  request.timeout = config_.device_timeout;
  request.max_body_bytes = kMaxAnswerBytes;
  request.is_direct = true;
  request.local = route_.local;
  request.headers = {"Content-Type: text/xml; charset=\"utf-8\"",
                     "SOAPAction: \"" + service.type + "#" + std::string(action) + "\""};
  request.body = write_call(service, action, arguments);
  const std::string name(action);
  context_.metrics.requests_sent.add();
  context_.say("to " + service.control_url + ": UPnP " + name + words_of(arguments));
  std::string why;
  auto posting = context_.env.http_post(std::move(request), &why);
  const auto page = co_await std::move(posting);
  if (!page) {
    detail = name + ": " + (why.empty() ? page.error().message() : why);
    context_.say(detail);
    co_return page.error();
  }
  PYRSIA_CO_TRY(auto values, read_answer(page->body));
  if (page->status == 200) {
    context_.say("from " + service.control_url + ": UPnP " + name + " done" + words_of(values));
    co_return values;
  }
  const auto number = number_in<int>(values, "errorCode");
  if (code) *code = number;
  context_.metrics.refusals.add();
  detail = name + ": error " + std::to_string(number) + ", " + std::string(meaning(number));
  context_.say("from " + service.control_url + ": " + detail);
  if (number == 0) co_return Errc::protocol_violation;
  co_return error_of(number);
}

Task<Grant> UpnpClient::map(const MapRequest& request, std::optional<Grant> before,
                            std::string& detail) {
  if (!device_) PYRSIA_CO_TRY(co_await discover(detail));
  if (request.internal.ip.is_v6()) co_return co_await open_pinhole(request, before, detail);
  co_return co_await map_v4(request, before, detail);
}

Task<Grant> UpnpClient::add_mapping(const MapRequest& request, Grant grant, std::string& detail,
                                    int& code) {
  const auto connection = *device_->connection;
  const bool any = connection.type.ends_with("WANIPConnection:2");
  const Arguments arguments{{"NewRemoteHost", ""},
                            {"NewExternalPort", std::to_string(grant.external.port)},
                            {"NewProtocol", upper_name(request.transport)},
                            {"NewInternalPort", std::to_string(request.internal.port)},
                            {"NewInternalClient", request.internal.ip.to_string()},
                            {"NewEnabled", "1"},
                            {"NewPortMappingDescription", config_.description},
                            {"NewLeaseDuration", lifetime_text(grant.lifetime)}};
  const auto* const action = any ? "AddAnyPortMapping" : "AddPortMapping";
  PYRSIA_CO_TRY(const auto values, co_await call(connection, action, arguments, detail, &code));
  if (any) grant.external.port = number_in<std::uint16_t>(values, "NewReservedPort");
  if (grant.external.port != 0) co_return grant;
  detail = "the router says yes, but to port 0";
  co_return Errc::protocol_violation;
}

Task<Grant> UpnpClient::map_v4(const MapRequest& request, std::optional<Grant> before,
                               std::string& detail) {
  if (!device_->connection) {
    detail = "the router has no service for IPv4 mappings";
    co_return Errc::not_supported;
  }
  Grant wanted;
  wanted.lifetime = before && before->lifetime == Duration(0) ? Duration(0) : request.lifetime;
  wanted.external.port = before                        ? before->external.port
                         : request.suggested.port != 0 ? request.suggested.port
                                                       : request.internal.port;
  for (int tries = 0;; ++tries) {
    int code = 0;
    auto grant = co_await add_mapping(request, wanted, detail, code);
    if (grant) {
      PYRSIA_CO_TRY(co_await check_mapping(request, *grant, detail));
      const Arguments none;
      auto connection = *device_->connection;
      PYRSIA_CO_TRY(const auto address,
                    co_await call(connection, "GetExternalIPAddress", none, detail, nullptr));
      if (const auto ip = IpAddress::parse(value_in(address, "NewExternalIPAddress")))
        grant->external.ip = *ip;
      co_return grant;
    }
    if (tries >= config_.port_tries) co_return grant.error();
    // 402 and 501: how some old routers say that they know no leases, or that the port is taken.
    if (code == 725 || (code == 402 && wanted.lifetime > Duration(0))) {
      wanted.lifetime = Duration(0);
    } else if (code == 724) {
      wanted.external.port = request.internal.port;
    } else if (code == 718 || code == 729 || code == 501) {
      const auto drawn = context_.env.random_below(55536);
      wanted.external.port = static_cast<std::uint16_t>(10000 + drawn);
    } else {
      co_return grant.error();
    }
  }
}

Task<> UpnpClient::check_mapping(const MapRequest& request, const Grant& grant,
                                 std::string& detail) {
  const Arguments arguments{{"NewRemoteHost", ""},
                            {"NewExternalPort", std::to_string(grant.external.port)},
                            {"NewProtocol", upper_name(request.transport)}};
  auto connection = *device_->connection;
  int code = 0;
  std::string why;
  auto calling = call(connection, "GetSpecificPortMappingEntry", arguments, why, &code);
  const auto entry = co_await std::move(calling);
  if (!entry && code == 714) {
    detail = "the router says yes, but then does not have the mapping";
    co_return Errc::protocol_violation;
  }
  // Who does not know the question may be right all the same: the dial-back decides.
  if (!entry && code != 0) co_return ok;
  if (!entry) {
    detail = why;
    co_return entry.error();
  }
  const auto client = value_in(*entry, "NewInternalClient");
  const auto port = number_in<std::uint16_t>(*entry, "NewInternalPort");
  const bool is_ours = client == request.internal.ip.to_string() && port == request.internal.port;
  if (is_ours || client.empty()) co_return ok;
  detail = "the router says yes, but gives the port to " + printable(client) + ":" +
           std::to_string(port);
  co_return Errc::protocol_violation;
}

Task<Grant> UpnpClient::open_pinhole(const MapRequest& request, std::optional<Grant> before,
                                     std::string& detail) {
  if (!device_->firewall) {
    detail = "the router has no service for IPv6 pinholes";
    co_return Errc::not_supported;
  }
  const auto firewall = *device_->firewall;
  Grant grant;
  grant.external = request.internal;
  grant.lifetime = request.lifetime;
  if (before) {
    const Arguments arguments{{"UniqueID", std::to_string(before->pinhole_id)},
                              {"NewLeaseTime", lifetime_text(request.lifetime)}};
    const auto renewed = co_await call(firewall, "UpdatePinhole", arguments, detail, nullptr);
    grant.pinhole_id = before->pinhole_id;
    if (renewed) co_return grant;
    if (renewed.error() != Errc::not_found) co_return renewed.error();
  }
  const Arguments arguments{{"RemoteHost", ""},
                            {"RemotePort", "0"},
                            {"InternalClient", request.internal.ip.to_string()},
                            {"InternalPort", std::to_string(request.internal.port)},
                            {"Protocol", std::to_string(static_cast<int>(request.transport))},
                            {"LeaseTime", lifetime_text(request.lifetime)}};
  PYRSIA_CO_TRY(const auto values,
                co_await call(firewall, "AddPinhole", arguments, detail, nullptr));
  grant.pinhole_id = number_in<std::uint16_t>(values, "UniqueID");
  co_return grant;
}

Task<> UpnpClient::unmap(const MapRequest& request, const Grant& granted, std::string& detail) {
  if (!device_) PYRSIA_CO_TRY(co_await discover(detail));
  const bool is_pinhole = request.internal.ip.is_v6();
  const auto& service = is_pinhole ? device_->firewall : device_->connection;
  if (!service) co_return Errc::not_supported;
  Arguments arguments;
  if (is_pinhole) {
    arguments.emplace_back("UniqueID", std::to_string(granted.pinhole_id));
  } else {
    arguments.emplace_back("NewRemoteHost", "");
    arguments.emplace_back("NewExternalPort", std::to_string(granted.external.port));
    arguments.emplace_back("NewProtocol", upper_name(request.transport));
  }
  const auto* const action = is_pinhole ? "DeletePinhole" : "DeletePortMapping";
  auto target = *service;
  PYRSIA_CO_TRY(co_await call(target, action, arguments, detail, nullptr));
  co_return ok;
}

Task<std::vector<ListedMapping>> UpnpClient::list(std::string& detail) {
  if (!device_) PYRSIA_CO_TRY(co_await discover(detail));
  if (!device_->connection) {
    detail = is_v6() ? "UPnP cannot list IPv6 pinholes" : "the router has no service for mappings";
    co_return Errc::not_supported;
  }
  std::vector<ListedMapping> out;
  const auto connection = *device_->connection;
  for (std::size_t i = 0; i < config_.max_listed; ++i) {
    const Arguments arguments{{"NewPortMappingIndex", std::to_string(i)}};
    int code = 0;
    auto entry = co_await call(connection, "GetGenericPortMappingEntry", arguments, detail, &code);
    if (!entry && code != 0) break;  // 713 after the last; others mean as much.
    if (!entry) co_return entry.error();
    ListedMapping mapping;
    mapping.transport = value_in(*entry, "NewProtocol") == "UDP" ? Transport::udp : Transport::tcp;
    if (const auto ip = IpAddress::parse(value_in(*entry, "NewInternalClient")))
      mapping.internal.ip = *ip;
    mapping.internal.port = number_in<std::uint16_t>(*entry, "NewInternalPort");
    mapping.external_port = number_in<std::uint16_t>(*entry, "NewExternalPort");
    mapping.lifetime = std::chrono::seconds(number_in<std::uint32_t>(*entry, "NewLeaseDuration"));
    mapping.description = printable(value_in(*entry, "NewPortMappingDescription"));
    out.push_back(std::move(mapping));
  }
  detail.clear();
  co_return out;
}

}  // namespace pyrsia::portmap::upnp
