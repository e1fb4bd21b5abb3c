/// What servers gave us so that they know our address again. Spec: RFC 9000, 8.1.3.
#pragma once

#include <pyrsia/bytes.hpp>
#include <pyrsia/ip.hpp>
#include <pyrsia/peer_id.hpp>

#include <cstddef>
#include <list>
#include <map>
#include <utility>

namespace pyrsia::transport::quic {

/// Tokens of NEW_TOKEN frames, the newest of each server. Of ours, at most kMaxTokens; the oldest
/// go first. Owned by the transport.
class AddressTokens {
 public:
  static constexpr std::size_t kMaxTokens = 512;
  static constexpr std::size_t kMaxTokenBytes = 256;  ///< Longer ones are not kept.

  void keep(const pyrsia::Endpoint& server, const PeerId& peer, BytesView token);
  /// Empty if there is none. Each is for one connection: it would tell others who we are.
  Bytes take(const pyrsia::Endpoint& server, const PeerId& peer);
  /// From another network they are worth nothing.
  void clear();
  std::size_t size() const { return tokens_.size(); }

 private:
  using Key = std::pair<pyrsia::Endpoint, PeerId>;
  struct Token {
    Key key;
    Bytes bytes;
  };

  std::list<Token> tokens_;  ///< Oldest first.
  std::map<Key, std::list<Token>::iterator> by_server_;
};

}  // namespace pyrsia::transport::quic
