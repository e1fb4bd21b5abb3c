#include "http/request_reader.hpp"

#include <cassert>

using namespace pyrsia;

/// Reads all requests of `bytes`, which come in pieces of at most `piece`.
static std::vector<std::string> read_all(BytesView bytes, std::size_t piece) {
  http::RequestReader reader(8192, 8192);
  http::Request request;
  std::vector<std::string> found;
  for (;;) {
    const auto state = reader.next(request);
    if (state == http::RequestReader::State::failed) {
      assert(reader.failure() >= 400);
      return found;
    }
    if (state == http::RequestReader::State::done) {
      assert(request.path.starts_with('/') && request.body.size() <= 8192);
      found.push_back(request.method + " " + request.path + " " + request.host + " " +
                      request.accept + " " + request.if_none_match + " " + request.body +
                      (request.is_keep_alive ? "+" : "-"));
      continue;
    }
    if (bytes.empty()) return found;
    const auto space = reader.space();
    assert(!space.empty() && space.size() <= 32768);
    const auto count = std::min({piece, bytes.size(), space.size()});
    std::copy_n(bytes.begin(), count, space.begin());
    reader.received(count);
    bytes = bytes.subspan(count);
  }
}

/// However a connection's bytes are cut into pieces, the requests are the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView bytes(data, size);
  const auto whole = read_all(bytes, size + 1);
  const auto pieces = read_all(bytes, 7);
  assert(whole == pieces);
  return 0;
}
