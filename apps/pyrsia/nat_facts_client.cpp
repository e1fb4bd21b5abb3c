#include "nat_facts_client.hpp"

#include "protocols/nat_facts/exchange.hpp"

namespace pyrsia::app {

Task<nat::Report> ask_nat_facts(Host& host, PeerId peer) {
  const std::string protocol(nat_facts::kProtocol);
  PYRSIA_CO_TRY(const auto stream, co_await host.open_stream(std::move(peer), protocol));
  co_return co_await nat_facts::ask(*stream);
}

}  // namespace pyrsia::app
