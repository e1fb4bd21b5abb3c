#include "bootstrap/client/ranking.hpp"

#include <algorithm>
#include <tuple>

namespace pyrsia::bootstrap {
namespace {

enum class Worth { confirmed, usable, other };

struct Candidate {
  PeerId peer;
  Multiaddr address;
  Worth worth;
  std::size_t position;  ///< In its document.
  std::size_t document;
};

Worth worth_of(const Multiaddr& entry, const StatusDocument& document,
               const AddressClassifier& classifier) {
  if (std::ranges::find(document.confirmed, entry) != document.confirmed.end()) {
    return Worth::confirmed;
  }
  return classifier.is_usable_by_others(entry) ? Worth::usable : Worth::other;
}

void add(std::vector<BootPeer>& peers, const Candidate& candidate) {
  auto peer = std::ranges::find(peers, candidate.peer, &BootPeer::peer);
  if (peer == peers.end()) {
    peers.push_back({candidate.peer, {}});
    peer = peers.end() - 1;
  }
  const auto& known = peer->addresses;
  if (std::ranges::find(known, candidate.address) == known.end()) {
    peer->addresses.push_back(candidate.address);
  }
}

}  // namespace

std::vector<BootPeer> rank(std::span<const StatusDocument> documents,
                           const AddressClassifier& classifier, const PeerId& self) {
  std::vector<Candidate> candidates;
  for (std::size_t d = 0; d < documents.size(); ++d) {
    const auto& document = documents[d];
    for (std::size_t i = 0; i < document.peer_addrs.size(); ++i) {
      const auto& entry = document.peer_addrs[i];
      const auto peer = entry.peer_id();
      if (!peer || *peer == self) continue;
      if (classifier.classify(entry) == AddressClass::unusable) continue;
      candidates.push_back(
          {*peer, entry.without_peer(), worth_of(entry, document, classifier), i, d});
    }
  }
  std::ranges::sort(candidates, {}, [](const Candidate& candidate) {
    return std::tuple(candidate.worth, candidate.position, candidate.document);
  });
  std::vector<BootPeer> peers;
  for (const auto& candidate : candidates) add(peers, candidate);
  return peers;
}

}  // namespace pyrsia::bootstrap
