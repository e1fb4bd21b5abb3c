#include "host/reachability_record.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace pyrsia::host {
namespace {

constexpr std::size_t kMaxFields = 512;
constexpr std::array kKinds{"candidates", "answer",  "dial_back", "stranger",
                            "mapping",    "servers", "doubt",     "time"};
static_assert(kKinds.size() == std::variant_size_v<ReachabilityInput>);

std::string escaped(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && c != '%' && c != '|') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out.empty() ? "-" : out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (parts.size() < kMaxFields) {
    const auto end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

/// Writes the fields of each kind.
struct Write {
  std::string& out;

  void field(std::string_view text) const { out += " " + escaped(text); }
  void number(std::size_t value) const { out += " " + std::to_string(value); }
  void ip(const std::optional<IpAddress>& value) const { field(value ? value->to_string() : ""); }
  void address(const Multiaddr& value) const { field(value.empty() ? "" : value.to_string()); }

  void operator()(const Candidates& input) const {
    for (const auto& one : input.addresses)
      out += " " + escaped(one.address.to_string()) + "|" + escaped(one.source) + "|" +
             std::to_string(one.observers) + "|" + std::to_string(one.local_port);
  }
  void operator()(const ServerAnswer& input) const {
    const auto& result = input.result;
    field(result.server.to_string());
    ip(result.server_ip);
    number(std::size_t(result.status));
    field(result.text);
    address(result.address.value_or(Multiaddr()));
    number(input.is_boot_peer ? 1 : 0);
    for (const auto& asked : result.asked) address(asked);
  }
  void operator()(const DialBack& input) const {
    field(input.server.to_string());
    ip(input.server_ip);
    address(input.address);
    number(std::size_t(input.outcome));
    ip(input.dialed_from);
    number(input.is_from_known_ip ? 1 : 0);
    field(input.text);
  }
  void operator()(const StrangerConnected& input) const {
    ip(input.from);
    address(input.local);
  }
  void operator()(const NatMapping& input) const {
    number(input.is_v6 ? 1 : 0);
    number(input.is_udp ? 1 : 0);
    number(std::size_t(input.mapping));
    number(input.networks);
  }
  void operator()(const KnownServers& input) const {
    for (const auto& network : input.networks) field(network);
  }
  void operator()(const Doubt& input) const { field(input.why); }
  void operator()(const TimePassed&) const {}
};

/// Reads fields one after another; once one is wrong, all are.
class Fields {
 public:
  explicit Fields(std::vector<std::string_view> fields) : fields_(std::move(fields)) {}

  bool is_at_end() const { return next_ == fields_.size(); }
  bool is_good() const { return is_good_; }
  std::string text() {
    std::string out;
    const auto raw = take();
    if (raw == "-") return out;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '%') {
        out += raw[i];
        continue;
      }
      if (raw.size() - i < 3) return fail<std::string>();
      const int high = hex_digit(raw[i + 1]);
      const int low = hex_digit(raw[i + 2]);
      if (high < 0 || low < 0) return fail<std::string>();
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
    return out;
  }
  std::size_t number(std::size_t highest) {
    const auto raw = take();
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), value);
    if (error != std::errc() || end != raw.data() + raw.size() || raw.empty() || value > highest)
      return fail<std::size_t>();
    return value;
  }
  bool flag() { return number(1) == 1; }
  std::optional<IpAddress> ip() {
    const auto written = text();
    if (written.empty()) return {};
    const auto parsed = IpAddress::parse(written);
    return parsed ? std::optional(*parsed) : fail<std::optional<IpAddress>>();
  }
  Multiaddr address() {
    const auto parsed = Multiaddr::parse(text());
    return parsed ? *parsed : fail<Multiaddr>();
  }
  std::optional<Multiaddr> address_or_none() {
    if (next_ < fields_.size() && fields_[next_] == "-") {
      ++next_;
      return {};
    }
    return address();
  }
  std::optional<PeerId> peer() {
    const auto parsed = PeerId::parse(text());
    return parsed ? std::optional(*parsed) : fail<std::optional<PeerId>>();
  }
  std::string_view take() {
    if (next_ < fields_.size()) return fields_[next_++];
    return fail<std::string_view>();
  }

 private:
  template <class T>
  T fail() {
    is_good_ = false;
    return T();
  }

  std::vector<std::string_view> fields_;
  std::size_t next_ = 0;
  bool is_good_ = true;
};

Candidates read_candidates(Fields& fields, bool& is_good) {
  Candidates input;
  while (!fields.is_at_end() && is_good) {
    Fields parts(split(fields.take(), '|'));
    CandidateAddress one;
    one.address = parts.address();
    one.source = parts.text();
    one.observers = parts.number(SIZE_MAX);
    one.local_port = static_cast<std::uint16_t>(parts.number(65535));
    is_good = parts.is_good() && parts.is_at_end();
    input.addresses.push_back(std::move(one));
  }
  return input;
}

std::optional<ServerAnswer> read_answer(Fields& fields) {
  const auto server = fields.peer();
  if (!server) return {};
  ServerAnswer input{{*server, {}, {}, {}, {}, {}}, false};
  auto& result = input.result;
  result.server_ip = fields.ip();
  result.status = autonat::Status(fields.number(300));
  if (autonat::name(result.status).empty()) return {};
  result.text = fields.text();
  result.address = fields.address_or_none();
  input.is_boot_peer = fields.flag();
  while (!fields.is_at_end() && fields.is_good()) result.asked.push_back(fields.address());
  return input;
}

std::optional<DialBack> read_dial_back(Fields& fields) {
  const auto server = fields.peer();
  if (!server) return {};
  DialBack input{*server, {}, {}, {}, {}, true, {}};
  input.server_ip = fields.ip();
  input.address = fields.address_or_none().value_or(Multiaddr());
  input.outcome = DialBack::Outcome(fields.number(2));
  input.dialed_from = fields.ip();
  input.is_from_known_ip = fields.flag();
  input.text = fields.text();
  return input;
}

std::optional<ReachabilityInput> read(std::string_view kind, Fields& fields) {
  if (kind == kKinds[0]) {
    bool is_good = true;
    auto input = read_candidates(fields, is_good);
    if (is_good) return input;
    return {};
  }
  if (kind == kKinds[1]) return read_answer(fields);
  if (kind == kKinds[2]) return read_dial_back(fields);
  if (kind == kKinds[3]) {
    const auto from = fields.ip();
    if (!from) return {};
    return StrangerConnected{*from, fields.address()};
  }
  if (kind == kKinds[4]) {
    NatMapping input;
    input.is_v6 = fields.flag();
    input.is_udp = fields.flag();
    input.mapping = PortMapping(fields.number(2));
    input.networks = fields.number(SIZE_MAX);
    return input;
  }
  if (kind == kKinds[5]) {
    KnownServers input;
    while (!fields.is_at_end() && fields.is_good()) input.networks.push_back(fields.text());
    return input;
  }
  if (kind == kKinds[6]) return Doubt{fields.text()};
  if (kind == kKinds[7]) return TimePassed();
  return {};
}

}  // namespace

std::string to_line(const RecordedInput& recorded) {
  const auto at =
      std::chrono::duration_cast<std::chrono::nanoseconds>(recorded.at.time_since_epoch());
  auto line = std::to_string(at.count()) + " " + kKinds[recorded.input.index()];
  std::visit(Write{line}, recorded.input);
  return line;
}

Result<RecordedInput> from_line(std::string_view line) {
  if (line.size() > kMaxRecordLineBytes) return Errc::too_large;
  Fields fields(split(line, ' '));
  const auto at = fields.number(std::size_t(INT64_MAX));
  const auto kind = fields.take();
  auto input = read(kind, fields);
  if (!input || !fields.is_good() || !fields.is_at_end()) return Errc::malformed;
  return RecordedInput{TimePoint(std::chrono::nanoseconds(std::int64_t(at))), *std::move(input)};
}

Result<Replay> replay(std::string_view text, std::size_t* bad_line) {
  ReachabilityTracker tracker;
  Replay out;
  TimePoint now{};
  std::size_t number = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (bad_line) *bad_line = ++number;
    if (out.inputs == 0 && now == TimePoint{} && line == kRecordHeader) {
      now = TimePoint(Duration(1));
      continue;
    }
    if (now == TimePoint{}) return Errc::not_supported;
    if (line.empty()) continue;
    PYRSIA_TRY(auto recorded, from_line(line));
    if (recorded.at < now) return Errc::malformed;
    now = recorded.at;
    if (out.inputs++ == 0) out.begin = now;
    if (auto change = tracker.take(recorded.input, now)) out.changes.emplace_back(now, *change);
    for (auto& change : tracker.take_address_changes())
      out.address_changes.emplace_back(now, change);
  }
  if (now == TimePoint{}) return Errc::not_supported;
  out.report = tracker.report(now);
  return out;
}

}  // namespace pyrsia::host
