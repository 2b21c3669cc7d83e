// SPDX-License-Identifier: MIT
#include "store/memory/value_pin.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include "store/memory/entry.h"
#include "store/memory/keyspace.h"

namespace kvd {
namespace {

class PinnedValue : public testing::Test {
 protected:
  const Entry& Put(std::string_view value) {
    keyspace_.Put(Hash(), "key", value, ++seq_, {1, 0}, 0);
    return *Find();
  }
  Entry* Find() { return keyspace_.Find(Hash(), "key"); }
  uint64_t Hash() const { return keyspace_.Hash("key"); }

  SegmentUsage usage_;
  MemoryUse memory_;
  Keyspace keyspace_{7, &usage_, &memory_};
  uint64_t seq_ = 0;
};

TEST_F(PinnedValue, OutlivesAnOverwriteOfItsSize) {
  const ValuePin pin(Put("old"));
  EXPECT_EQ(Put("new").value(), "new");
  EXPECT_EQ(pin.value(), "old");
}

TEST_F(PinnedValue, OutlivesRemovalEvictionAndFlush) {
  const ValuePin removed(Put("removed"));
  keyspace_.Bury(Hash(), "key", ++seq_, {1, 0});
  const ValuePin evicted(Put("evicted"));
  keyspace_.MakeCold(Find());
  EXPECT_TRUE(Find()->is_cold());
  const ValuePin flushed(Put("flushed"));
  const auto cleared = keyspace_.Clear(++seq_);
  EXPECT_EQ(keyspace_.Free(cleared.get(), 10), 0u);
  EXPECT_EQ(removed.value(), "removed");
  EXPECT_EQ(evicted.value(), "evicted");
  EXPECT_EQ(flushed.value(), "flushed");
}

TEST_F(PinnedValue, StaysUntilItsLastPinGoes) {
  std::optional<ValuePin> first(Put("old"));
  ValuePin second(*Find());
  Put("new");
  first.reset();
  EXPECT_EQ(second.value(), "old");
  const ValuePin moved = std::move(second);
  EXPECT_EQ(moved.value(), "old");
}

TEST_F(PinnedValue, IsOverwrittenInPlaceAgainAfterwards) {
  const Entry* entry = &Put("old");
  { const ValuePin pin(*entry); }
  EXPECT_EQ(&Put("new"), entry);
}

}  // namespace
}  // namespace kvd
