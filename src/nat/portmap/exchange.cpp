#include "nat/portmap/exchange.hpp"

#include "runtime/timeout.hpp"

#include <algorithm>
#include <array>

namespace pyrsia::portmap {
namespace {

/// Larger than any message that we read, so that what is too large is seen to be.
constexpr std::size_t kBufferBytes = 1500;

Task<Bytes> receive_answer(const Context& context, UdpSocket& socket, const Question& question) {
  std::array<std::uint8_t, kBufferBytes> buffer;
  for (;;) {
    PYRSIA_CO_TRY(const auto datagram, co_await socket.receive(buffer));
    const auto bytes = BytesView(buffer).first(std::min(datagram.size, buffer.size()));
    // Only from whom we asked: section 8.3 wants the address, and nobody else has a say.
    const bool is_from_server = datagram.from == question.server;
    if (is_from_server && datagram.size <= buffer.size() && question.is_answer(bytes)) {
      context.metrics.answers.add();
      co_return Bytes(bytes.begin(), bytes.end());
    }
    context.metrics.answers_discarded.add();
    context.say("from " + datagram.from.to_string() + ": " + std::to_string(datagram.size) +
                " bytes that are no answer to us");
  }
}

}  // namespace

Duration next_wait(Duration before, const Retransmission& plan, std::uint64_t jitter) {
  const auto base = before == Duration(0) ? plan.initial : std::min(before * 2, plan.maximum);
  return base * 9 / 10 + base * static_cast<std::int64_t>(jitter) / 1000;
}

Task<Bytes> ask(const Context& context, UdpSocket& socket, const Question& question,
                const Retransmission& plan) {
  Duration wait{0};
  for (int sent = 1;; ++sent) {
    context.metrics.requests_sent.add();
    const auto done = socket.send(question.server, question.bytes);
    context.say("to " + question.server.to_string() + ": " + question.words +
                (sent > 1 ? " (again)" : "") +
                (done ? "" : ", not sent: " + done.error().message()));
    if (!done) co_return done.error();
    wait = next_wait(wait, plan, context.env.random_below(201));
    auto receiving = receive_answer(context, socket, question);
    auto answer = co_await with_timeout(context.env, wait, std::move(receiving));
    if (answer || answer.error() != Errc::timed_out) co_return answer;
  }
}

}  // namespace pyrsia::portmap
