#include "transport/quic/address_tokens.hpp"

namespace pyrsia::transport::quic {

void AddressTokens::keep(const pyrsia::Endpoint& server, const PeerId& peer, BytesView token) {
  if (token.empty() || token.size() > kMaxTokenBytes) return;
  take(server, peer);
  if (tokens_.size() >= kMaxTokens) {
    by_server_.erase(tokens_.front().key);
    tokens_.pop_front();
  }
  tokens_.push_back({{server, peer}, Bytes(token.begin(), token.end())});
  by_server_.emplace(tokens_.back().key, std::prev(tokens_.end()));
}

Bytes AddressTokens::take(const pyrsia::Endpoint& server, const PeerId& peer) {
  const auto found = by_server_.find({server, peer});
  if (found == by_server_.end()) return {};
  auto bytes = std::move(found->second->bytes);
  tokens_.erase(found->second);
  by_server_.erase(found);
  return bytes;
}

void AddressTokens::clear() {
  by_server_.clear();
  tokens_.clear();
}

}  // namespace pyrsia::transport::quic
