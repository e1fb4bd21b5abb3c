#include "nat/stun/transaction.hpp"

#include <algorithm>

namespace pyrsia::stun {

RetransmitPlan RetransmitPlan::quick() {
  return {std::chrono::milliseconds(100), 4, 4, std::chrono::milliseconds(400)};
}

Duration RetransmitPlan::total() const {
  Retransmission retransmission(*this, TimePoint());
  for (int i = 0; i < count; ++i) (void)retransmission.is_due(retransmission.next());
  return retransmission.next().time_since_epoch();
}

Retransmission::Retransmission(const RetransmitPlan& plan, TimePoint start)
    : plan_(plan), next_(start), rto_(plan.rto) {}

bool Retransmission::is_due(TimePoint now) {
  if (sent_ >= plan_.count || now < next_) return false;
  ++sent_;
  const bool is_last = sent_ == plan_.count;
  next_ = now + (is_last ? plan_.rto * plan_.last_factor : rto_);
  rto_ *= 2;
  if (plan_.max_rto > Duration(0)) rto_ = std::min(rto_, plan_.max_rto);
  return true;
}

}  // namespace pyrsia::stun
