#include "nat/portmap/upnp_wire.hpp"

#include "base/printable.hpp"

#include <miniupnpc/miniupnpc.h>
// Not before: they use its types.
#include <miniupnpc/igd_desc_parse.h>
#include <miniupnpc/upnpreplyparse.h>

#include <algorithm>
#include <array>
#include <memory>

namespace pyrsia::portmap::upnp {
namespace {

constexpr std::size_t kMaxValues = 64;
constexpr std::size_t kMaxNameBytes = 64;

constexpr std::array<std::string_view, 4> kTargets{
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1"};

bool equal_without_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// What an URL may hold here: nothing that could end a line of a request.
bool is_plain_url(std::string_view url) {
  return !url.empty() && url.size() <= kMaxUrlBytes && url.starts_with("http://") &&
         std::ranges::all_of(url, [](char c) { return c > ' ' && c < 0x7f; });
}

/// A type goes into a header and into XML: nothing that could end either.
bool is_plain_type(std::string_view type) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' ||
           c == '.' || c == '_' || c == '-';
  };
  return !type.empty() && std::ranges::all_of(type, is_plain);
}

struct Urls {
  UPNPUrls urls{};
  Urls() = default;
  ~Urls() { FreeUPNPUrls(&urls); }
  Urls(const Urls&) = delete;
  Urls& operator=(const Urls&) = delete;
};

std::string text_of(const char* text) {
  return text ? text : "";
}

std::string text_in(std::span<const char> field) {
  return std::string(field.begin(), std::ranges::find(field, '\0'));
}

/// The service if it can be used: whoever describes itself speaks for itself only.
std::optional<Service> service_of(const IGDdatas_service& raw, const char* control_url,
                                  const IpAddress& host) {
  Service service{text_in(raw.servicetype), text_of(control_url)};
  if (!is_plain_type(service.type) || !is_plain_url(service.control_url)) return std::nullopt;
  if (host_of(service.control_url) != host) return std::nullopt;
  return service;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

/// What the first element of this name holds; no attributes, no children. Empty: there is none.
std::string first_text(std::string_view xml, const std::string& element) {
  const auto open = "<" + element + ">";
  const auto begin = xml.find(open);
  if (begin == xml.npos) return "";
  const auto rest = xml.substr(begin + open.size());
  const auto end = rest.find('<');
  if (end == rest.npos) return "";
  return printable(std::string(rest.substr(0, std::min(end, kMaxNameBytes))));
}

}  // namespace

std::span<const std::string_view> search_targets() {
  return kTargets;
}

std::string search_message(std::string_view target, bool is_v6) {
  const std::string group = is_v6 ? "[FF02::C]:1900" : "239.255.255.250:1900";
  return "M-SEARCH * HTTP/1.1\r\nHOST: " + group + "\r\nST: " + std::string(target) +
         "\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n\r\n";
}

Result<std::string> read_search_answer(BytesView bytes) {
  if (bytes.size() > kMaxSsdpBytes) return Errc::too_large;
  auto text = as_text(bytes);
  const auto status = text.substr(0, text.find('\n'));
  if (!status.starts_with("HTTP/1.") || status.find(" 200") == status.npos)
    return Errc::not_supported;
  std::string location;
  bool is_gateway = false;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    const auto colon = line.find(':');
    if (colon == line.npos) continue;
    const auto key = trim(line.substr(0, colon));
    const auto value = trim(line.substr(colon + 1));
    if (equal_without_case(key, "location")) location = value;
    if (equal_without_case(key, "st"))
      is_gateway = value.find(":InternetGatewayDevice:") != value.npos ||
                   value.find(":WANIPConnection:") != value.npos ||
                   value.find(":WANPPPConnection:") != value.npos;
  }
  if (!is_gateway) return Errc::not_supported;
  if (!is_plain_url(location) || !host_of(location)) return Errc::malformed;
  return location;
}

std::optional<IpAddress> host_of(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return std::nullopt;
  url.remove_prefix(kScheme.size());
  const auto authority = url.substr(0, url.find_first_of("/?#"));
  if (authority.find('@') != authority.npos) return std::nullopt;
  std::string_view host;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == authority.npos) return std::nullopt;
    host = authority.substr(1, end - 1);
  } else {
    host = authority.substr(0, authority.find(':'));
  }
  const auto ip = IpAddress::parse(host);
  if (!ip) return std::nullopt;
  return *ip;
}

Result<Description> read_description(std::string_view xml, const std::string& url) {
  if (xml.size() > kMaxDescriptionBytes) return Errc::too_large;
  const auto host = host_of(url);
  if (!host || !is_plain_url(url)) return Errc::malformed;
  IGDdatas data{};
  const std::string whole(xml);
  parserootdesc(whole.c_str(), static_cast<int>(whole.size()), &data);
  Description out;
  for (const auto& raw : {data.first, data.second}) {
    Urls urls;
    data.first = raw;
    GetUPNPUrls(&urls.urls, &data, url.c_str(), 0);
    if (auto service = service_of(raw, urls.urls.controlURL, *host))
      out.connections.push_back(*std::move(service));
    if (!out.firewall) out.firewall = service_of(data.IPv6FC, urls.urls.controlURL_6FC, *host);
  }
  if (out.connections.empty() && !out.firewall) return Errc::malformed;
  out.name = first_text(xml, "friendlyName");
  return out;
}

std::string write_call(const Service& service, std::string_view action,
                       const Arguments& arguments) {
  const std::string name(action);
  std::string out =
      "<?xml version=\"1.0\"?>\r\n"
      "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
      "s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body><u:" +
      name + " xmlns:u=\"" + escaped(service.type) + "\">";
  for (const auto& [key, value] : arguments)
    out += "<" + std::string(key) + ">" + escaped(value) + "</" + std::string(key) + ">";
  return out + "</u:" + name + "></s:Body></s:Envelope>\r\n";
}

Result<std::map<std::string, std::string>> read_answer(std::string_view xml) {
  if (xml.size() > kMaxAnswerBytes) return Errc::too_large;
  NameValueParserData data{};
  const std::string whole(xml);
  ParseNameValue(whole.c_str(), static_cast<int>(whole.size()), &data);
  const std::unique_ptr<NameValueParserData, decltype(&ClearNameValueList)> owner(
      &data, ClearNameValueList);
  std::map<std::string, std::string> out;
  for (const auto* each = data.l_head; each && out.size() < kMaxValues; each = each->l_next)
    out.insert_or_assign(text_in(each->name), text_in(each->value));
  return out;
}

std::string_view meaning(int code) {
  switch (code) {
    case 401: return "the router does not know this action";
    case 402: return "the router does not like an argument";
    case 501: return "the router could not do it; its table may be full";
    case 606: return "the router is set not to let this machine open ports";
    case 701: return "the router has no room for pinholes";
    case 702: return "the router's IPv6 firewall is off: nothing to open";
    case 703: return "the router is set not to allow pinholes";
    case 705: return "the router opens no pinholes for this kind of port";
    case 713: return "the list ends before that";
    case 714: return "there is no such mapping";
    case 718: return "the outside port is another's";
    case 724: return "inside and outside port must be the same";
    case 725: return "the router only knows mappings without an end";
    case 728: return "the router has no room for mappings";
    case 729: return "the mapping is in the way of another of the router's doings";
    default: return "an error of the router's own";
  }
}

Errc error_of(int code) {
  switch (code) {
    case 401:
    case 602:
    case 705: return Errc::not_supported;
    case 606:
    case 702:
    case 703: return Errc::refused;
    case 402: return Errc::protocol_violation;
    case 713:
    case 714:
    case 704: return Errc::not_found;
    default: return Errc::unavailable;
  }
}

}  // namespace pyrsia::portmap::upnp
