// SPDX-License-Identifier: MIT
#include "log/write/database_changes.h"

#include "base/coding.h"
#include "base/planted_bug.h"

namespace kvd {

void DatabaseChanges::Add(RecordKind kind, uint16_t database,
                          std::string_view value, uint64_t seq) {
  const uint16_t other = value.empty() ? 0 : LoadLe<uint16_t>(value.data());
  changes_.push_back({kind, database, other, seq});
}

void DatabaseChanges::ApplyUpTo(uint64_t seq, DatabaseMap* databases) {
  while (!changes_.empty() && changes_.front().seq <= seq) {
    const Change& change = changes_.front();
    const NumberValue other(change.other);
    Record record{change.kind, change.database, change.seq, 0, {}, {}};
    if (change.kind == RecordKind::kSwap) record.value = other.view();
    const bool forgotten =
        change.kind == RecordKind::kSwap && IsPlanted(PlantedBug::kForgetSwaps);
    if (!forgotten) databases->Apply(record);
    changes_.pop_front();
  }
}

}  // namespace kvd
