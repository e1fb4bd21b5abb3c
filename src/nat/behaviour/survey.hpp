#pragma once

#include "nat/behaviour/gateway.hpp"
#include "nat/behaviour/hop_probe.hpp"
#include "nat/behaviour/prober.hpp"
#include "nat/behaviour/report.hpp"
#include "nat/stun/stream_client.hpp"
#include "runtime/env.hpp"
#include "runtime/task_group.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::nat {

class LifetimeProbe;

/// A STUN server over TLS.
struct TlsServer {
  Endpoint at;
  stun::Secure secure;  ///< Checks that it is who it should be.
};

struct SurveyConfig {
  std::vector<Endpoint> servers;       ///< STUN servers of both families.
  std::vector<TlsServer> tls_servers;  ///< One that answers is enough.
  /// Of servers that have no address here, or nobody says which. For the report.
  std::vector<std::string> unresolved = {};
  std::vector<std::string> status_urls;  ///< Of boot servers: what answers there is known.
  bool measures_lifetime = false;        ///< Minutes instead of two seconds.
  /// Ask the router, and have it open a port for a moment. Not where a node runs, who knows.
  bool asks_gateway = true;
  std::string advertised_nat64 = {};  ///< A prefix that is known from routers: nobody is asked.
  GatewayConfig gateway = {};
  HopConfig hops = {};
  /// The router is asked after the first datagrams of the hops: it tells of few that it refuses or
  /// that have expired, Linux of six. But it waits for them no longer than this.
  Duration hops_first = std::chrono::milliseconds(250);
  AddressClassifier classifier = AddressClassifier();
  ProberConfig prober;
  Duration tcp_limit = std::chrono::milliseconds(600);   ///< Of each connection.
  Duration tls_limit = std::chrono::milliseconds(1800);  ///< Of each, with its handshake.
  /// Of portal check and NAT64: where no resolver answers, a probe takes this long.
  Duration side_limit = std::chrono::milliseconds(1200);
};

/// Asks everybody at once and makes a Report of what they say. One run. The owner calls stop().
class Survey {
 public:
  Survey(Env& env, SurveyConfig config);
  Survey(const Survey&) = delete;
  Survey& operator=(const Survey&) = delete;
  ~Survey();

  /// Errors: `Errc::cancelled`, as Env::udp_bind().
  Task<Report> run();
  /// Errors: none.
  Task<> stop();

 private:
  Task<> look_for_portal(std::string url);
  Task<> look_for_nat64();
  Task<> look_over_v6();
  Task<> ask_gateway();
  Task<> trace_hops();
  Task<> ask_over_tls(TlsServer server);
  Task<> ask_over_tcp(Endpoint server, std::optional<Endpoint> other);
  Task<> probe_transports();
  Task<> measure_lifetime(Endpoint server, IpAddress any);
  void keep_v6(const UdpBehaviour& udp);
  /// Over TCP, where UDP may be blocked.
  Task<> ask_v6_over_tcp(Endpoint server);
  /// What the answers say together.
  void judge();
  void judge_v6();
  std::vector<Endpoint> servers_of(bool is_v6) const;

  Env& env_;
  SurveyConfig config_;
  Report report_;
  Error failure_;
  bool uses_v6_alone_ = false;  ///< Servers of IPv4 are out of reach, or there are none.
  bool needs_nat64_ = false;    ///< There are no others, and nothing else can lead to them.
  std::unique_ptr<Prober> prober_;
  std::unique_ptr<Prober> v6_prober_;
  std::unique_ptr<LifetimeProbe> lifetime_;
  std::unique_ptr<GatewayProbe> gateway_;
  std::unique_ptr<HopProbe> hops_;
  TaskGroup tasks_;
};

/// Is it a captive portal that answered for a boot server's /status? Nothing: cannot be said.
std::optional<bool> is_portal_answer(const HttpResponse& response);

}  // namespace pyrsia::nat
