/// What of the addresses that a STUN server names can be, and where we let it send us. A server may
/// lie: nobody outside shall have us send to hosts of our own network.
#pragma once

#include <pyrsia/ip.hpp>

namespace pyrsia::stun {

/// Whether `server` can have got a request from `mapped`: not from port 0, not from an unspecified,
/// multicast or broadcast address, and from loopback only where it is on loopback itself. The
/// family may be another one: there are NAT64, CLAT and SIIT on the way.
bool can_be_mapped(const Endpoint& mapped, const IpAddress& server);

/// Whether we go to `named` because `server` says so (ALTERNATE-SERVER, OTHER-ADDRESS, where we are
/// mapped): what is sent from there can be as close to us as the server is, and no closer. So one
/// of the Internet names addresses of the Internet, one of a private network those of private
/// networks too, and one of this machine any.
bool may_be_named(const Endpoint& named, const IpAddress& server);

}  // namespace pyrsia::stun
