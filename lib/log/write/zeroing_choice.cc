// SPDX-License-Identifier: MIT
#include "log/write/zeroing_choice.h"

#include <algorithm>

namespace kvd {

void ZeroingChoice::NoteGroup(uint64_t bytes) {
  const auto size = static_cast<double>(bytes);
  const double weight = std::min(1 / kUsualGroups + size / kUsualBytes, 1.0);
  usual_group_bytes_ += (size - usual_group_bytes_) * weight;
}

}  // namespace kvd
