// SPDX-License-Identifier: MIT
#include "tests/daemon/store_rig.h"

#include <utility>

#include "base/check.h"

namespace kvd {

StoreOptions StoreRig::SmallStore() {
  StoreOptions options;
  options.segment_bytes = kSegmentBytes;
  options.open_group_bytes_max = kOpenGroupBytesMax;
  return options;
}

void StoreRig::OpenStore(const StoreOptions& options,
                         std::function<void()> wake) {
  auto store =
      Store::Open(*directory_, options, {slow_work_, maintenance_, reads_},
                  clock_, std::move(wake));
  KVD_CHECK(store.ok());
  store_ = std::move(*store);
}

void StoreRig::MakeDurable() {
  for (int i = 0; i < 8; ++i) {
    store_->Pump();
    store_->Poll();
  }
}

}  // namespace kvd
