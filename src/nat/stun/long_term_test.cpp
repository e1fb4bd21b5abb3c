#include "nat/stun/long_term.hpp"

#include "nat/stun/ask_once.hpp"
#include "nat/stun/integrity.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pyrsia::stun {
namespace {

using namespace std::chrono_literals;
using enum PasswordAlgorithm;
using sim::at;

const Endpoint kServer = at("5.6.7.8", 3478);
const Endpoint kElsewhere = at("5.6.7.8", 3479);
constexpr std::string_view kRealm = "example.org";
constexpr std::string_view kUser = "user";
constexpr std::string_view kPassword = "secret";
constexpr auto kUnknownAlgorithm = static_cast<PasswordAlgorithm>(7);

/// A server that demands credentials, and what somebody between may do to its answers.
struct Behaviour {
  std::string nonce = "obMatJos2AAAB-1";  ///< With the feature "password algorithms".
  std::string next_nonce = {};            ///< If not empty, the first one is stale once.
  std::vector<PasswordAlgorithm> algorithms{sha256, md5};
  bool tells_algorithms = true;
  bool is_always_stale = false;
  bool signs = true;
  bool signs_by_sha1 = false;
  bool demands = true;
  std::optional<Endpoint> moves_to = {};
};

/// What the server has seen.
struct Seen {
  std::vector<Bytes> requests;
  int proven = 0;
};

bool has_text(const Message& message, AttributeType type, std::string_view text) {
  const auto value = message.find(type);
  return value && as_text(*value) == text;
}

/// Spec: RFC 8489, 9.2.4.
class Demanding {
 public:
  Demanding(Behaviour behaviour, Seen& seen) : is_(std::move(behaviour)), seen_(seen) {}

  Bytes answer(const Message& request) {
    seen_.requests.emplace_back(request.bytes().begin(), request.bytes().end());
    const bool is_by_sha256 = request.has(AttributeType::message_integrity_sha256);
    const auto algorithm = is_by_sha256 ? chosen(request) : md5;
    const auto key = long_term_key(algorithm, kUser, kRealm, kPassword);
    const bool has_name = has_text(request, AttributeType::username, kUser) ||
                          has_text(request, AttributeType::userhash, hash());
    const bool is_proven = has_name && has_text(request, AttributeType::realm, kRealm) &&
                           check_integrity(request, key).has_value();
    if (is_.moves_to) return error(request, 300);
    if (is_.demands && !is_proven) return error(request, 401);
    if (is_.is_always_stale || !has_text(request, AttributeType::nonce, is_.nonce)) {
      if (is_.demands) return error(request, 438);
    }
    if (!is_.next_nonce.empty()) {
      is_.nonce = std::exchange(is_.next_nonce, "");
      return error(request, 438);
    }
    ++seen_.proven;
    return success(request, key, is_by_sha256 && !is_.signs_by_sha1);
  }

 private:
  static std::string_view hash() {
    static const auto of_user = userhash(kUser, kRealm);
    return as_text(of_user);
  }
  static PasswordAlgorithm chosen(const Message& request) {
    const auto value = request.find(AttributeType::password_algorithm);
    return value ? decode_password_algorithm(*value).value() : md5;
  }
  static Bytes cut(Bytes out, const Builder& builder) {
    out.resize(builder.bytes().size());
    return out;
  }
  Bytes error(const Message& request, int code) const {
    auto header = request.header();
    header.message_class = MessageClass::error;
    Bytes out(512);
    Builder builder(out, header);
    builder.add_error_code(code, "No");
    if (code == 300) builder.add_address(AttributeType::alternate_server, *is_.moves_to);
    builder.add(AttributeType::realm, kRealm);
    builder.add(AttributeType::nonce, std::string_view(is_.nonce));
    if (is_.tells_algorithms) builder.add_password_algorithms(is_.algorithms);
    return cut(std::move(out), builder);
  }
  Bytes success(const Message& request, BytesView key, bool by_sha256) const {
    auto header = request.header();
    header.message_class = MessageClass::success;
    Bytes out(512);
    Builder builder(out, header);
    builder.add_xor_address(AttributeType::xor_mapped_address, at("9.9.9.9", 9));
    if (is_.signs && by_sha256) builder.add_integrity_sha256(key);
    if (is_.signs && !by_sha256) builder.add_integrity(key);
    return cut(std::move(out), builder);
  }

  Behaviour is_;
  Seen& seen_;
};

Task<> serve(Env& env, Endpoint where, Behaviour behaviour, Seen& seen) {
  PYRSIA_CO_TRY(auto socket, env.udp_bind(where));
  Demanding server(std::move(behaviour), seen);
  std::array<std::uint8_t, kMaxMessageBytes> buffer{};
  for (;;) {
    PYRSIA_CO_TRY(const auto datagram, co_await socket->receive(buffer));
    const auto message = Message::parse(BytesView(buffer).first(datagram.size));
    if (message) (void)socket->send(datagram.from, server.answer(*message));
  }
}

struct Asked : sim::TwoHosts {
  explicit Asked(Behaviour behaviour) { serve_at(kServer, std::move(behaviour)); }
  ~Asked() {
    servers.cancel();
    (void)world.run(servers.join());
  }
  void serve_at(const Endpoint& where, Behaviour behaviour) {
    servers.spawn(serve(b, where, std::move(behaviour), seen));
  }
  Result<Response> ask() { return ask_as(std::string(kPassword)); }
  Result<Response> ask_as(std::string password) {
    Query query;
    query.server = kServer;
    Credentials credentials{std::string(kUser), std::move(password)};
    return std::get<0>(world.run(ask_once(a, query, std::move(credentials))));
  }
  Message request(std::size_t i) const { return Message::parse(seen.requests.at(i)).value(); }

  Seen seen;
  TaskGroup servers{b};
};

TEST(StunLongTerm, ProvesWhoAsksOnceThatIsDemanded) {
  Asked asked({});
  const auto response = asked.ask();
  ASSERT_TRUE(response) << response.error();
  EXPECT_EQ(response->mapped, at("9.9.9.9", 9));
  ASSERT_EQ(asked.seen.requests.size(), 2U);
  EXPECT_EQ(asked.seen.proven, 1);
  const auto first = asked.request(0);
  for (const auto type : {AttributeType::username, AttributeType::userhash, AttributeType::realm,
                          AttributeType::nonce, AttributeType::message_integrity,
                          AttributeType::message_integrity_sha256})
    EXPECT_FALSE(first.has(type)) << name(type);
  const auto second = asked.request(1);
  EXPECT_NE(first.header().transaction, second.header().transaction);
  EXPECT_FALSE(second.has(AttributeType::message_integrity));
  EXPECT_TRUE(second.has_fingerprint());
  EXPECT_EQ(decode_password_algorithm(*second.find(AttributeType::password_algorithm)).value(),
            sha256);
  EXPECT_EQ(decode_password_algorithms(*second.find(AttributeType::password_algorithms)).value(),
            (std::vector{sha256, md5}));
}

TEST(StunLongTerm, TellsNothingToWhoDemandsNothing) {
  Asked asked({.demands = false});
  EXPECT_TRUE(asked.ask());
  ASSERT_EQ(asked.seen.requests.size(), 1U);
  EXPECT_FALSE(asked.request(0).has(AttributeType::username));
}

TEST(StunLongTerm, AnOldServerIsAnsweredInMd5AndSha1) {
  Asked asked({.nonce = "f//499k954d6OL34oL9FSTvy64sA", .tells_algorithms = false});
  EXPECT_TRUE(asked.ask());
  const auto second = asked.request(1);
  EXPECT_TRUE(second.has(AttributeType::message_integrity));
  EXPECT_FALSE(second.has(AttributeType::message_integrity_sha256));
  EXPECT_FALSE(second.has(AttributeType::password_algorithm));
}

TEST(StunLongTerm, TakesTheFirstAlgorithmThatItKnows) {
  for (const auto first : {md5, sha256}) {
    Asked asked({.algorithms = {kUnknownAlgorithm, first, sha256}});
    EXPECT_TRUE(asked.ask());
    const auto chosen = asked.request(1).find(AttributeType::password_algorithm);
    EXPECT_EQ(decode_password_algorithm(*chosen).value(), first);
  }
  Asked unknown({.algorithms = {kUnknownAlgorithm}});
  EXPECT_EQ(unknown.ask().error(), Errc::refused);
  EXPECT_EQ(unknown.seen.requests.size(), 1U);
}

TEST(StunLongTerm, HidesTheNameWhereTheServerCan) {
  Asked asked({.nonce = "obMatJos2AAAD"});
  EXPECT_TRUE(asked.ask());
  EXPECT_FALSE(asked.request(1).has(AttributeType::username));
  EXPECT_TRUE(asked.request(1).has(AttributeType::userhash));
}

TEST(StunLongTerm, AWrongPasswordIsTriedOnce) {
  Asked asked({});
  EXPECT_EQ(asked.ask_as("wrong").error(), Errc::refused);
  EXPECT_EQ(asked.seen.requests.size(), 2U);
}

TEST(StunLongTerm, AStaleNonceIsReplacedOnce) {
  Asked asked({.next_nonce = "obMatJos2AAAB-2"});
  EXPECT_TRUE(asked.ask());
  EXPECT_EQ(asked.seen.requests.size(), 3U);
  EXPECT_TRUE(has_text(asked.request(2), AttributeType::nonce, "obMatJos2AAAB-2"));
  Asked always({.is_always_stale = true});
  EXPECT_EQ(always.ask().error(), Errc::refused);
  EXPECT_EQ(always.seen.requests.size(), 3U);
}

TEST(StunLongTerm, AlgorithmsThatSomebodyTookOutAreMissed) {
  Asked asked({.tells_algorithms = false});
  EXPECT_EQ(asked.ask().error(), Errc::refused);
  EXPECT_EQ(asked.seen.requests.size(), 1U);
}

TEST(StunLongTerm, AnAnswerWithoutProofIsNone) {
  Asked unsigned_({.signs = false});
  const auto start = unsigned_.a.now();
  EXPECT_EQ(unsigned_.ask().error(), Errc::bad_signature);
  EXPECT_EQ(unsigned_.a.now() - start, 100ms + RetransmitPlan().total());
  Asked weaker({.signs_by_sha1 = true});
  EXPECT_EQ(weaker.ask().error(), Errc::bad_signature);
}

TEST(StunLongTerm, WhereAServerSendsUsTheProofIsMadeAnew) {
  Asked asked({.moves_to = kElsewhere});
  asked.serve_at(kElsewhere, {.nonce = "obMatJos2AAAB-elsewhere"});
  const auto response = asked.ask();
  ASSERT_TRUE(response) << response.error();
  EXPECT_EQ(response->from, kElsewhere);
  EXPECT_EQ(asked.seen.requests.size(), 3U);
  EXPECT_FALSE(asked.request(1).has(AttributeType::nonce));
}

TEST(StunLongTerm, ADemandWithoutRealmOrNonceIsAnError) {
  for (const auto missing : {AttributeType::realm, AttributeType::nonce}) {
    Header header;
    header.message_class = MessageClass::error;
    std::array<std::uint8_t, 128> out{};
    Builder builder(out, header);
    builder.add_error_code(401, "");
    const auto other =
        missing == AttributeType::realm ? AttributeType::nonce : AttributeType::realm;
    builder.add(other, "text");
    LongTerm proof(Credentials{"user", "secret"});
    const auto message = Message::parse(builder.bytes()).value();
    EXPECT_EQ(proof.take(message), LongTerm::Verdict::believe) << name(missing);
  }
}

}  // namespace
}  // namespace pyrsia::stun
