#pragma once

#include "bootstrap/status/document.hpp"
#include "multi/address_class.hpp"

#include <pyrsia/multiaddr.hpp>
#include <pyrsia/peer_id.hpp>

#include <span>
#include <vector>

namespace pyrsia::bootstrap {

/// A peer to begin with.
struct BootPeer {
  PeerId peer;
  std::vector<Multiaddr> addresses;  ///< Best first, without /p2p at their ends.

  bool operator==(const BootPeer&) const = default;
};

/// The peers of all `documents`, each once, best first: one with a confirmed address, then one with
/// an address that is usable by others, then the rest; equals in the order of the documents'
/// lists, which is how a server spreads its clients, and of the documents. The addresses of a
/// peer are ordered likewise. Left out: `self`, and addresses that nobody can use.
std::vector<BootPeer> rank(std::span<const StatusDocument> documents,
                           const AddressClassifier& classifier, const PeerId& self);

}  // namespace pyrsia::bootstrap
