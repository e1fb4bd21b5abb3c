#include "sim/dns.hpp"

#include <algorithm>

namespace pyrsia::sim {
namespace {

constexpr std::size_t kMaxAnswers = 32;  // As Env::resolve() promises.

std::vector<IpAddress> of_family(std::vector<IpAddress> addresses, IpFamily family) {
  std::erase_if(addresses, [&](const IpAddress& ip) {
    return (family == IpFamily::v4 && ip.is_v6()) || (family == IpFamily::v6 && ip.is_v4());
  });
  if (addresses.size() > kMaxAnswers) addresses.resize(kMaxAnswers);
  return addresses;
}

/// What a host knows without asking.
std::vector<IpAddress> known(const std::string& name) {
  if (name == "localhost")
    return {IpAddress::v4_loopback(),
            IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})};
  if (const auto literal = IpAddress::parse(name)) return {*literal};
  return {};
}

}  // namespace

void Dns::add(const std::string& name, const std::vector<std::string>& addresses) {
  auto& entry = entries_[name];
  entry.failure.reset();
  for (const auto& text : addresses) entry.addresses.push_back(IpAddress::parse(text).value());
}

void Dns::add_txt(const std::string& name, std::vector<std::string> texts) {
  auto& entry = entries_[name];
  entry.failure.reset();
  std::ranges::move(texts, std::back_inserter(entry.texts));
}

void Dns::fail(const std::string& name, Errc failure) {
  entries_[name].failure = failure;
}

Task<Dns::Entry> Dns::ask(Env& env, const std::string& name) {
  if (delay_ > Duration(0)) PYRSIA_CO_TRY(co_await env.sleep_for(delay_));
  if (failure_) co_return *failure_;
  const auto found = entries_.find(name);
  if (found == entries_.end()) co_return Errc::not_found;
  if (found->second.failure) co_return *found->second.failure;
  co_return found->second;
}

Task<std::vector<IpAddress>> Dns::resolve(Env& env, std::string name, IpFamily family) {
  auto addresses = of_family(known(name), family);
  if (addresses.empty()) {
    PYRSIA_CO_TRY(auto entry, co_await ask(env, name));
    addresses = of_family(std::move(entry.addresses), family);
  }
  if (addresses.empty()) co_return Errc::not_found;
  co_return addresses;
}

Task<std::vector<std::string>> Dns::resolve_txt(Env& env, std::string name) {
  PYRSIA_CO_TRY(auto entry, co_await ask(env, name));
  if (entry.texts.empty()) co_return Errc::not_found;
  auto texts = std::move(entry.texts);
  if (texts.size() > kMaxAnswers) texts.resize(kMaxAnswers);
  co_return texts;
}

}  // namespace pyrsia::sim
