/// What there is to say about one address: its kind, who can reach it, what the node thinks of it.
#pragma once

#include "multi/address_class.hpp"

#include <pyrsia/multiaddr.hpp>

#include <boost/json/object.hpp>

#include <string>

namespace pyrsia::app {

/// Schema "pyrsia.address/1". `nat` is what a node answered on /nat; null: none was asked or
/// answered. Every field of it may be absent.
boost::json::object address_json(const Multiaddr& address, const AddressClassifier& classifier,
                                 const boost::json::object* nat);
/// The same for a person.
std::string address_text(const boost::json::object& explanation);

}  // namespace pyrsia::app
