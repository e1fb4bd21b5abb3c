#include <pyrsia/error.hpp>

#include <string>

namespace pyrsia {
namespace {

class Category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "pyrsia"; }

  std::string message(int code) const override {
    return std::string(pyrsia::name(static_cast<Errc>(code)));
  }
};

}  // namespace

std::string_view name(Errc code) noexcept {
  switch (code) {
    case Errc::cancelled: return "cancelled";
    case Errc::deadlock: return "deadlock";
    case Errc::timed_out: return "timed_out";
    case Errc::closed: return "closed";
    case Errc::reset: return "reset";
    case Errc::refused: return "refused";
    case Errc::unreachable: return "unreachable";
    case Errc::not_found: return "not_found";
    case Errc::unavailable: return "unavailable";
    case Errc::limit_reached: return "limit_reached";
    case Errc::network_failed: return "network_failed";
    case Errc::malformed: return "malformed";
    case Errc::too_large: return "too_large";
    case Errc::protocol_violation: return "protocol_violation";
    case Errc::not_supported: return "not_supported";
    case Errc::bad_signature: return "bad_signature";
    case Errc::wrong_peer: return "wrong_peer";
    case Errc::invalid_argument: return "invalid_argument";
    case Errc::already_exists: return "already_exists";
    case Errc::address_in_use: return "address_in_use";
    case Errc::permission_denied: return "permission_denied";
    case Errc::disk_full: return "disk_full";
    case Errc::io_failed: return "io_failed";
  }
  return "unknown";
}

Error make_error_code(Errc code) noexcept {
  static const Category category;
  return {static_cast<int>(code), category};
}

}  // namespace pyrsia
