// Joins the network and prints whether others can reach this machine.
#include <pyrsia/host.hpp>

#include <iostream>

pyrsia::Task<> print_verdict(pyrsia::Runtime& runtime, std::string url) {
  pyrsia::Config config;
  config.bootstrap_urls = {url};
  if (url.find("//127.") != url.npos) {  // A trial on one machine.
    config.scope = pyrsia::AddressScope::loopback;
  }
  PYRSIA_CO_TRY(auto host, pyrsia::Host::make(runtime, pyrsia::KeyPair::generate(), config));
  PYRSIA_CO_TRY(co_await host->start(nullptr));
  while (host->nat().status == pyrsia::Reachability::unknown) {
    PYRSIA_CO_TRY(co_await host->next_event());
  }
  std::cout << host->nat().reason << std::endl;
  co_return co_await host->stop();
}

int main(int, char** arguments) {
  pyrsia::Runtime runtime;
  return runtime.run(print_verdict(runtime, arguments[1])) ? 0 : 1;
}
