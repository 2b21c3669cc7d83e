// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace kvd {

// Whether the loop does better not to sleep while clients wait for a flush. To
// wake a processor takes a good part of the time in which a quick disk flushes,
// in a virtual machine above all, and every one of the clients waits for that,
// too. With few of them it is not worth a processor, and with a disk that takes
// long, neither: the last wait tells. Where many wait, it matters as well where
// the loop does (processor_choice.h). tests/bench/RESULTS.md has the figures.
// Thread: loop.
class BusyPoll {
 public:
  // Of those who waited together of late; fewer are not worth it.
  static constexpr double kClientsMin = 10;

  // For up to `limit_ns` of a wait; 0 for never.
  explicit BusyPoll(int64_t limit_ns) : limit_ns_(limit_ns) {}

  // A turn had something to do, with news of the disk or without. So many
  // clients wait for a flush as it ends.
  struct Turn {
    int64_t began_ns = 0;
    int64_t ended_ns = 0;
    bool news = false;
    size_t clients = 0;
  };
  // Returns how long the wait took that the turn ended, in ns, if there was one
  // for many clients.
  std::optional<int64_t> Worked(const Turn& turn);
  // Nobody waited and nothing was to do, for longer than clients think.
  void Rested();
  // Whether enough clients wait, time and again, that it matters how the loop
  // does. It stays so a little longer than they do.
  bool many_wait() const { return many_wait_; }
  // Whether the loop turns again at once, though it has nothing to do.
  bool StaysAwake(int64_t now_ns) const {
    return waits_ && pays_ && now_ns - since_ns_ < limit_ns_;
  }

 private:
  const int64_t limit_ns_;
  double clients_ = 0;  // The most of late: it forgets a part with each turn.
  bool many_wait_ = false;
  bool waits_ = false;  // Some do, and enough did, since …
  int64_t since_ns_ = 0;
  bool pays_ = true;  // The last wait was short.
};

}  // namespace kvd
