// SPDX-License-Identifier: MIT
#include "base/thread_checker.h"

#include "base/check.h"

namespace kvd {

void ThreadChecker::Check() const {
  if (owner_ == std::thread::id()) owner_ = std::this_thread::get_id();
  KVD_CHECK(owner_ == std::this_thread::get_id());
}

}  // namespace kvd
