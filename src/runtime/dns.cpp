// c-ares 1.34 (Debian 13) would have other calls used, which 1.18 (Debian 12) does not have.
#define CARES_NO_DEPRECATED

#include "runtime/dns.hpp"

#include "runtime/event.hpp"
#include "runtime/socket_address.hpp"

#include <ares.h>
#include <ares_nameser.h>
#include <netdb.h>

#include <algorithm>
#include <utility>

namespace pyrsia {
namespace {

/// Times a server is asked. c-ares doubles its patience each time: 1 + 2 parts of the timeout.
constexpr int kTries = 2;
constexpr int kTimeoutParts = 3;
/// Of an answer in one datagram (EDNS, RFC 6891): what every path carries. Longer ones go by TCP.
constexpr int kDatagramBytes = 1232;

/// c-ares is made ready once for the process.
int load_library() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

Errc ares_error(int status) {
  switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
    case ARES_ENONAME: return Errc::not_found;
    case ARES_ETIMEOUT: return Errc::timed_out;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION: return Errc::cancelled;
    default: return Errc::unavailable;
  }
}

int family_number(IpFamily family) {
  switch (family) {
    case IpFamily::v4: return AF_INET;
    case IpFamily::v6: return AF_INET6;
    case IpFamily::any: break;
  }
  return AF_UNSPEC;
}

/// c-ares takes C strings: a zero inside would make another name of it.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 254 && name.find('\0') == name.npos;
}

bool is_wanted(const IpAddress& ip, IpFamily family) {
  return family == IpFamily::any || ip.is_v4() == (family == IpFamily::v4);
}

}  // namespace

/// One question. It goes when it is answered and its asker has left.
struct Dns::Query {
  explicit Query(const asio::any_io_executor& executor) : answered(executor) {}

  int status = ARES_SUCCESS;
  bool is_answered = false;
  bool is_left = false;
  std::vector<IpAddress> addresses;
  std::vector<std::string> texts;
  Event answered;
};

class Dns::SocketWatch final : public Watch {
 public:
  SocketWatch(Dns& dns, int socket) : dns_(dns), socket_(socket) {}
  void ready(std::uint32_t events) override {
    const bool failed = (events & (EPOLLERR | EPOLLHUP)) != 0;
    const bool may_read = failed || (events & EPOLLIN) != 0;
    const bool may_write = failed || (events & EPOLLOUT) != 0;
    dns_.process(may_read ? socket_ : ARES_SOCKET_BAD, may_write ? socket_ : ARES_SOCKET_BAD);
  }
  bool is_registered = false;

 private:
  Dns& dns_;
  int socket_;
};

class Dns::Deadline final : public Timer {
 public:
  explicit Deadline(Dns& dns) : dns_(dns) {}

 private:
  void expired() override { dns_.process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }
  Dns& dns_;
};

namespace {

void answer(Dns::Query& query, int status) {
  query.status = status;
  query.is_answered = true;
  query.answered.notify();
}

void on_addresses(void* argument, int status, int, ares_addrinfo* found) {
  auto& query = *static_cast<Dns::Query*>(argument);
  for (const auto* node = found ? found->nodes : nullptr; node; node = node->ai_next) {
    if (query.addresses.size() == Dns::kMaxRecords) break;
    const auto ip = ip_of(*node->ai_addr);
    if (std::find(query.addresses.begin(), query.addresses.end(), ip) == query.addresses.end())
      query.addresses.push_back(ip);
  }
  if (found) ares_freeaddrinfo(found);
  answer(query, status);
}

void on_texts(void* argument, int status, int, unsigned char* message, int size) {
  auto& query = *static_cast<Dns::Query*>(argument);
  ares_txt_ext* found = nullptr;
  if (status == ARES_SUCCESS) status = ares_parse_txt_reply_ext(message, size, &found);
  for (const auto* chunk = found; chunk; chunk = chunk->next) {
    if (chunk->record_start != 0) {
      if (query.texts.size() == Dns::kMaxRecords) break;
      query.texts.emplace_back();
    }
    if (query.texts.empty()) break;
    query.texts.back().append(reinterpret_cast<const char*>(chunk->txt), chunk->length);
  }
  if (found) ares_free_data(found);
  answer(query, status);
}

}  // namespace

Dns::Dns(Env& env, Reactor& reactor, std::string servers, Duration timeout)
    : env_(env),
      reactor_(reactor),
      servers_(std::move(servers)),
      timeout_(timeout),
      deadline_(std::make_unique<Deadline>(*this)) {}

Dns::~Dns() {
  if (channel_) ares_destroy(channel_);
}

Result<> Dns::open() {
  if (channel_) return ok;
  if (load_library() != ARES_SUCCESS) return Errc::unavailable;
  ares_options options{};
  const auto parts = std::chrono::duration_cast<std::chrono::milliseconds>(timeout_);
  options.timeout = std::max(1, static_cast<int>(parts.count() / kTimeoutParts));
  options.tries = kTries;
  options.flags = ARES_FLAG_EDNS;
  options.ednspsz = kDatagramBytes;
  options.sock_state_cb = [](void* self, ares_socket_t socket, int is_read, int is_write) {
    static_cast<Dns*>(self)->socket_changed(socket, is_read != 0, is_write != 0);
  };
  options.sock_state_cb_data = this;
  const int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                   ARES_OPT_SOCK_STATE_CB;
  if (ares_init_options(&channel_, &options, mask) != ARES_SUCCESS) {
    channel_ = nullptr;
    return Errc::unavailable;
  }
  if (!servers_.empty() && ares_set_servers_ports_csv(channel_, servers_.c_str()) != ARES_SUCCESS)
    return Errc::unavailable;
  return ok;
}

Dns::Query& Dns::start() {
  return queries_.emplace_back(env_.executor());
}

void Dns::leave(Query& query) noexcept {
  query.is_left = true;
  // Gone at once if it is answered; else with the answer, which c-ares always gives.
  if (query.is_answered) queries_.remove_if([&](const Query& q) { return &q == &query; });
}

void Dns::socket_changed(int socket, bool is_read, bool is_write) {
  auto& watch = sockets_[socket];
  if (!watch) watch = std::make_unique<SocketWatch>(*this, socket);
  const std::uint32_t events = (is_read ? EPOLLIN : 0U) | (is_write ? EPOLLOUT : 0U);
  if (events == 0) {
    if (watch->is_registered) reactor_.remove(socket, *watch);
    sockets_.erase(socket);
  } else if (watch->is_registered) {
    reactor_.change(socket, events, *watch);
  } else {
    // If it cannot be watched the query ends by its timeout.
    watch->is_registered = reactor_.add(socket, events, *watch).has_value();
  }
}

void Dns::process(int readable, int writable) {
  ares_process_fd(channel_, readable, writable);
  queries_.remove_if([](const Query& query) { return query.is_left && query.is_answered; });
  arm_deadline();
}

void Dns::arm_deadline() {
  timeval next{};
  if (!ares_timeout(channel_, nullptr, &next)) return env_.timers().disarm(*deadline_);
  const auto wait = std::chrono::seconds(next.tv_sec) + std::chrono::microseconds(next.tv_usec);
  // c-ares counts in whole milliseconds and may find that it is early: then it is asked again.
  env_.timers().arm(*deadline_, env_.now() + wait + std::chrono::milliseconds(1));
}

namespace {

/// Runs something at the end of its scope, however that ends.
template <class F>
class OnExit {
 public:
  explicit OnExit(F run) : run_(std::move(run)) {}
  OnExit(const OnExit&) = delete;
  OnExit& operator=(const OnExit&) = delete;
  ~OnExit() { run_(); }

 private:
  F run_;
};

}  // namespace

Task<std::vector<IpAddress>> Dns::addresses(std::string name, IpFamily family) {
  if (const auto literal = IpAddress::parse(name)) {
    std::vector<IpAddress> one(is_wanted(*literal, family) ? 1 : 0, *literal);
    if (one.empty()) co_return Errc::not_found;
    co_return one;
  }
  if (!is_name(name)) co_return Errc::not_found;
  PYRSIA_CO_TRY(open());
  auto& query = start();
  const OnExit on_exit([&] { leave(query); });
  ares_addrinfo_hints hints{};
  hints.ai_family = family_number(family);
  hints.ai_socktype = SOCK_STREAM;
  ares_getaddrinfo(channel_, name.c_str(), nullptr, &hints, on_addresses, &query);
  arm_deadline();
  while (!query.is_answered) PYRSIA_CO_TRY(co_await query.answered.wait());
  if (query.status != ARES_SUCCESS) co_return ares_error(query.status);
  if (query.addresses.empty()) co_return Errc::not_found;
  co_return std::move(query.addresses);
}

Task<std::vector<std::string>> Dns::texts(std::string name) {
  if (!is_name(name)) co_return Errc::not_found;
  PYRSIA_CO_TRY(open());
  auto& query = start();
  const OnExit on_exit([&] { leave(query); });
  ares_query(channel_, name.c_str(), ns_c_in, ns_t_txt, on_texts, &query);
  arm_deadline();
  while (!query.is_answered) PYRSIA_CO_TRY(co_await query.answered.wait());
  if (query.status != ARES_SUCCESS) co_return ares_error(query.status);
  if (query.texts.empty()) co_return Errc::not_found;
  co_return std::move(query.texts);
}

}  // namespace pyrsia
