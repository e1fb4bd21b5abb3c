#include "wire/multistream.hpp"

#include "runtime/event.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <optional>

namespace pyrsia::wire {
namespace {

constexpr std::string_view kRefusal = "na";
constexpr std::string_view kList = "ls";

Task<std::string> read_line(Stream& stream) {
  LineParser parser;
  std::array<std::uint8_t, kMaxLineBytes> bytes;
  while (const auto wanted = parser.wanted_bytes()) {
    const auto out = std::span(bytes).first(wanted);
    PYRSIA_CO_TRY(const auto read, co_await stream.read_some(out));
    if (read == 0) co_return Errc::closed;
    PYRSIA_CO_TRY(parser.add(out.first(read)));
  }
  co_return parser.take();
}

Bytes line(std::string_view text) {
  Bytes bytes;
  append_line(bytes, text);
  return bytes;
}

std::string text_of_lines(std::string_view first, std::string_view second) {
  auto bytes = line(first);
  append_line(bytes, second);
  return std::string(as_text(bytes));
}

bool is_unreadable(const Error& error) {
  return error == Errc::malformed || error == Errc::too_large;
}

/// The answer to `ls`: one line whose text is a list of lines. What does not fit is left out.
Bytes list(const std::vector<std::string>& protocols) {
  Bytes lines;
  for (const auto& protocol : protocols) {
    if (lines.size() + protocol.size() + 3 > kMaxLineBytes - 1) break;
    append_line(lines, protocol);
  }
  return line(as_text(lines));
}

/// Passes on a cancellation only: a peer that no longer reads may still have sent a request.
Task<> write_answer(Stream& stream, Bytes bytes) {
  const auto written = co_await stream.write_all(bytes);
  if (!written && written.error() == Errc::cancelled) co_return Errc::cancelled;
  co_return ok;
}

/// A stream whose protocol was proposed and whose answer is still to come.
class LazyStream final : public Stream {
 public:
  LazyStream(std::unique_ptr<Stream> stream, const std::string& protocol)
      : stream_(std::move(stream)) {
    append_line(proposal_, kMultistream);
    append_line(proposal_, protocol);
    expected_ = as_text(proposal_);
  }

  Task<> wait_readable() override {
    if (is_agreed_) return stream_->wait_readable();
    return agree_then_wait();
  }

  Task<std::size_t> read_some(std::span<std::uint8_t> out) override {
    if (is_agreed_) return stream_->read_some(out);
    return agree_then_read(out);
  }

  Task<> write_all(BytesView bytes) override {
    if (may_pass()) return stream_->write_all(bytes);
    return propose_and_write(bytes);
  }

  Task<> write_all_parts(std::span<const BytesView> parts) override {
    if (may_pass()) return stream_->write_all_parts(parts);
    return propose_and_write_parts(parts);
  }

  Task<> close_write() override {
    PYRSIA_CO_TRY(co_await wait_for_reader());
    if (failure_) co_return failure_;
    PYRSIA_CO_TRY(co_await send_proposal());
    co_return co_await stream_->close_write();
  }

  using Stream::reset;
  void reset(ResetCode code) noexcept override { stream_->reset(code); }
  std::optional<std::uint64_t> peer_reset_code() const override {
    return stream_->peer_reset_code();
  }
  std::optional<std::uint64_t> peer_stop_code() const override { return stream_->peer_stop_code(); }

 private:
  /// The time in which a reader sends the proposal: a writer, who may come meanwhile, has to wait.
  class ReaderSends {
   public:
    ReaderSends(LazyStream& stream, const asio::any_io_executor& executor) : stream_(stream) {
      stream_.reader_sent_.emplace(executor);
      stream_.is_reader_sending_ = true;
    }
    ReaderSends(const ReaderSends&) = delete;
    ReaderSends& operator=(const ReaderSends&) = delete;
    ~ReaderSends() {
      stream_.is_reader_sending_ = false;
      // How much of the proposal is gone nobody knows: nothing sensible can follow.
      if (!is_sent) stream_.fail(Errc::closed);
      stream_.reader_sent_->notify();
    }

    bool is_sent = false;

   private:
    LazyStream& stream_;
  };

  bool may_pass() const { return proposal_.empty() && !failure_ && !is_reader_sending_; }

  void fail(Errc failure) {
    failure_ = failure;
    stream_->reset(ResetCode::negotiation_failed);
  }

  Task<> send_proposal() {
    if (proposal_.empty()) co_return ok;
    const auto proposal = std::exchange(proposal_, Bytes());
    co_return co_await stream_->write_all(proposal);
  }

  Task<> send_proposal_as_reader() {
    if (proposal_.empty()) co_return ok;
    const auto executor = co_await asio::this_coro::executor;
    ReaderSends sending(*this, executor);
    PYRSIA_CO_TRY(co_await send_proposal());
    sending.is_sent = true;
    co_return ok;
  }

  Task<> wait_for_reader() {
    while (is_reader_sending_) PYRSIA_CO_TRY(co_await reader_sent_->wait());
    co_return ok;
  }

  Task<> propose_and_write(BytesView bytes) {
    const std::array<BytesView, 1> parts = {bytes};
    co_return co_await propose_and_write_parts(parts);
  }

  Task<> propose_and_write_parts(std::span<const BytesView> parts) {
    PYRSIA_CO_TRY(co_await wait_for_reader());
    if (failure_) co_return failure_;
    const auto proposal = std::exchange(proposal_, Bytes());
    std::vector<BytesView> all;
    all.reserve(parts.size() + 1);
    all.emplace_back(proposal);
    all.insert(all.end(), parts.begin(), parts.end());
    co_return co_await stream_->write_all_parts(all);
  }

  Task<> agree_then_wait() {
    PYRSIA_CO_TRY(co_await agree());
    co_return co_await stream_->wait_readable();
  }

  Task<std::size_t> agree_then_read(std::span<std::uint8_t> out) {
    PYRSIA_CO_TRY(co_await agree());
    co_return co_await stream_->read_some(out);
  }

  /// Reads the answer; where it was interrupted, the next call goes on.
  Task<> agree() {
    if (failure_) co_return failure_;
    PYRSIA_CO_TRY(co_await send_proposal_as_reader());
    while (!is_agreed_) {
      PYRSIA_CO_TRY(co_await stream_->wait_readable());
      std::array<std::uint8_t, 64> bytes;
      // Never more than the answer that agrees; after any other the stream is dropped anyway.
      const auto wanted = std::min(bytes.size(), expected_.size() - received_.size());
      const auto out = std::span(bytes).first(wanted);
      PYRSIA_CO_TRY(const auto read, co_await stream_->read_some(out));
      check(out.first(read));
      if (failure_) co_return failure_;
    }
    co_return ok;
  }

  void check(BytesView bytes) {
    if (bytes.empty()) {
      failure_ = Errc::closed;
      return;
    }
    received_ += as_text(bytes);
    if (expected_.starts_with(received_)) {
      if (received_.size() < expected_.size()) return;
      is_agreed_ = true;
      expected_ = received_ = std::string();
      return;
    }
    const auto refusal = text_of_lines(kMultistream, kRefusal);
    if (received_.size() < refusal.size() && refusal.starts_with(received_) &&
        received_.size() < expected_.size())
      return;
    fail(received_.starts_with(refusal) ? Errc::not_supported : Errc::protocol_violation);
  }

  std::unique_ptr<Stream> stream_;
  Bytes proposal_;        ///< Still to be sent.
  std::string expected_;  ///< The answer that agrees.
  std::string received_;  ///< As much of the answer as there is.
  Error failure_;
  bool is_agreed_ = false;
  bool is_reader_sending_ = false;
  std::optional<Event> reader_sent_;  ///< Made when a reader sends.
};

}  // namespace

Task<std::string> propose(Stream& stream, std::vector<std::string> protocols) {
  assert(!protocols.empty());
  auto bytes = line(kMultistream);
  bool has_header = false;
  for (const auto& protocol : protocols) {
    append_line(bytes, protocol);
    PYRSIA_CO_TRY(co_await stream.write_all(bytes));
    bytes.clear();
    if (!has_header) {
      PYRSIA_CO_TRY(const auto header, co_await read_line(stream));
      if (header != kMultistream) co_return Errc::protocol_violation;
      has_header = true;
    }
    PYRSIA_CO_TRY(const auto answer, co_await read_line(stream));
    if (answer == protocol) co_return answer;
    if (answer != kRefusal) co_return Errc::protocol_violation;
  }
  co_return Errc::not_supported;
}

Task<std::string> answer(Stream& stream, std::function<bool(std::string_view)> is_supported,
                         std::vector<std::string> supported) {
  PYRSIA_CO_TRY(co_await write_answer(stream, line(kMultistream)));
  PYRSIA_CO_TRY(const auto header, co_await read_line(stream));
  if (header != kMultistream) co_return Errc::protocol_violation;
  bool has_refused = false;
  for (int count = 0; count < kMaxProposals; ++count) {
    auto proposal = co_await read_line(stream);
    const bool is_end = !proposal && proposal.error() == Errc::closed;
    if (is_end && has_refused) co_return Errc::not_supported;
    const bool is_garbage = !proposal && is_unreadable(proposal.error());
    const bool is_proposal = proposal && (proposal->starts_with('/') || *proposal == kList);
    if (is_garbage || (proposal && !is_proposal)) {
      // Perhaps the request of an initiator that took our agreement for granted.
      if (has_refused) stream.reset(ResetCode::negotiation_failed);
      co_return is_garbage ? proposal.error() : make_error_code(Errc::protocol_violation);
    }
    if (!proposal) co_return proposal.error();
    if (*proposal == kList) {
      PYRSIA_CO_TRY(co_await write_answer(stream, list(supported)));
    } else if (is_supported(*proposal)) {
      PYRSIA_CO_TRY(co_await write_answer(stream, line(*proposal)));
      co_return *std::move(proposal);
    } else {
      has_refused = true;
      PYRSIA_CO_TRY(co_await write_answer(stream, line(kRefusal)));
    }
  }
  co_return Errc::not_supported;
}

std::unique_ptr<Stream> propose_lazily(std::unique_ptr<Stream> stream, std::string protocol) {
  return std::make_unique<LazyStream>(std::move(stream), protocol);
}

}  // namespace pyrsia::wire
