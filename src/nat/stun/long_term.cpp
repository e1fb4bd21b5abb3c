#include "nat/stun/long_term.hpp"

#include "nat/stun/integrity.hpp"

#include <algorithm>

namespace pyrsia::stun {
namespace {

constexpr int kUnauthenticated = 401;
constexpr int kStaleNonce = 438;

/// Of an error response; 0: it is none.
int error_of(const Message& response) {
  if (response.header().message_class != MessageClass::error) return 0;
  const auto value = response.find(AttributeType::error_code);
  if (!value) return 0;
  const auto error = decode_error_code(*value);
  return error ? error->code : 0;
}

std::optional<std::string> text_of(const Message& response, AttributeType type) {
  const auto value = response.find(type);
  if (!value) return std::nullopt;
  const auto text = decode_text(type, *value);
  if (!text) return std::nullopt;
  return std::string(*text);
}

/// Its nonce says that it has algorithms to choose from, and somebody has taken them out.
bool is_bid_down(const Message& response) {
  const auto nonce = text_of(response, AttributeType::nonce);
  const auto features = nonce ? security_features(*nonce) : std::nullopt;
  return features && features->password_algorithms &&
         !response.has(AttributeType::password_algorithms);
}

}  // namespace

void LongTerm::sign(Builder& builder) const {
  if (key_.empty()) return;
  using enum AttributeType;
  if (hides_username_) {
    builder.add(userhash, BytesView(stun::userhash(credentials_->username, realm_)));
  } else {
    builder.add(username, std::string_view(credentials_->username));
  }
  // As they came, which may be longer than what we would write.
  builder.add(realm, as_bytes(realm_));
  builder.add(nonce, as_bytes(nonce_));
  if (algorithms_.empty()) return builder.add_integrity(key_);
  builder.add(password_algorithms, BytesView(algorithms_));
  builder.add_password_algorithm(algorithm_);
  builder.add_integrity_sha256(key_);
}

LongTerm::Verdict LongTerm::take(const Message& response) {
  if (!credentials_) return Verdict::believe;
  const auto error = error_of(response);
  if (error == kUnauthenticated || error == kStaleNonce) return demanded(response, error);
  if (key_.empty()) return Verdict::believe;
  if (is_bid_down(response)) return Verdict::discard;
  const auto needed = algorithms_.empty() ? AttributeType::message_integrity
                                          : AttributeType::message_integrity_sha256;
  const bool is_right = response.has(needed) && check_integrity(response, key_);
  return is_right ? Verdict::believe : Verdict::discard;
}

/// What cannot be fulfilled is the answer then.
LongTerm::Verdict LongTerm::demanded(const Message& response, int error) {
  auto nonce = text_of(response, AttributeType::nonce);
  if (!nonce || is_bid_down(response)) return Verdict::believe;
  if (error == kStaleNonce) {
    // All else stays as it is: nobody has us use a weaker algorithm the second time.
    if (key_.empty() || was_stale_) return Verdict::believe;
    was_stale_ = true;
    nonce_ = *std::move(nonce);
    return Verdict::ask_again;
  }
  auto realm = text_of(response, AttributeType::realm);
  if (!realm || !key_.empty() || !read_algorithm(response)) return Verdict::believe;
  const auto features = security_features(*nonce);
  hides_username_ = features && features->username_anonymity;
  realm_ = *std::move(realm);
  nonce_ = *std::move(nonce);
  key_ = long_term_key(algorithm_, credentials_->username, realm_, credentials_->password);
  return Verdict::ask_again;
}

/// The first of the server's that we know. False: none.
bool LongTerm::read_algorithm(const Message& response) {
  const auto value = response.find(AttributeType::password_algorithms);
  if (!value) return true;
  const auto offered = decode_password_algorithms(*value);
  if (!offered) return false;
  const auto found = std::ranges::find_if(*offered, [](PasswordAlgorithm each) {
    return each == PasswordAlgorithm::md5 || each == PasswordAlgorithm::sha256;
  });
  if (found == offered->end()) return false;
  algorithm_ = *found;
  algorithms_.assign(value->begin(), value->end());
  return true;
}

}  // namespace pyrsia::stun
