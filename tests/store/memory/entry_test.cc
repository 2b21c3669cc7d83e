// SPDX-License-Identifier: MIT
#include "store/memory/entry.h"

#include <gtest/gtest.h>

#include <string>

#include "base/limits.h"

namespace kvd {
namespace {

TEST(Entry, HoldsWhatItWasCreatedWith) {
  const EntryPtr entry = Entry::Create("key", "value", 7, {3, 4096});

  EXPECT_EQ(entry->key(), "key");
  EXPECT_EQ(entry->value(), "value");
  EXPECT_EQ(entry->seq(), 7u);
  EXPECT_EQ(entry->place(), (Place{3, 4096}));
  EXPECT_FALSE(entry->has_deadline());
  EXPECT_EQ(entry->deadline_ms(), 0u);
  EXPECT_FALSE(entry->is_ghost());
}

TEST(Entry, CostsTwentyFourBytesBesideKeyAndValue) {
  EXPECT_EQ(Entry::Create("key", "value", 1, {})->allocation_bytes(), 32u);
}

TEST(Entry, CostsSixteenMoreWithADeadline) {
  const EntryPtr entry = Entry::Create("key", "value", 1, {}, 99);
  EXPECT_EQ(entry->allocation_bytes(), 48u);
  EXPECT_EQ(entry->deadline_ms(), 99u);
  EXPECT_EQ(entry->queue_position(), Entry::kNotQueued);
  EXPECT_EQ(entry->key(), "key");
  EXPECT_EQ(entry->value(), "value");
}

TEST(Entry, AcceptsEmptyKeyAndValue) {
  const EntryPtr entry = Entry::Create({}, {}, 1, {});
  EXPECT_EQ(entry->key(), "");
  EXPECT_EQ(entry->value(), "");
}

TEST(Entry, AcceptsAnyBytesAndTheLongestKey) {
  const std::string key(kKeyBytesMax, '\0');
  const std::string value(3 << 20, '\xff');
  const EntryPtr entry = Entry::Create(key, value, 1, {}, 5);
  EXPECT_EQ(entry->key(), key);
  EXPECT_EQ(entry->value(), value);
}

TEST(EntryDeathTest, RefusesALongerKey) {
  const std::string key(kKeyBytesMax + 1, 'k');
  EXPECT_DEATH(Entry::Create(key, "", 1, {}), "kKeyBytesMax");
}

TEST(Entry, GhostHasAKeyAlone) {
  const EntryPtr ghost = Entry::CreateGhost("gone", 9, {1, 2});
  EXPECT_TRUE(ghost->is_ghost());
  EXPECT_EQ(ghost->key(), "gone");
  EXPECT_EQ(ghost->value(), "");
  EXPECT_EQ(ghost->seq(), 9u);
  EXPECT_FALSE(ghost->has_deadline());
}

TEST(Entry, ColdOneKnowsItsValueAndDoesNotHoldIt) {
  const EntryPtr cold = Entry::CreateCold("key", 500, 9, {3, 4096});
  EXPECT_TRUE(cold->is_cold());
  EXPECT_FALSE(cold->is_ghost());
  EXPECT_FALSE(cold->holds_value());
  EXPECT_EQ(cold->key(), "key");
  EXPECT_EQ(cold->value_size(), 500u);
  EXPECT_EQ(cold->seq(), 9u);
  EXPECT_EQ(cold->place(), (Place{3, 4096}));
  EXPECT_EQ(cold->allocation_bytes(), 32u);
}

TEST(Entry, ColdOneMayHaveADeadline) {
  const EntryPtr cold = Entry::CreateCold("key", 500, 9, {}, 99);
  EXPECT_EQ(cold->deadline_ms(), 99u);
  EXPECT_EQ(cold->queue_position(), Entry::kNotQueued);
  EXPECT_EQ(cold->key(), "key");
  EXPECT_EQ(cold->allocation_bytes(), 48u);
}

TEST(Entry, AnEmptyValueIsNeverCold) {
  const EntryPtr entry = Entry::CreateCold("key", 0, 9, {});
  EXPECT_FALSE(entry->is_cold());
  EXPECT_FALSE(entry->holds_value());
  EXPECT_EQ(entry->value(), "");
}

TEST(EntryDeathTest, GivesNoValueThatIsNotThere) {
  const EntryPtr cold = Entry::CreateCold("key", 500, 9, {});
  EXPECT_DEATH(static_cast<void>(cold->value()), "is_cold");
}

TEST(Entry, IsMarkedWhetherColdOrNot) {
  const EntryPtr warm = Entry::Create("key", "value", 1, {});
  const EntryPtr cold = Entry::CreateCold("key", 5, 1, {});
  for (const Entry* entry : {warm.get(), cold.get()}) {
    EXPECT_FALSE(entry->visited());
    entry->set_visited(true);
    EXPECT_TRUE(entry->visited());
    entry->set_visited(false);
    EXPECT_FALSE(entry->visited());
  }
}

TEST(Entry, IsOverwrittenInPlaceByAValueOfItsSize) {
  const EntryPtr entry = Entry::Create("key", "old", 1, {1, 1});
  ASSERT_TRUE(entry->Fits(3, 0));
  entry->Overwrite("new", 2, {2, 2});
  EXPECT_EQ(entry->key(), "key");
  EXPECT_EQ(entry->value(), "new");
  EXPECT_EQ(entry->seq(), 2u);
  EXPECT_EQ(entry->place(), (Place{2, 2}));
}

TEST(Entry, IsOverwrittenByAPartOfItself) {
  const EntryPtr entry = Entry::Create("key", "old", 1, {});
  entry->Overwrite(entry->key(), 2, {});
  EXPECT_EQ(entry->value(), "key");
  entry->Overwrite(entry->value(), 3, {});
  EXPECT_EQ(entry->value(), "key");
}

TEST(Entry, TakesANewDeadlineInPlaceOfAnother) {
  const EntryPtr entry = Entry::Create("key", "old", 1, {}, 100);
  entry->Overwrite("new", 2, {}, 200);
  EXPECT_EQ(entry->deadline_ms(), 200u);
  EXPECT_EQ(entry->value(), "new");
}

TEST(Entry, DoesNotFitWhatNeedsAnotherAllocation) {
  const EntryPtr plain = Entry::Create("key", "old", 1, {});
  EXPECT_FALSE(plain->Fits(4, 0));
  EXPECT_FALSE(plain->Fits(3, 100));
  const EntryPtr expiring = Entry::Create("key", "old", 1, {}, 100);
  EXPECT_TRUE(expiring->Fits(3, 200));
  EXPECT_FALSE(expiring->Fits(3, 0));
  EXPECT_FALSE(Entry::CreateGhost("key", 1, {})->Fits(0, 0));
  EXPECT_FALSE(Entry::CreateCold("key", 3, 1, {})->Fits(3, 0));
}

TEST(EntryDeathTest, KeepsItsDeadlineWhileQueued) {
  const EntryPtr entry = Entry::Create("key", "old", 1, {}, 100);
  entry->set_queue_position(0);
  entry->Overwrite("new", 2, {}, 100);
  EXPECT_DEATH(entry->Overwrite("new", 2, {}, 200), "queue_position");
}

}  // namespace
}  // namespace kvd
