#pragma once

#include "nat/portmap/client.hpp"
#include "nat/portmap/upnp_wire.hpp"

namespace pyrsia::portmap::upnp {

struct UpnpConfig {
  Duration device_timeout = std::chrono::seconds(1);  ///< One HTTP exchange.
  /// How long the router of the default route has before another device may stand in for it.
  Duration preference = std::chrono::seconds(1);
  std::uint16_t ssdp_port = kSsdpPort;
  bool asks_everybody = true;   ///< By multicast; else the router of the route only.
  std::size_t max_devices = 8;  ///< That are looked at in one search, one of them the router.
  std::size_t max_listed = 128;
  int port_tries = 4;                  ///< Outside ports tried where others have them.
  std::string description = "pyrsia";  ///< How our mappings are called in the router's list.
};

/// UPnP with one router: mappings of IPv4, pinholes of IPv6. Over which family it is spoken is the
/// route's: who asks for a pinhole over IPv6 asks for his own address, which routers want to see
/// (WANIPv6FirewallControl, 2.4.4); over IPv4 they may refuse. The bytes are ours, on the Env, so
/// that a slow or endless answer ends when we say; miniupnpc reads the XML. Only addresses of the
/// device that answered are ever asked. Owned by whoever asks.
class UpnpClient final : public Client {
 public:
  UpnpClient(const Context& context, const Route& route, UpnpConfig config,
             const Retransmission& plan)
      : context_(context), route_(route), config_(std::move(config)), plan_(plan) {}

  Method method() const override { return Method::upnp; }
  Task<Presence> discover(std::string& detail) override;
  /// An IPv6 address inside asks for a pinhole.
  Task<Grant> map(const MapRequest& request, std::optional<Grant> before,
                  std::string& detail) override;
  Task<> unmap(const MapRequest& request, const Grant& granted, std::string& detail) override;
  Task<std::vector<ListedMapping>> list(std::string& detail) override;
  Outside outside() const override { return outside_; }
  std::optional<EpochSample> epoch() const override { return std::nullopt; }

 private:
  using Values = std::map<std::string, std::string>;
  struct Device {
    IpAddress ip;
    std::string name;
    std::optional<Service> connection;
    std::optional<Service> firewall;
    std::optional<IpAddress> external;
    bool is_connected = false;
  };

  struct Place;
  struct Search;

  /// Searches until the router answers, or, for want of it, another device. Who answers is looked
  /// at beside the others, so that none that stalls hides the router.
  Task<Device> find_device(UdpSocket& socket, std::string& detail);
  Task<Device> choose(Search& search);
  Task<> look_for_devices(Search& search);
  Task<> ask_again(Search& search);
  Task<> ask_everybody(UdpSocket& socket);
  Task<> take_answers(Search& search);
  /// False: it is known, or one too many.
  bool take_answer(Search& search, const std::string& url, const IpAddress& from) const;
  /// Looks at one machine: at one description after the other, as many routers serve one at a time.
  Task<> look_at_all(Search& search, Place& place);
  Task<Device> look_at(std::string url, IpAddress ip, std::string& detail);
  Task<> ask_state(Device& device, std::string& detail);
  void note_outside(const Device& device, std::string& detail);
  bool is_v6() const { return route_.local.is_v6(); }
  /// The router speaks for itself: by the address that it sends from, or, as over IPv6 it has
  /// several, by another one on our link.
  bool may_describe(const IpAddress& host, const IpAddress& from) const;
  /// It is what is asked for, and can do what we want of it.
  bool is_usable(const Device& device) const;
  Task<HttpResponse> fetch(std::string url, std::size_t max_bytes, std::string& detail);
  /// `code`, if given, gets UPnP's error code. Errors: as error_of() and of HTTP.
  Task<Values> call(Service service, std::string_view action, Arguments arguments,
                    std::string& detail, int* code);
  Task<Grant> add_mapping(const MapRequest& request, Grant grant, std::string& detail, int& code);
  Task<Grant> map_v4(const MapRequest& request, std::optional<Grant> before, std::string& detail);
  Task<Grant> open_pinhole(const MapRequest& request, std::optional<Grant> before,
                           std::string& detail);
  /// Routers have been seen that say yes and do nothing.
  Task<> check_mapping(const MapRequest& request, const Grant& grant, std::string& detail);

  const Context& context_;
  Route route_;
  UpnpConfig config_;
  Retransmission plan_;
  std::optional<Device> device_;
  Outside outside_;
};

}  // namespace pyrsia::portmap::upnp
