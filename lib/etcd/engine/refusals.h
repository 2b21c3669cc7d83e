// SPDX-License-Identifier: MIT
//
// How commands run again whose batch was refused, as somebody else had changed
// what they had read. Those go first that have read nothing: nobody's change
// stands in their way. Then each batch takes one that has read, so that the
// next refusal hits no other, until as many are through as were refused.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace kvd::etcd {

// Thread: loop.
class Refusals {
 public:
  // Commands of one batch that have read.
  size_t readers_max() const {
    switch (way_) {
      case Way::kTogether:
        return SIZE_MAX;
      case Way::kBlindFirst:
        return 0;
      case Way::kOneByOne:
        return 1;
    }
    return SIZE_MAX;
  }

  // How a batch ended that had this many commands that read.
  void Refused(size_t readers) {
    left_ = std::max(left_, readers);
    if (way_ == Way::kTogether) way_ = Way::kBlindFirst;
  }
  void Committed(size_t readers) {
    left_ -= std::min(left_, readers);
    GoOn();
  }
  // No command has found its place in it: true if others have one in the next.
  bool WasEmpty() {
    if (way_ != Way::kBlindFirst) return false;
    GoOn();
    return true;
  }
  // Its commands do not run again.
  void Failed() {
    left_ = 0;
    GoOn();
  }

 private:
  enum class Way : uint8_t { kTogether, kBlindFirst, kOneByOne };

  void GoOn() { way_ = left_ == 0 ? Way::kTogether : Way::kOneByOne; }

  Way way_ = Way::kTogether;
  size_t left_ = 0;  // Of those that have read.
};

}  // namespace kvd::etcd
