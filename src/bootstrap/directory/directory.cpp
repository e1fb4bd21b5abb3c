#include "bootstrap/directory/directory.hpp"

#include "base/in_words.hpp"
#include "runtime/timeout.hpp"

#include <algorithm>

namespace pyrsia::bootstrap {
namespace {

/// A document that every reader takes whole.
std::string write_within_limit(StatusDocument& document) {
  auto& list = document.peer_addrs;
  if (list.size() > kMaxStatusEntries) list.resize(kMaxStatusEntries);
  auto text = write_status(document);
  while (text.size() > kMaxStatusBytes) {
    list.resize(list.size() / 2);
    text = write_status(document);
  }
  return text;
}

/// A check shall not use up a turn of the rotation that a node would get.
std::string health_check_url(const std::string& url) {
  const auto mark = url.find('?') == url.npos ? '?' : '&';
  return url + mark + std::string(kHealthCheckQuery);
}

void add(std::vector<Multiaddr>& list, const Multiaddr& address) {
  if (list.size() == kMaxMemberAddresses) return;
  if (std::ranges::find(list, address) == list.end()) list.push_back(address);
}

/// The original dials the first address of a document and no other, and knows TCP alone.
std::vector<Multiaddr> tcp_first(const std::vector<Multiaddr>& addresses) {
  std::vector<Multiaddr> out;
  for (const bool is_tcp : {true, false})
    for (const auto& address : addresses)
      if (address.is_plain_tcp() == is_tcp) out.push_back(address);
  return out;
}

}  // namespace

Directory::Directory(Env& env, DirectoryConfig config, const AddressClassifier& classifier,
                     const LocalNode& node, Logger log, DirectoryMetrics& metrics)
    : env_(env),
      config_(std::move(config)),
      classifier_(classifier),
      node_(node),
      log_(log),
      metrics_(metrics),
      members_(config_.members, config_.max_failures),
      watchers_(env) {
  if (config_.external_ip.empty()) return;
  const auto ip = IpAddress::parse(config_.external_ip);
  if (ip && ip->is_v4()) {
    external_ip_ = *ip;
  } else {
    const auto shown = in_quotes(config_.external_ip);
    log_.info("the external IP is not an IPv4 address and is ignored", {{"given", shown}});
  }
}

void Directory::start() {
  for (std::size_t i = 0; i < config_.members.size(); ++i) watchers_.spawn(watch(i));
}

Task<> Directory::stop() {
  watchers_.cancel();
  return watchers_.join();
}

Task<> Directory::watch(std::size_t index) {
  for (;;) {
    PYRSIA_CO_TRY(co_await check(index));
    // 80 % to 120 %, so that the members' checks of each other do not fall into step.
    const auto interval = config_.check_interval.count();
    const auto jitter = env_.random_below(static_cast<std::uint64_t>(interval) * 2 / 5 + 1);
    const auto pause = Duration(interval * 4 / 5 + static_cast<std::int64_t>(jitter));
    PYRSIA_CO_TRY(co_await env_.sleep_for(pause));
  }
}

Task<> Directory::check(std::size_t index) {
  metrics_.health_checks.add();
  HttpRequest request;
  request.url = health_check_url(config_.members[index]);
  request.timeout = config_.check_timeout;
  request.max_body_bytes = kMaxStatusBytes;
  std::string why;
  auto get = env_.http_get(std::move(request), &why);
  const auto response = co_await with_timeout(env_, config_.check_timeout, std::move(get));
  if (!response && response.error() == Errc::cancelled) co_return Errc::cancelled;
  Result<MemberEntries> entries = Errc::unavailable;
  if (response && response->status == 200) {
    std::vector<std::string> problems;
    const auto document = read_status(response->body, problems);
    if (document) {
      entries = own_entries(*document, classifier_, why);
    } else {
      why = problems.back();
    }
  } else if (response) {
    why = "HTTP status " + std::to_string(response->status);
  } else if (why.empty()) {
    why = in_words(response.error());
  }
  if (entries) {
    log_change(index, members_.succeeded(index, *std::move(entries)), "");
  } else {
    metrics_.health_failures.add();
    log_change(index, members_.failed(index, why), why);
  }
  co_return ok;
}

void Directory::log_change(std::size_t index, Members::Change change, const std::string& why) {
  const auto& url = config_.members[index];
  if (change == Members::Change::none) return;
  refreshed_at_.reset();
  if (change == Members::Change::entered) {
    metrics_.members_entered.add();
    log_.info("a boot server is healthy and in the list", {{"url", url}});
  } else if (change == Members::Change::left) {
    metrics_.members_left.add();
    log_.warning("a boot server does not answer and is out of the list",
                 {{"url", url}, {"why", why}});
  }
}

MemberEntries Directory::own() const {
  MemberEntries entries{node_.peer_id(), {}};
  const auto listed = [&](const Multiaddr& address) {
    add(entries.addresses, address.without_peer().with_peer(entries.peer));
  };
  for (const auto& address : tcp_first(config_.announce)) listed(address);
  if (external_ip_) {
    for (const auto& address : tcp_first(node_.listen_addresses())) {
      if (address.ip()) listed(address.with_ip(*external_ip_));
    }
    return entries;
  }
  for (const auto& address : tcp_first(node_.advertised_addresses())) {
    if (classifier_.is_usable_by_others(address)) listed(address);
  }
  return entries;
}

void Directory::rebuild() {
  std::vector<MemberEntries> healthy{own()};
  for (const auto& member : members_.all()) {
    if (member.entries) healthy.push_back(*member.entries);
  }
  StatusDocument document;
  document.peer_id = healthy.front().peer;
  document.peers_count = node_.connected_peers().size();
  std::vector<std::string> documents;
  for (auto& turn : rotations(healthy)) {
    document.peer_addrs = std::move(turn);
    documents.push_back(write_within_limit(document));
  }
  const bool was_empty = std::exchange(is_list_empty_, document.peer_addrs.empty());
  if (is_list_empty_ && !was_empty) {
    log_.warning("the status document lists no address: none of ours can be used by others", {});
  }
  if (documents == documents_) return;
  documents_ = std::move(documents);
  ++generation_;
  metrics_.rebuilds.add();
}

const std::vector<std::string>& Directory::documents() {
  const auto now = env_.now();
  if (!refreshed_at_ || now - *refreshed_at_ >= config_.refresh_interval) {
    rebuild();
    refreshed_at_ = now;
  }
  return documents_;
}

}  // namespace pyrsia::bootstrap
