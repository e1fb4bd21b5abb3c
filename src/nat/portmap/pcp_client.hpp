#pragma once

#include "nat/portmap/client.hpp"
#include "nat/portmap/pcp_wire.hpp"

#include <memory>

namespace pyrsia::portmap::pcp {

/// PCP with one server. Spec: RFC 6887. Owned by whoever asks.
class PcpClient final : public Client {
 public:
  /// One nonce for all that is asked of one server: section 11.2 leaves the choice. Whoever wants
  /// to renew or take away a mapping later, after a restart of the program, keeps the nonce.
  PcpClient(const Context& context, const Route& route, const Nonce& nonce,
            const Retransmission& plan)
      : context_(context), route_(route), nonce_(nonce), plan_(plan) {}

  Method method() const override { return Method::pcp; }
  Task<Presence> discover(std::string& detail) override;
  Task<Grant> map(const MapRequest& request, std::optional<Grant> before,
                  std::string& detail) override;
  Task<> unmap(const MapRequest& request, const Grant& granted, std::string& detail) override;
  Task<std::vector<ListedMapping>> list(std::string& detail) override;
  Outside outside() const override { return outside_; }
  std::optional<EpochSample> epoch() const override { return epoch_; }

  /// Keeps the mapping of one outgoing connection alive, and learns it. Section 12.
  Task<Grant> peer(const MapRequest& request, Endpoint remote, std::string& detail);
  /// Section 13.1: maps for another machine, if the server lets us. Off unless it is called.
  void act_for(const IpAddress& third_party) { third_party_ = third_party; }

 private:
  Request request_for(const MapRequest& request, Opcode opcode) const;
  Task<Response> exchange(const Request& request, std::string& detail);
  Errc refused(ResultCode result, std::string& detail);
  Task<Grant> map(Request request, std::string& detail);

  const Context& context_;
  Route route_;
  Nonce nonce_;
  Retransmission plan_;
  std::optional<IpAddress> third_party_;
  Outside outside_;
  std::optional<EpochSample> epoch_;
};

/// True if `response` answers `request`: section 8.3 and 11.4.
bool answers(const Response& response, const Request& request);

}  // namespace pyrsia::portmap::pcp
