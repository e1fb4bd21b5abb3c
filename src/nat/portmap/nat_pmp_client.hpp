#pragma once

#include "nat/portmap/client.hpp"
#include "nat/portmap/nat_pmp_wire.hpp"

namespace pyrsia::portmap::nat_pmp {

/// NAT-PMP with one router. IPv4 only. Spec: RFC 6886. Owned by whoever asks.
class NatPmpClient final : public Client {
 public:
  NatPmpClient(const Context& context, const Route& route, const Retransmission& plan)
      : context_(context), route_(route), plan_(plan) {}

  Method method() const override { return Method::nat_pmp; }
  Task<Presence> discover(std::string& detail) override;
  Task<Grant> map(const MapRequest& request, std::optional<Grant> before,
                  std::string& detail) override;
  Task<> unmap(const MapRequest& request, const Grant& granted, std::string& detail) override;
  Task<std::vector<ListedMapping>> list(std::string& detail) override;
  Outside outside() const override { return outside_; }
  std::optional<EpochSample> epoch() const override { return epoch_; }

 private:
  Task<Response> exchange(const Request& request, std::string& detail);

  const Context& context_;
  Route route_;
  Retransmission plan_;
  Outside outside_;
  std::optional<EpochSample> epoch_;
};

/// True if `response` answers `request`.
bool answers(const Response& response, const Request& request);

}  // namespace pyrsia::portmap::nat_pmp
