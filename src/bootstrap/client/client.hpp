/// Finds peers to begin with: asks every configured URL for its status document, and remembers
/// the answers on disk. Spec: docs/protocols.md, "Status document".
#pragma once

#include "bootstrap/client/cache.hpp"
#include "bootstrap/client/ranking.hpp"
#include "multi/address_class.hpp"
#include "runtime/env.hpp"
#include "runtime/event.hpp"
#include "runtime/task_group.hpp"

#include <pyrsia/host_event.hpp>
#include <pyrsia/log.hpp>
#include <pyrsia/metrics.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pyrsia::bootstrap {

struct ClientConfig {
  std::vector<std::string> urls;                ///< All are asked, at the same time.
  Duration timeout = std::chrono::seconds(10);  ///< For one answer, redirects and body included.
  /// How long the other URLs are waited for once one has given a good answer. Those that answer
  /// later are used in the next round, and kept in the cache.
  Duration grace = std::chrono::milliseconds(500);
  Duration min_delay = std::chrono::seconds(1);  ///< Between two rounds.
  Duration max_delay = std::chrono::minutes(5);
  std::optional<std::filesystem::path> cache_file;
  Duration cache_lifetime = std::chrono::hours(24 * 7);
};

struct Metrics {
  Counter fetches;          ///< Requests to a URL.
  Counter failures;         ///< Of them without a usable document.
  Counter skipped_entries;  ///< Entries of used documents that could not be used.
  Counter cache_writes;
  Counter cache_failures;  ///< Reading or writing the cache file.
};

/// Owned by the host. One call of fetch() or cached() at a time.
class Client {
 public:
  using OnProgress = std::function<void(const BootstrapProgress& progress)>;
  using OnContact = std::function<void(const IpAddress& ip)>;

  /// `env`, `classifier`, `metrics` and the sink of `log` must outlive the client. `progress`
  /// may be empty; it hears stages fetching, found and failed, one clear line each.
  Client(Env& env, ClientConfig config, const AddressClassifier& classifier, PeerId self,
         Logger log, Metrics& metrics, OnProgress progress);

  /// `contact` hears whom the fetches have sent something to. Call it before the first.
  void set_on_contact(OnContact contact) { contact_ = std::move(contact); }

  /// One round: asks every URL and returns the peers of all answers, best first, never none.
  /// Ends a little (`grace`) after the first good answer. An HTTP status does not matter if the
  /// body is good. Errors: `Errc::unavailable` (no URL is configured), `Errc::malformed` (all
  /// answered, with nothing usable), else the failure of the last URL to fail.
  Task<std::vector<BootPeer>> fetch();
  /// The peers of the documents in the cache file, best first, never none.
  /// Errors: `Errc::not_found`: no cache, or a bad or expired one (logged).
  Task<std::vector<BootPeer>> cached();

  /// A connection to `peer` at `address` (without /p2p) has come about: the cache tells it to the
  /// next start, which then tries first what worked last.
  void confirm(const PeerId& peer, const Multiaddr& address);

  /// How long to wait before the next round: doubles at each call from min_delay to max_delay,
  /// drawn from the upper half, so that nodes that lost one server do not come back in step.
  Duration next_delay();
  /// Begins the delays anew: we are connected.
  void joined() { rounds_without_success_ = 0; }

  /// Ends what is still going on. Not while fetch() or cached() runs. Errors: none.
  Task<> stop();

 private:
  struct Source {
    std::optional<CachedDocument> good;  ///< The last good answer.
    bool is_pending = false;
    bool is_good_now = false;  ///< This round's answer is good.
  };

  Task<> ask(std::size_t index);
  Task<> wait_for_all();
  Task<> wait_for_answers();
  /// Keeps a usable body as the source's answer. Errors: `Errc::malformed`, `Errc::too_large`;
  /// `problem` says why.
  Result<> take(Source& source, const std::string& url, const HttpResponse& response,
                std::string& problem);
  bool is_any_pending() const;
  bool is_any_good_now() const;
  std::vector<BootPeer> ranked() const;
  Task<> save();
  void tell(BootstrapProgress::Stage stage, std::string text) const;

  Env& env_;
  ClientConfig config_;
  const AddressClassifier& classifier_;
  PeerId self_;
  Logger log_;
  Metrics& metrics_;
  OnProgress progress_;
  OnContact contact_;
  std::vector<Source> sources_;  ///< One a URL.
  Error last_error_;
  int rounds_without_success_ = 0;
  bool is_saving_ = false;
  bool is_save_due_ = false;
  Event answered_;
  TaskGroup savers_;
  TaskGroup askers_;
};

}  // namespace pyrsia::bootstrap
