/// The long-term credential mechanism, as a client. Spec: RFC 8489, 9.2.
#pragma once

#include "nat/stun/attributes.hpp"
#include "nat/stun/builder.hpp"
#include "nat/stun/message.hpp"

#include <optional>
#include <string>

namespace pyrsia::stun {

/// As they are used: preparing them (RFC 8265) is the caller's part. A user name of at most
/// `kMaxUsernameBytes`.
struct Credentials {
  std::string username;
  std::string password;
};

/// What the requests to one server must hold, and which responses count: a plain state machine.
/// Nothing is told before the server demands it; then a request is asked anew, once for a 401 and
/// once for a 438, and responses count only with the right MESSAGE-INTEGRITY. Who takes the better
/// algorithms out of an answer (bid-down) is found by the features in the nonce.
class LongTerm {
 public:
  enum class Verdict {
    believe,    ///< It is the answer.
    ask_again,  ///< By a new transaction, that now holds what was demanded.
    discard,    ///< As if it had never come.
  };

  /// Without credentials every response is believed.
  explicit LongTerm(std::optional<Credentials> credentials)
      : credentials_(std::move(credentials)) {}

  /// Adds what proves who we are. Of all attributes only FINGERPRINT may follow.
  void sign(Builder& builder) const;
  /// `response` is of the transaction that was asked last, and an answer as decode_response() says.
  Verdict take(const Message& response);

 private:
  Verdict demanded(const Message& response, int error);
  bool read_algorithm(const Message& response);

  std::optional<Credentials> credentials_;
  Bytes key_;  ///< Empty: nothing was demanded yet.
  std::string realm_;
  std::string nonce_;
  Bytes algorithms_;  ///< PASSWORD-ALGORITHMS as it came; empty: there was none.
  PasswordAlgorithm algorithm_ = PasswordAlgorithm::md5;
  bool hides_username_ = false;
  bool was_stale_ = false;
};

}  // namespace pyrsia::stun
