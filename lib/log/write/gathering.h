// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace kvd {

// How long the open group waits, though the device is free, for the writers
// whose changes have just become durable: a group that leaves with whoever is
// back first has the others wait for two flushes.
//
// It waits until as many records are there as the last flush had and as came
// during it, for up to a flush: one that has all of them gets more done than
// two that have half of them each. tests/bench/RESULTS.md has the figures.
// Thread: of the log's owner.
class Gathering {
 public:
  // The owner does not sleep meanwhile.
  static constexpr int64_t kWaitNsMax = 500'000;

  // A flush ended that took `flush_ns` and had `landed` records; `open` ones
  // have come while it was under way.
  void Landed(int64_t now_ns, int64_t flush_ns, uint32_t landed, uint32_t open);
  // One more record came.
  void Came() { awaited_ -= awaited_ > 0 ? 1 : 0; }
  // Whoever else comes has to wait for the next group.
  void StopWaiting() { awaited_ = 0; }

  // Whether the group, which has had records since `open_since_ns`, is to wait.
  bool Waits(int64_t now_ns, int64_t open_since_ns) const;

  bool operator==(const Gathering&) const = default;

 private:
  int64_t landed_ns_ = 0;
  int64_t wait_ns_ = 0;
  uint32_t awaited_ = 0;  // Records.
};

}  // namespace kvd
