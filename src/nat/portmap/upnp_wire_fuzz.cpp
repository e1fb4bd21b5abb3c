#include "nat/portmap/upnp_wire.hpp"

#include <cstdlib>

// Any input, read as each kind of message: no crash, and only URLs of the device itself come out.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyrsia;
  using namespace pyrsia::portmap::upnp;
  const BytesView bytes(data, size);
  if (const auto url = read_search_answer(bytes); url && !host_of(*url)) std::abort();
  const std::string from = "http://192.168.1.1:5000/rootDesc.xml";
  if (const auto description = read_description(as_text(bytes), from)) {
    for (const auto& service : description->connections) {
      if (host_of(service.control_url) != host_of(from)) std::abort();
      if (write_call(service, "GetStatusInfo", {}).empty()) std::abort();
    }
  }
  if (const auto values = read_answer(as_text(bytes))) {
    for (const auto& [name, value] : *values)
      if (name.size() > 63 || value.size() > 127) std::abort();
  }
  return 0;
}
