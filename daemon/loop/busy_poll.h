// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace kvd {

// Whether the loop spins instead of sleeping while clients wait for a flush. To
// wake a processor takes a good part of the time of a quick disk's flush, above
// all in a virtual machine, and every client waits for that, too. For few
// clients it is not worth a processor; nor is it when flushes take long, by the
// last one. tests/bench/RESULTS.md has the figures. Thread: loop.
class BusyPoll {
 public:
  // Clients that waited together lately; fewer are not worth it.
  static constexpr double kClientsMin = 10;

  // Spins for up to `limit_ns` of a wait; 0 for never.
  explicit BusyPoll(int64_t limit_ns) : limit_ns_(limit_ns) {}

  // A turn that had something to do.
  struct Turn {
    int64_t began_ns = 0;
    int64_t ended_ns = 0;
    bool news = false;   // Of the disk.
    size_t clients = 0;  // That wait for a flush at its end.
  };
  void Worked(const Turn& turn);
  // Nobody waited and there was nothing to do for longer than clients take
  // between two commands.
  void Rested();
  // Whether the loop turns again at once, though it has nothing to do.
  bool StaysAwake(int64_t now_ns) const {
    return waits_ && pays_ && now_ns - since_ns_ < limit_ns_;
  }

 private:
  const int64_t limit_ns_;
  double clients_ = 0;  // The most lately; decays with each turn.
  bool waits_ = false;  // Some do, and enough did, since …
  int64_t since_ns_ = 0;
  bool pays_ = true;  // The last wait was short.
};

}  // namespace kvd
