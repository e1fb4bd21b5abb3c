#pragma once

#include "nat/portmap/client.hpp"
#include "nat/portmap/pcp_wire.hpp"

#include <optional>
#include <vector>

namespace pyrsia::portmap::pcp {

/// The longest lifetime of an error that is believed: what RFC 6887, section 7.4 means by a long
/// one. Nobody silences us for longer.
inline constexpr Duration kMaxErrorLifetime = std::chrono::minutes(30);
/// When there are more, the one that ends first is forgotten.
inline constexpr std::size_t kMaxRefusals = 64;

/// What servers have refused, and for how long they said that they will: until then the same is not
/// asked again. Spec: RFC 6887, section 7.2. A plain state machine.
class Refusals {
 public:
  /// `response` refuses `request`, which maps or takes away. Its epoch is known at `sample`.
  void add(const IpAddress& server, const Request& request, const Response& response,
           const EpochSample& sample);
  /// What `server` would answer again.
  std::optional<ResultCode> of(const IpAddress& server, const Request& request,
                               TimePoint now) const;
  /// The clock in any answer: who has restarted may think otherwise.
  void heard(const IpAddress& server, const EpochSample& sample);
  /// Another network, perhaps.
  void clear() { refusals_.clear(); }

 private:
  /// What makes two requests the same: not what they suggest.
  struct Kind {
    IpAddress server;
    IpAddress client;
    Opcode opcode = Opcode::map;
    std::uint8_t protocol = 0;
    std::uint16_t internal_port = 0;
    std::optional<Endpoint> remote;
    std::optional<IpAddress> third_party;
    bool is_removal = false;

    bool operator==(const Kind&) const = default;
  };
  struct Refusal {
    Kind kind;
    ResultCode result = ResultCode::success;
    TimePoint until;
    EpochSample sample;
  };
  static Kind kind_of(const IpAddress& server, const Request& request);

  std::vector<Refusal> refusals_;
};

}  // namespace pyrsia::portmap::pcp
