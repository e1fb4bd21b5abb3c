#include "nat/behaviour/pair.hpp"
#include "nat/behaviour/report_document.hpp"

#include <cstdlib>

using namespace pyrsia;

/// What can be read can be written, and reads the same again; a strange report can be judged.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto report = nat::read_report(as_text({data, size}));
  if (!report) return 0;
  if (report->servers.size() > nat::kMaxDocumentServers) std::abort();
  const auto text = nat::write_report(*report);
  const auto again = nat::read_report(text);
  if (!again || nat::write_report(*again) != text) std::abort();
  if (nat::predict(*report, nat::Report()).why.empty()) std::abort();
  return 0;
}
