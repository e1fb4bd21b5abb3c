#include "mux/yamux/plain_channel.hpp"
#include "mux/yamux/session.hpp"
#include "mux/yamux/wire.hpp"
#include "runtime/task_group.hpp"
#include "sim/pipe.hpp"
#include "sim/world.hpp"

#include <array>
#include <cstdlib>

using namespace pyrsia;
using namespace pyrsia::mux;

namespace {

/// Answers each stream with what it got.
class Echo final : public StreamSink {
 public:
  explicit Echo(TaskGroup& tasks) : tasks_(tasks) {}
  void on_stream(std::unique_ptr<Stream> stream) override { tasks_.spawn(echo(std::move(stream))); }

 private:
  static Task<> echo(std::unique_ptr<Stream> stream) {
    std::array<std::uint8_t, 100> bytes;
    for (;;) {
      PYRSIA_CO_TRY(const auto count, co_await stream->read_some(bytes));
      if (count == 0) co_return co_await stream->close_write();
      const auto read = std::span(bytes).first(count);
      PYRSIA_CO_TRY(co_await stream->write_all(read));
    }
  }

  TaskGroup& tasks_;
};

Task<> feed(Stream& stream, BytesView bytes) {
  PYRSIA_CO_TRY(co_await stream.write_all(bytes));
  co_return co_await stream.close_write();
}

Task<> drain(Stream& stream) {
  std::array<std::uint8_t, 4096> bytes;
  for (;;) {
    PYRSIA_CO_TRY(const auto count, co_await stream.read_some(bytes));
    if (count == 0) co_return ok;
  }
}

}  // namespace

// Any bytes from the peer: the session ends when they do, and so does every stream.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  sim::World world;
  auto& env = world.env();
  const sim::PipeConfig config{.max_read_bytes = data[0] * 8U + 1, .buffer_bytes = 1000};
  auto [a, b] = sim::make_pipe(env, config);
  yamux::Metrics metrics;
  const auto role = data[1] % 2 == 0 ? Role::initiator : Role::responder;
  const auto session = yamux::make_session(env, std::make_unique<yamux::PlainChannel>(std::move(b)),
                                           role, {}, metrics);
  TaskGroup streams(env);
  Echo echo(streams);
  const BytesView bytes(data + 2, size - 2);
  auto [fed, drained, ended] = world.run(feed(*a, bytes), drain(*a), session->run(echo));
  if (ended) std::abort();
  if (ended.error() == Errc::deadlock) std::abort();
  auto [joined] = world.run(streams.join());
  if (!joined) std::abort();
  return 0;
}
