// SPDX-License-Identifier: MIT
//
// What fixtures of the daemon's tests inherit: a store on a simulated disk.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "store/store.h"
#include "tests/support/manual_clock.h"
#include "tests/support/manual_executor.h"
#include "tests/support/sim_file_system.h"

namespace kvd {

// Jobs run as they are posted, until a test holds their executor back.
class StoreRig {
 public:
  // Segments and groups that a few commands fill.
  static constexpr uint64_t kSegmentBytes = 1 << 20;
  static constexpr uint64_t kOpenGroupBytesMax = 64 << 10;
  static StoreOptions SmallStore();

  // On a disk of its own, or on one that outlives it.
  explicit StoreRig(SimFileSystem* disk = nullptr)
      : disk_(disk != nullptr ? *disk : own_disk_.emplace()) {}

  // Opens the store. Its first segment becomes ready once it is pumped.
  void OpenStore(
      const StoreOptions& options, std::function<void()> wake = [] {});
  // Nothing that was executed waits for the disk any more.
  void MakeDurable();

 private:
  std::optional<SimFileSystem> own_disk_;

 protected:
  SimFileSystem& disk_;
  ManualClock clock_;
  ManualExecutor slow_work_{/*auto_run=*/true};
  ManualExecutor maintenance_{/*auto_run=*/true};
  ManualExecutor reads_{/*auto_run=*/true};
  std::unique_ptr<Directory> directory_ = disk_.OpenDirectory();
  std::unique_ptr<Store> store_;
};

}  // namespace kvd
