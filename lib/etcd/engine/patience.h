// SPDX-License-Identifier: MIT
//
// How long commands wait for what etcd does not do. When that is too long for
// the first of those that wait, all that come in one turn of the loop are
// refused, with those that wait already. A later command waits its full time.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

namespace kvd::etcd {

// Thread: loop.
class Patience {
 public:
  explicit Patience(int64_t limit_ms) : limit_ms_(limit_ms) {}

  // Which commands wait: all, or only those that change something.
  enum class Of : uint8_t { kAll, kChangers };

  void Wait(Of of, int64_t now_ms) {
    auto& since_ms = Since(of);
    if (!since_ms) since_ms = now_ms;
  }
  // There is nothing to wait for.
  void Over(Of of) { Since(of).reset(); }
  // Whether they have waited too long: then the next turn refuses.
  bool Ends(Of of, int64_t now_ms) {
    const auto& since_ms = Since(of);
    if (!since_ms || now_ms - *since_ms < limit_ms_) return false;
    Over(of);
    return next_ = true;
  }

  // A turn begins; whether it refuses.
  bool BeginTurn() { return refuses_ = std::exchange(next_, false); }
  // In the turn that has begun.
  void RefuseNow() { refuses_ = true; }
  void EndTurn() { refuses_ = false; }
  bool refuses() const { return refuses_; }

 private:
  std::optional<int64_t>& Since(Of of) {
    return of == Of::kAll ? all_since_ms_ : changers_since_ms_;
  }

  const int64_t limit_ms_;
  std::optional<int64_t> all_since_ms_;
  std::optional<int64_t> changers_since_ms_;
  bool next_ = false;
  bool refuses_ = false;
};

}  // namespace kvd::etcd
