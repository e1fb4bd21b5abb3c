#include "protocols/autonat_v2/dial_back_inbox.hpp"

namespace pyrsia::autonat_v2 {

void DialBackInbox::expect(std::uint64_t nonce, std::function<void()> on_arrival) {
  waiting_[nonce].on_arrival = std::move(on_arrival);
}

bool DialBackInbox::take(std::uint64_t nonce, ArrivedDialBack dial_back) {
  const auto at = waiting_.find(nonce);
  if (at == waiting_.end() || at->second.dial_back) return false;
  at->second.dial_back = std::move(dial_back);
  at->second.on_arrival();
  return true;
}

const ArrivedDialBack* DialBackInbox::arrived(std::uint64_t nonce) const {
  const auto at = waiting_.find(nonce);
  return at == waiting_.end() || !at->second.dial_back ? nullptr : &*at->second.dial_back;
}

}  // namespace pyrsia::autonat_v2
