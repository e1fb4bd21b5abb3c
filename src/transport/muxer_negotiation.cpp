#include "transport/muxer_negotiation.hpp"

#include "wire/line.hpp"
#include "wire/multistream.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace pyrsia::transport {
namespace {

std::string lines(std::string_view first, std::string_view second) {
  Bytes bytes;
  wire::append_line(bytes, first);
  wire::append_line(bytes, second);
  return std::string(as_text(bytes));
}

/// A channel of which the first bytes need care; then it only passes on.
class Wrapped : public secure::Channel {
 public:
  explicit Wrapped(std::unique_ptr<secure::Channel> channel) : channel_(std::move(channel)) {}

  Task<> write(std::span<const BytesView> parts) override { return channel_->write(parts); }
  std::size_t max_frame_bytes() const override { return channel_->max_frame_bytes(); }
  std::size_t max_write_bytes() const override { return channel_->max_write_bytes(); }
  void abort() noexcept override { channel_->abort(); }

 protected:
  std::unique_ptr<secure::Channel> channel_;
};

/// Checks that the peer's first bytes are the answer to our proposal.
class Proposed final : public Wrapped {
 public:
  Proposed(std::unique_ptr<secure::Channel> channel, std::string_view muxer)
      : Wrapped(std::move(channel)),
        expected_(lines(wire::kMultistream, muxer)),
        refusal_(lines(wire::kMultistream, "na")) {}

  Task<BytesView> read() override {
    while (!expected_.empty()) {
      PYRSIA_CO_TRY(const auto bytes, co_await channel_->read());
      const auto count = std::min(bytes.size(), expected_.size() - received_.size());
      received_ += as_text(bytes.first(count));
      if (received_ == expected_) {
        expected_ = received_ = refusal_ = std::string();
        if (bytes.size() > count) co_return bytes.subspan(count);
      } else if (received_.starts_with(refusal_)) {
        co_return Errc::not_supported;
      } else if (!expected_.starts_with(received_) && !refusal_.starts_with(received_)) {
        co_return Errc::protocol_violation;
      }
    }
    co_return co_await channel_->read();
  }

 private:
  std::string expected_;  // Empty once it was found.
  std::string refusal_;   // Shorter than what is expected.
  std::string received_;
};

/// Hands out what was read too far, first.
class Replayed final : public Wrapped {
 public:
  Replayed(std::unique_ptr<secure::Channel> channel, Bytes leftover)
      : Wrapped(std::move(channel)), leftover_(std::move(leftover)) {}

  Task<BytesView> read() override {
    if (!is_replayed_) {
      is_replayed_ = true;
      co_return BytesView(leftover_);
    }
    if (!leftover_.empty()) leftover_ = Bytes();
    co_return co_await channel_->read();
  }

 private:
  Bytes leftover_;
  bool is_replayed_ = false;
};

/// A channel as a stream, for the few bytes of a negotiation.
class ChannelStream final : public Stream {
 public:
  explicit ChannelStream(secure::Channel& channel) : channel_(channel) {}

  Bytes leftover() const { return Bytes(unread_.begin(), unread_.end()); }

  Task<> wait_readable() override {
    if (unread_.empty()) {
      PYRSIA_CO_TRY(unread_, co_await channel_.read());
    }
    co_return ok;
  }
  Task<std::size_t> read_some(std::span<std::uint8_t> out) override {
    PYRSIA_CO_TRY(co_await wait_readable());
    const auto count = std::min(out.size(), unread_.size());
    std::copy_n(unread_.begin(), count, out.begin());
    unread_ = unread_.subspan(count);
    co_return count;
  }
  Task<> write_all(BytesView bytes) override {
    const std::array parts{bytes};
    co_return co_await channel_.write(parts);
  }
  Task<> write_all_parts(std::span<const BytesView> parts) override {
    return channel_.write(parts);
  }
  Task<> close_write() override { co_return Errc::not_supported; }
  using Stream::reset;
  void reset(ResetCode) noexcept override { channel_.abort(); }

 private:
  secure::Channel& channel_;
  BytesView unread_;  // In the channel's own buffer, until its next read().
};

Task<std::unique_ptr<secure::Channel>> propose_muxer(std::unique_ptr<secure::Channel> channel,
                                                     std::string muxer) {
  const auto proposal = lines(wire::kMultistream, muxer);
  const std::array parts{as_bytes(proposal)};
  PYRSIA_CO_TRY(co_await channel->write(parts));
  std::unique_ptr<secure::Channel> wrapped = std::make_unique<Proposed>(std::move(channel), muxer);
  co_return wrapped;
}

Task<std::unique_ptr<secure::Channel>> answer_muxer(std::unique_ptr<secure::Channel> channel,
                                                    std::string muxer) {
  ChannelStream stream(*channel);
  std::function<bool(std::string_view)> is_ours = [&muxer](std::string_view name) {
    return name == muxer;
  };
  std::vector<std::string> supported(1, muxer);
  PYRSIA_CO_TRY(co_await wire::answer(stream, std::move(is_ours), std::move(supported)));
  auto leftover = stream.leftover();
  if (leftover.empty()) co_return std::move(channel);
  std::unique_ptr<secure::Channel> wrapped =
      std::make_unique<Replayed>(std::move(channel), std::move(leftover));
  co_return wrapped;
}

}  // namespace

Task<std::unique_ptr<secure::Channel>> agree_on_muxer(std::unique_ptr<secure::Channel> channel,
                                                      Role role, std::string muxer) {
  if (role == Role::initiator) return propose_muxer(std::move(channel), std::move(muxer));
  return answer_muxer(std::move(channel), std::move(muxer));
}

}  // namespace pyrsia::transport
