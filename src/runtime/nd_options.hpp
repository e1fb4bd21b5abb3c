/// What routers advertise besides addresses, as the kernel hands it on (rtnetlink(7),
/// RTM_NEWNDUSEROPT). Pure. Spec: RFC 4861, 4.6; RFC 8781, 4.
#pragma once

#include "runtime/net.hpp"

#include <pyrsia/bytes.hpp>
#include <pyrsia/result.hpp>

#include <optional>
#include <vector>

namespace pyrsia {

/// The PREF64 option that begins `option`: 16 bytes. A lifetime of 0 takes the prefix back.
/// Errors: `Errc::malformed`, `Errc::not_supported` (another option, or a length that RFC 8781 does
/// not know).
Result<AdvertisedNat64> read_pref64(BytesView option);

/// All PREF64 options in the messages of rtnetlink in `bytes`, in order, at most 16; what is broken
/// is passed over.
std::vector<AdvertisedNat64> read_nat64(BytesView bytes);

/// The prefixes that are good as of now. A plain state machine.
class Nat64Prefixes {
 public:
  static constexpr std::size_t kMaxPrefixes = 8;

  /// True if other prefixes are good than before. Beyond the bound the one that ends first goes.
  bool take(const AdvertisedNat64& advertised, TimePoint now);
  std::vector<AdvertisedNat64> good(TimePoint now) const;

 private:
  struct Entry {
    IpAddress prefix;
    unsigned bits;
    TimePoint until;
  };
  std::vector<Entry> entries_;
};

}  // namespace pyrsia
