// SPDX-License-Identifier: MIT
#pragma once

#include <thread>

namespace kvd {

// Says in code which thread owns an object: the one that first calls Check().
class ThreadChecker {
 public:
  // Fails the process when called on another thread than the first call's.
  void Check() const;

 private:
  mutable std::thread::id owner_;
};

}  // namespace kvd
