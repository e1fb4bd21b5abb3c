#include "bootstrap/client/client.hpp"

#include "base/in_words.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>
#include <chrono>

namespace pyrsia::bootstrap {
namespace {

using Stage = BootstrapProgress::Stage;

std::string seconds_text(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  if (ms % 1000 == 0) return std::to_string(ms / 1000) + " s";
  return std::to_string(ms) + " ms";
}

/// Why no body came, in words. `detail` comes from the HTTP client and may be empty.
std::string failure_text(const Error& error, const std::string& detail, Duration timeout) {
  if (error == Errc::timed_out) return "no complete answer within " + seconds_text(timeout);
  if (error == Errc::too_large) {
    return "the answer is over the limit of " + std::to_string(kMaxStatusBytes) + " bytes";
  }
  if (error == Errc::invalid_argument) return "not a URL of http or https";
  if (error == Errc::not_found) return "the host name does not exist";
  if (error == Errc::refused) return "connection refused";
  if (error == Errc::unreachable) return "the host cannot be reached";
  if (error == Errc::limit_reached) return "too many redirects";
  if (error == Errc::closed) return "the server closed the connection before it answered";
  return detail.empty() ? std::string(in_words(error)) : detail;
}

std::string count_text(std::size_t count, std::string_view what) {
  return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

}  // namespace

Client::Client(Env& env, ClientConfig config, const AddressClassifier& classifier, PeerId self,
               Logger log, Metrics& metrics, OnProgress progress)
    : env_(env),
      config_(std::move(config)),
      classifier_(classifier),
      self_(std::move(self)),
      log_(log),
      metrics_(metrics),
      progress_(std::move(progress)),
      sources_(config_.urls.size()),
      answered_(env.executor()),
      savers_(env),
      askers_(env) {}

Task<std::vector<BootPeer>> Client::fetch() {
  if (sources_.empty()) co_return Errc::unavailable;
  // Whoever has not answered since the last round is asked anew.
  askers_.cancel();
  PYRSIA_CO_TRY(co_await askers_.wait_until_empty());
  last_error_ = Errc::unavailable;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    sources_[i].is_pending = true;
    sources_[i].is_good_now = false;
  }
  for (std::size_t i = 0; i < sources_.size(); ++i) askers_.spawn(ask(i));
  PYRSIA_CO_TRY(co_await wait_for_answers());
  if (!is_any_good_now()) co_return last_error_;
  co_return ranked();
}

Task<> Client::wait_for_answers() {
  while (is_any_pending() && !is_any_good_now()) PYRSIA_CO_TRY(co_await answered_.wait());
  if (!is_any_pending()) co_return ok;
  const auto rest = co_await with_timeout(env_, config_.grace, wait_for_all());
  if (!rest && rest.error() != Errc::timed_out) co_return rest.error();
  co_return ok;
}

Task<> Client::wait_for_all() {
  while (is_any_pending()) PYRSIA_CO_TRY(co_await answered_.wait());
  co_return ok;
}

Task<> Client::ask(std::size_t index) {
  const auto url = config_.urls[index];
  tell(Stage::fetching, "asking " + url + " for peers");
  metrics_.fetches.add();
  HttpRequest request;
  request.url = url;
  request.timeout = config_.timeout;
  request.max_body_bytes = kMaxStatusBytes;
  std::string detail;
  auto get = env_.http_get(std::move(request), &detail);
  const auto response = co_await with_timeout(env_, config_.timeout, std::move(get));
  if (!response && response.error() == Errc::cancelled) co_return Errc::cancelled;
  if (response && contact_)
    for (const auto& ip : response->contacted) contact_(ip);
  auto& source = sources_[index];
  std::string problem;
  Error error;
  if (!response) {
    error = response.error();
    problem = failure_text(error, detail, config_.timeout);
  } else if (const auto taken = take(source, url, *response, problem); !taken) {
    error = taken.error();
    if (response->status != 200) {
      problem += " (HTTP status " + std::to_string(response->status) + ")";
    }
  }
  if (error) {
    metrics_.failures.add();
    last_error_ = error;
    const auto text = "Could not read status from " + url + ": " + problem;
    log_.debug("could not read status", {{"url", url}, {"why", problem}});
    tell(Stage::failed, text);
  }
  source.is_pending = false;
  answered_.notify();
  co_return ok;
}

Result<> Client::take(Source& source, const std::string& url, const HttpResponse& response,
                      std::string& problem) {
  std::vector<std::string> problems;
  auto document = read_status(response.body, problems);
  if (!document) {
    problem = problems.back();
    return document.error();
  }
  const auto own = [&](const Multiaddr& entry) { return entry.peer_id() == self_; };
  const auto own_count = static_cast<std::size_t>(std::ranges::count_if(document->peer_addrs, own));
  if (own_count > 0) problems.push_back(count_text(own_count, "entry with our own peer id"));
  const auto peers = rank({&*document, 1}, classifier_, self_);
  if (peers.empty()) {
    problem = own_count == document->peer_addrs.size()
                  ? "every entry of peer_addrs has our own peer id"
                  : "no entry of peer_addrs has an address that can be used";
    return Errc::malformed;
  }
  for (const auto& line : problems) {
    metrics_.skipped_entries.add();
    log_.warning("passed over an entry of a status document", {{"url", url}, {"entry", line}});
  }
  source.good = CachedDocument{url, env_.wall_now(), *std::move(document)};
  source.is_good_now = true;
  if (config_.cache_file) savers_.spawn(save());
  std::string names = peers.front().peer.to_string();
  if (peers.size() > 1) names += " and " + count_text(peers.size() - 1, "other");
  tell(Stage::found, "found " + names + " at " + url);
  return ok;
}

bool Client::is_any_pending() const {
  return std::ranges::any_of(sources_, &Source::is_pending);
}

bool Client::is_any_good_now() const {
  return std::ranges::any_of(sources_, &Source::is_good_now);
}

std::vector<BootPeer> Client::ranked() const {
  // Answers of this round first; those of older ones add what they have.
  std::vector<StatusDocument> documents;
  for (const bool is_now : {true, false}) {
    for (const auto& source : sources_) {
      if (source.good && source.is_good_now == is_now) documents.push_back(source.good->document);
    }
  }
  return rank(documents, classifier_, self_);
}

Task<std::vector<BootPeer>> Client::cached() {
  if (!config_.cache_file) co_return Errc::not_found;
  Result<std::string> text = Errc::io_failed;
  std::function<void()> load = [&text, file = *config_.cache_file] { text = load_file(file); };
  PYRSIA_CO_TRY(co_await env_.run_blocking(std::move(load)));
  const auto file = config_.cache_file->string();
  if (!text) {
    if (text.error() != Errc::not_found) {
      metrics_.cache_failures.add();
      log_.warning("cannot read the bootstrap cache", {{"file", file}, {"error", text.error()}});
    }
    co_return Errc::not_found;
  }
  const auto read = read_cache(*text);
  if (!read) {
    metrics_.cache_failures.add();
    log_.warning("the bootstrap cache is damaged and ignored",
                 {{"file", file}, {"error", read.error()}});
    co_return Errc::not_found;
  }
  std::vector<StatusDocument> fresh;
  const auto now = env_.wall_now();
  for (const auto& entry : *read) {
    const bool is_fresh = now - entry.fetched_at <= config_.cache_lifetime &&
                          entry.fetched_at - now <= std::chrono::hours(1);  // A clock set back.
    if (is_fresh) fresh.push_back(entry.document);
  }
  auto peers = rank(fresh, classifier_, self_);
  if (peers.empty()) {
    log_.info("the bootstrap cache has expired", {{"file", file}});
    co_return Errc::not_found;
  }
  co_return peers;
}

void Client::confirm(const PeerId& peer, const Multiaddr& address) {
  const auto entry = address.with_peer(peer);
  const auto has_it = [&](const std::vector<Multiaddr>& list) {
    return std::ranges::find(list, entry) != list.end();
  };
  bool is_news = false;
  for (auto& source : sources_) {
    if (!source.good) continue;
    auto& document = source.good->document;
    if (!has_it(document.peer_addrs) || has_it(document.confirmed)) continue;
    document.confirmed.push_back(entry);
    is_news = true;
  }
  if (is_news && config_.cache_file) savers_.spawn(save());
}

Task<> Client::save() {
  // One writer at a time; what comes meanwhile is written after it.
  is_save_due_ = true;
  if (is_saving_) co_return ok;
  is_saving_ = true;
  while (std::exchange(is_save_due_, false)) {
    std::vector<CachedDocument> documents;
    for (const auto& source : sources_) {
      if (source.good) documents.push_back(*source.good);
    }
    Result<> saved = ok;
    std::function<void()> work = [&saved, file = *config_.cache_file,
                                  text = write_cache(documents)] {
      saved = replace_file(file, text);
    };
    const auto done = co_await env_.run_blocking(std::move(work));
    if (!done) saved = done.error();
    (saved ? metrics_.cache_writes : metrics_.cache_failures).add();
    if (!saved) {
      const auto file = config_.cache_file->string();
      log_.warning("cannot write the bootstrap cache", {{"file", file}, {"error", saved.error()}});
    }
  }
  is_saving_ = false;
  co_return ok;
}

Duration Client::next_delay() {
  constexpr int kMaxDoublings = 16;
  rounds_without_success_ = std::min(rounds_without_success_ + 1, kMaxDoublings);
  const auto full =
      std::min(config_.max_delay, config_.min_delay * (std::int64_t(1) << rounds_without_success_));
  const auto half = std::max(config_.min_delay, full / 2);
  if (full <= half) return full;
  const auto spread = static_cast<std::uint64_t>((full - half).count());
  return half + Duration(static_cast<std::int64_t>(env_.random_below(spread + 1)));
}

Task<> Client::stop() {
  askers_.cancel();
  // A file that is being written is finished, not torn: so the savers are only waited for.
  PYRSIA_CO_TRY(co_await askers_.join());
  co_return co_await savers_.join();
}

void Client::tell(Stage stage, std::string text) const {
  if (progress_) progress_(BootstrapProgress{stage, std::move(text)});
}

}  // namespace pyrsia::bootstrap
