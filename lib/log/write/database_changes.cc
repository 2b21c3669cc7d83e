// SPDX-License-Identifier: MIT
#include "log/write/database_changes.h"

#include "base/planted_bug.h"

namespace kvd {

void DatabaseChanges::Add(RecordKind kind, uint8_t database,
                          std::string_view value, uint64_t seq) {
  const uint8_t other = value.empty() ? 0 : static_cast<uint8_t>(value[0]);
  changes_.push_back({kind, database, other, seq});
}

void DatabaseChanges::ApplyUpTo(uint64_t seq, DatabaseMap* databases) {
  while (!changes_.empty() && changes_.front().seq <= seq) {
    const Change& change = changes_.front();
    const char other = static_cast<char>(change.other);
    Record record{change.kind, change.database, change.seq, 0, {}, {}};
    if (change.kind == RecordKind::kSwap) record.value = {&other, 1};
    const bool forgotten =
        change.kind == RecordKind::kSwap && IsPlanted(PlantedBug::kForgetSwaps);
    if (!forgotten) databases->Apply(record);
    changes_.pop_front();
  }
}

}  // namespace kvd
