// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace kvd {

// How long the open group waits, though the device is free, for the writers
// whose changes have just become durable: a group that leaves with whoever is
// back first has the others wait for two flushes.
//
// It waits until as many records are there as the last flush had and as came
// during it. Where they use to come back sooner than a flush takes, it waits
// for up to a flush: one that has all of them then gets more done than two that
// have half of them each. How long they take is seen without waiting, too.
// Else, and before it is known, a moment is waited all the same, within which
// few writers come back on a quick machine. tests/bench/RESULTS.md has the
// figures. Thread: of the log's owner.
class Gathering {
 public:
  // The moment; half a flush at the most.
  static constexpr int64_t kMomentNs = 25'000;
  // For writers who come back in time; the owner does not sleep meanwhile.
  static constexpr int64_t kWaitNsMax = 500'000;

  // A flush ended that took `flush_ns` and had `landed` records; `open` ones
  // have come while it was under way.
  void Landed(int64_t now_ns, int64_t flush_ns, uint32_t landed, uint32_t open);
  // One more record came. True for the last one that is waited for: then
  // LastCame() wants to know when.
  bool Came() { return awaited_ > 0 && --awaited_ == 0; }
  void LastCame(int64_t now_ns);
  // Whoever else comes has to wait for the next group.
  void StopWaiting() { awaited_ = 0; }

  // Whether the group, which has had records since `open_since_ns`, is to wait.
  bool Waits(int64_t now_ns, int64_t open_since_ns) const;

 private:
  int64_t LimitNs() const;
  void Add(double part);

  // Of a flush's time, what the writers took to come back: the mean that
  // forgets.
  double part_ = 2;
  int64_t landed_ns_ = 0;
  int64_t flush_ns_ = 0;
  uint32_t awaited_ = 0;  // Records.
};

}  // namespace kvd
