#include "sim/pipe.hpp"

#include "runtime/event.hpp"

#include <algorithm>
#include <array>
#include <deque>

namespace pyrsia::sim {
namespace {

struct Packet {
  TimePoint arrives_at;
  Bytes bytes;  ///< Empty: the end of the stream.
};

/// One direction of a pipe.
struct Link {
  explicit Link(Env& env) : arrived(env.executor()), drained(env.executor()) {}

  std::deque<Packet> in_flight;
  std::size_t taken_of_first = 0;
  std::size_t unread_bytes = 0;
  bool is_write_closed = false;
  Event arrived;
  Event drained;
};

struct Pipe {
  Pipe(Env& e, const PipeConfig& c) : env(e), config(c), links{Link(e), Link(e)} {}

  Env& env;
  PipeConfig config;
  std::array<Link, 2> links;
  bool is_reset = false;
  int operations = 0;
};

class End final : public Stream {
 public:
  End(std::shared_ptr<Pipe> pipe, std::size_t side)
      : pipe_(std::move(pipe)), in_(pipe_->links[side]), out_(pipe_->links[1 - side]) {}
  ~End() override {
    if (!(in_.is_write_closed && out_.is_write_closed)) reset(ResetCode::none);
  }

  Task<> wait_readable() override {
    for (;;) {
      if (pipe_->is_reset) co_return Errc::closed;
      if (in_.in_flight.empty()) {
        PYRSIA_CO_TRY(co_await in_.arrived.wait());
        continue;
      }
      const auto wait = in_.in_flight.front().arrives_at - pipe_->env.now();
      if (wait <= Duration(0)) co_return ok;
      PYRSIA_CO_TRY(co_await pipe_->env.sleep_for(wait));
    }
  }

  Task<std::size_t> read_some(std::span<std::uint8_t> out) override {
    count_operation();
    PYRSIA_CO_TRY(co_await wait_readable());
    const auto& bytes = in_.in_flight.front().bytes;
    const auto rest = bytes.size() - in_.taken_of_first;
    const auto count = std::min({rest, out.size(), pipe_->config.max_read_bytes});
    std::copy_n(bytes.begin() + std::ptrdiff_t(in_.taken_of_first), count, out.begin());
    in_.taken_of_first += count;
    in_.unread_bytes -= count;
    if (in_.taken_of_first == bytes.size() && !bytes.empty()) {
      in_.in_flight.pop_front();
      in_.taken_of_first = 0;
    }
    in_.drained.notify();
    co_return count;
  }

  Task<> write_all(BytesView bytes) override {
    count_operation();
    if (bytes.empty()) co_return ok;
    for (;;) {
      if (pipe_->is_reset || out_.is_write_closed) co_return Errc::closed;
      if (out_.unread_bytes == 0 || out_.unread_bytes + bytes.size() <= pipe_->config.buffer_bytes)
        break;
      PYRSIA_CO_TRY(co_await out_.drained.wait());
    }
    send(Bytes(bytes.begin(), bytes.end()));
    co_return ok;
  }

  Task<> write_all_parts(std::span<const BytesView> parts) override {
    Bytes joined;
    for (const auto part : parts) joined.insert(joined.end(), part.begin(), part.end());
    co_return co_await write_all(joined);
  }

  Task<> close_write() override {
    count_operation();
    if (pipe_->is_reset) co_return Errc::closed;
    if (!out_.is_write_closed) send({});
    out_.is_write_closed = true;
    co_return ok;
  }

  void reset(ResetCode) noexcept override {
    pipe_->is_reset = true;
    for (auto& link : pipe_->links) {
      link.in_flight.clear();
      link.arrived.notify();
      link.drained.notify();
    }
  }

 private:
  void send(Bytes bytes) {
    out_.unread_bytes += bytes.size();
    out_.in_flight.push_back({pipe_->env.now() + pipe_->config.one_way_delay, std::move(bytes)});
    out_.arrived.notify();
  }

  void count_operation() {
    if (pipe_->operations++ == pipe_->config.fail_after) reset(ResetCode::none);
  }

  std::shared_ptr<Pipe> pipe_;
  Link& in_;
  Link& out_;
};

}  // namespace

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_pipe(Env& env, PipeConfig config) {
  auto pipe = std::make_shared<Pipe>(env, config);
  return {std::make_unique<End>(pipe, 0), std::make_unique<End>(pipe, 1)};
}

}  // namespace pyrsia::sim
