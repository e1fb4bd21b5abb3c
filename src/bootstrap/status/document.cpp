#include "bootstrap/status/document.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <string>

namespace pyrsia::bootstrap {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxQuotedCharacters = 80;
constexpr std::size_t kMaxProblems = 16;  ///< Lines; a bad document shall not fill the log.

void append_strings(std::string& out, const std::vector<Multiaddr>& addresses) {
  out += '[';
  for (const auto& address : addresses) {
    if (out.back() != '[') out += ',';
    out += json::serialize(address.to_string());
  }
  out += ']';
}

std::string_view kind_name(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_: return "a number";
    case json::kind::string: return "a string";
    case json::kind::array: return "an array";
    case json::kind::object: return "an object";
  }
  return "unknown";
}

/// The part of `text` before the last /p2p or /ipfs component.
std::string_view before_peer(std::string_view text) {
  const auto p2p = text.rfind("/p2p/");
  const auto ipfs = text.rfind("/ipfs/");
  if (p2p == text.npos) return text.substr(0, ipfs);
  return text.substr(0, ipfs == text.npos ? p2p : std::max(p2p, ipfs));
}

/// One entry of an address list. Errors: `Errc::malformed`; `problem` says what is wrong.
Result<Multiaddr> read_entry(const json::value& value, std::string& problem) {
  if (!value.is_string()) {
    problem = std::string("is ") + std::string(kind_name(value)) + ", not a string";
    return Errc::malformed;
  }
  const std::string_view text = value.get_string();
  if (text.empty()) {
    problem = "is empty";
    return Errc::malformed;
  }
  const auto address = Multiaddr::parse(text);
  if (!address) {
    const auto prefix = before_peer(text);
    const bool is_peer_wrong = prefix.size() < text.size() && Multiaddr::parse(prefix);
    problem = in_quotes(text) + (is_peer_wrong ? " ends in an invalid hash for a peer id after /p2p"
                                               : " is not a multiaddr");
    return Errc::malformed;
  }
  const auto peer = address->peer_id();
  if (!peer) {
    problem = in_quotes(text) + " has no peer id at its end: expected /p2p/<id>";
    return Errc::malformed;
  }
  // Old peers double the suffix: .../p2p/X/p2p/X.
  const auto bare = address->without_peer();
  if (bare.empty()) {
    problem = in_quotes(text) + " has no address before /p2p";
    return Errc::malformed;
  }
  return bare.with_peer(*peer);
}

void report(std::vector<std::string>& problems, std::string problem) {
  if (problems.size() < kMaxProblems) problems.push_back(std::move(problem));
}

std::vector<Multiaddr> read_entries(const json::array& entries, std::string_view field,
                                    std::vector<std::string>& problems) {
  std::vector<Multiaddr> read;
  const auto count = std::min(entries.size(), kMaxStatusEntries);
  for (std::size_t i = 0; i < count; ++i) {
    std::string problem;
    auto address = read_entry(entries[i], problem);
    if (!address) {
      report(problems, std::string(field) + "[" + std::to_string(i) + "] " + problem);
    } else if (std::ranges::find(read, *address) == read.end()) {
      read.push_back(*std::move(address));
    }
  }
  if (entries.size() > count) {
    report(problems, std::string(field) + " has " + std::to_string(entries.size()) +
                         " entries: only the first " + std::to_string(count) + " are used");
  }
  return read;
}

Error fail(std::vector<std::string>& problems, Errc code, std::string why) {
  problems.push_back(std::move(why));
  return code;
}

/// The fields beside `peer_addrs`: nothing depends on them, so a bad one is as an absent one.
void read_other_fields(const json::object& root, StatusDocument& document) {
  if (const auto* count = root.if_contains("peers_count")) {
    if (count->is_int64() && count->get_int64() >= 0) {
      document.peers_count = static_cast<std::uint64_t>(count->get_int64());
    } else if (count->is_uint64()) {
      document.peers_count = count->get_uint64();
    }
  }
  if (const auto* id = root.if_contains("peer_id"); id != nullptr && id->is_string()) {
    if (auto peer = PeerId::parse(std::string_view(id->get_string()))) document.peer_id = *peer;
  }
  const auto* confirmed = root.if_contains("confirmed");
  if (confirmed == nullptr || !confirmed->is_array()) return;
  std::vector<std::string> passed_over;
  for (auto& address : read_entries(confirmed->get_array(), "confirmed", passed_over)) {
    const bool is_listed =
        std::ranges::find(document.peer_addrs, address) != document.peer_addrs.end();
    if (is_listed) document.confirmed.push_back(std::move(address));
  }
}

}  // namespace

std::string write_status(const StatusDocument& document) {
  std::string out = "{\"peers_count\":" + std::to_string(document.peers_count) + ",\"peer_id\":\"" +
                    (document.peer_id ? document.peer_id->to_string() : "") + "\",\"peer_addrs\":";
  append_strings(out, document.peer_addrs);
  if (!document.confirmed.empty()) {
    out += ",\"confirmed\":";
    append_strings(out, document.confirmed);
  }
  return out + "}";
}

Result<StatusDocument> read_status(std::string_view text, std::vector<std::string>& problems) {
  if (text.size() > kMaxStatusBytes) {
    return fail(problems, Errc::too_large,
                "it is " + std::to_string(text.size()) + " bytes long, over the limit of " +
                    std::to_string(kMaxStatusBytes));
  }
  json::stream_parser parser;
  json::error_code error;
  const auto parsed = parser.write_some(text.data(), text.size(), error);
  if (!error) parser.finish(error);
  const bool is_more =
      text.find_first_not_of(" \t\r\n", std::min(parsed, text.size())) != text.npos;
  if (error || is_more) {
    const std::string what =
        text.empty() ? "the body is empty"
                     : "at byte " + std::to_string(parsed) + " of " + std::to_string(text.size());
    return fail(problems, Errc::malformed, "it is not JSON (" + what + ")");
  }
  const json::value root = parser.release();
  const std::string no_array = "did not receive an array of peer_addrs in JSON: ";
  if (!root.is_object()) {
    return fail(problems, Errc::malformed,
                no_array + "the document is " + std::string(kind_name(root)) + ", not an object");
  }
  const auto* entries = root.get_object().if_contains("peer_addrs");
  if (entries == nullptr) {
    return fail(problems, Errc::malformed, no_array + "there is no field peer_addrs");
  }
  if (!entries->is_array()) {
    return fail(problems, Errc::malformed,
                no_array + "peer_addrs is " + std::string(kind_name(*entries)));
  }
  if (entries->get_array().empty()) {
    return fail(problems, Errc::malformed,
                "did not receive a valid array of peer_addrs in JSON: it is empty");
  }
  StatusDocument document;
  document.peer_addrs = read_entries(entries->get_array(), "peer_addrs", problems);
  if (document.peer_addrs.empty()) {
    const auto count = entries->get_array().size();
    const std::string first = problems.empty() ? "" : problems.front();
    if (count == 1) return Errc::malformed;  // The one line about the one entry says it all.
    return fail(problems, Errc::malformed,
                "none of the " + std::to_string(count) +
                    " entries of peer_addrs can be used; the first: " + first);
  }
  read_other_fields(root.get_object(), document);
  return document;
}

std::string in_quotes(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text.substr(0, kMaxQuotedCharacters)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      out += c;
    } else {
      out += "\\x";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out + (text.size() > kMaxQuotedCharacters ? "...\"" : "\"");
}

}  // namespace pyrsia::bootstrap
