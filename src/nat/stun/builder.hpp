/// STUN messages: writing, into memory of the caller's.
#pragma once

#include "nat/stun/attributes.hpp"
#include "nat/stun/message.hpp"

#include <pyrsia/ip.hpp>

#include <span>
#include <string_view>

namespace pyrsia::stun {

/// Adds attributes one after another; the length in the header is right after each. What does not
/// fit is found by finish().
class Builder {
 public:
  /// `out` has room for the header at least, and outlives the builder.
  Builder(std::span<std::uint8_t> out, const Header& header);

  void add(AttributeType type, BytesView value);
  /// Text of fewer than 128 characters, USERNAME of at most `kMaxUsernameBytes`: longer text does
  /// not fit.
  void add(AttributeType type, std::string_view text);
  void add_u32(AttributeType type, std::uint32_t number);
  void add_address(AttributeType type, const Endpoint& endpoint);
  void add_xor_address(AttributeType type, const Endpoint& endpoint);
  /// `reason` has fewer than 128 characters, or it does not fit.
  void add_error_code(int code, std::string_view reason);
  void add_unknown_attributes(std::span<const std::uint16_t> types);
  void add_change_request(const ChangeRequest& change);
  void add_response_port(std::uint16_t port);
  void add_password_algorithm(PasswordAlgorithm algorithm);
  void add_password_algorithms(std::span<const PasswordAlgorithm> algorithms);
  /// `size` bytes of 0.
  void add_padding(std::size_t size);
  /// MESSAGE-INTEGRITY over all so far. `key`: see integrity.hpp.
  void add_integrity(BytesView key);
  void add_integrity_sha256(BytesView key);
  /// The last attribute.
  void add_fingerprint();

  /// What is written so far.
  BytesView bytes() const { return out_.first(size_); }
  /// Errors: `Errc::too_large`.
  Result<BytesView> finish() const;

 private:
  /// Room for the value, its header written; empty if it does not fit.
  std::span<std::uint8_t> grow(AttributeType type, std::size_t size);

  std::span<std::uint8_t> out_;
  Header header_;
  std::size_t size_ = kHeaderBytes;
  bool is_full_ = false;
};

/// The type field of a header: class and method. Spec: RFC 8489, 5.
std::uint16_t type_field(MessageClass message_class, Method method);

}  // namespace pyrsia::stun
