// SPDX-License-Identifier: MIT
//
// Watched keys: what touches them, and what does not.
#include "store/watch.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "store/operation.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

class WatchTest : public testing::Test {
 protected:
  void SetUp() override { Open(SmallStore()); }
  void Open(const StoreOptions& options) {
    machine_ = std::make_unique<Machine>(&disk_, &history_, options);
    ASSERT_TRUE(machine_->Open());
    machine_->Turn();
    machine_->Put("key", "value");
    watch_ = std::make_unique<Watch>(machine_->store());
  }
  Machine& machine() { return *machine_; }
  Watch& watch() { return *watch_; }
  Seq last() { return machine_->store().last_seq(); }

  SimFileSystem disk_;
  History history_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<Watch> watch_;
};

TEST_F(WatchTest, AWriteTouches) {
  watch().Add(0, "key");
  machine().Put("other", "value");
  machine().Put("key", "value", 0, 1);
  EXPECT_EQ(watch().Touched(), std::nullopt);
  machine().Put("key", "value");
  const Seq first = last();
  machine().Put("key", "value");
  EXPECT_EQ(watch().Touched(), first);
}

TEST_F(WatchTest, AKeyThatComesAndGoesTouches) {
  watch().Add(0, "new");
  machine().Put("new", "value");
  const Seq first = last();
  machine().Delete("new");
  EXPECT_EQ(watch().Touched(), first);
}

TEST_F(WatchTest, ARemovalTouches) {
  watch().Add(0, "other");
  watch().Add(0, "key");
  machine().Delete("key");
  EXPECT_EQ(watch().Touched(), last());
}

TEST_F(WatchTest, AFlushTouchesWhatWasThere) {
  Watch absent(machine().store());
  Watch elsewhere(machine().store());
  watch().Add(0, "key");
  absent.Add(0, "absent");
  elsewhere.Add(1, "key");
  machine().Flush(0);
  EXPECT_EQ(watch().Touched(), last());
  EXPECT_EQ(absent.Touched(), std::nullopt);
  EXPECT_EQ(elsewhere.Touched(), std::nullopt);
}

TEST_F(WatchTest, AFlushOfAllTouchesWhatWasThereInAny) {
  Watch absent(machine().store());
  Watch elsewhere(machine().store());
  machine().Put("other", "value", 0, 5);
  watch().Add(0, "key");
  absent.Add(1, "key");
  elsewhere.Add(5, "other");
  machine().Transact({Part::FlushAll()});
  EXPECT_EQ(watch().Touched(), last());
  EXPECT_EQ(elsewhere.Touched(), last());
  EXPECT_EQ(absent.Touched(), std::nullopt);
}

TEST_F(WatchTest, ASwapTouchesWhatEitherHas) {
  Watch comes(machine().store());
  Watch absent(machine().store());
  Watch elsewhere(machine().store());
  watch().Add(0, "key");
  comes.Add(1, "key");
  absent.Add(1, "absent");
  elsewhere.Add(2, "key");
  machine().Swap(0, 1);
  EXPECT_EQ(watch().Touched(), last());
  EXPECT_EQ(comes.Touched(), last());
  EXPECT_EQ(absent.Touched(), std::nullopt);
  EXPECT_EQ(elsewhere.Touched(), std::nullopt);
  // It is the client's database that is watched.
  machine().Put("absent", "value", 0, 0);
  EXPECT_EQ(absent.Touched(), std::nullopt);
  machine().Put("absent", "value", 0, 1);
  EXPECT_EQ(absent.Touched(), last());
}

TEST_F(WatchTest, AnExpiryTouches) { EXPECT_EQ(CheckWatchSeesExpiry(), ""); }

TEST_F(WatchTest, TheStoresOwnExpiryTouches) {
  machine().Put("brief", "value", machine().clock().WallMs() + 10);
  watch().Add(0, "brief");
  machine().AdvanceMs(20);
  machine().Tick();
  EXPECT_EQ(watch().Touched(), last());
}

TEST_F(WatchTest, AKeyThatHadExpiredIsAbsent) {
  machine().Put("brief", "value", machine().clock().WallMs() + 10);
  machine().AdvanceMs(20);
  watch().Add(0, "brief");
  const Seq before = last();
  machine().Tick();
  ASSERT_EQ(last(), before + 1);
  EXPECT_EQ(watch().Touched(), std::nullopt);
  machine().Put("brief", "value");
  EXPECT_EQ(watch().Touched(), last());
}

TEST_F(WatchTest, AKeyThatHadExpiredStaysSoWhateverTheClockSays) {
  machine().Put("brief", "value", machine().clock().WallMs() + 10);
  machine().AdvanceMs(20);
  watch().Add(0, "brief");
  machine().clock().SetWallMs(ManualClock::kStartWallMs);
  EXPECT_EQ(machine().Get("brief"), std::nullopt);
  EXPECT_EQ(watch().Touched(), std::nullopt);
}

TEST_F(WatchTest, AnExpiredKeyThatASwapBringsIsAbsent) {
  machine().Put("brief", "value", machine().clock().WallMs() + 10, 1);
  watch().Add(0, "brief");
  machine().AdvanceMs(20);
  machine().Swap(0, 1);
  EXPECT_EQ(watch().Touched(), std::nullopt);
  machine().Tick();
  EXPECT_EQ(watch().Touched(), std::nullopt);
}

TEST_F(WatchTest, WhatATransactionTouchesIsTouchedWithIt) {
  machine().Put("brief", "value", machine().clock().WallMs() + 10);
  watch().Add(0, "key");
  watch().Add(0, "new");
  watch().Add(0, "brief");
  const auto parts = {Part::Put("new", "value"), Part::Delete("key"),
                      Part::Flush(), Part::FlushAll(), Part::Swap(0, 1)};
  for (const Part& part : parts) {
    machine().Transact({part}, /*commits=*/false);
    EXPECT_EQ(watch().Touched(), std::nullopt);
  }
  machine().Transact({Part::Put("other", "value"), Part::Delete("key")});
  EXPECT_EQ(watch().Touched(), last());
}

TEST_F(WatchTest, AnExpiryInATransactionIsUndoneAndStillTouches) {
  machine().Put("brief", "value", machine().clock().WallMs() + 10);
  watch().Add(0, "brief");
  machine().AdvanceMs(20);
  machine().Transact({Part::Get("brief")}, /*commits=*/false);
  const Seq before = last();
  EXPECT_GT(watch().Touched(), before);
}

TEST_F(WatchTest, IsForgottenWhenCleared) {
  watch().Add(0, "key");
  watch().Add(0, "key");
  watch().Add(1, "key");
  EXPECT_EQ(watch().size(), 2u);
  EXPECT_GT(watch().memory_bytes(), 0u);
  machine().Put("key", "value");
  watch().Clear();
  EXPECT_TRUE(watch().empty());
  EXPECT_EQ(watch().memory_bytes(), 0u);
  EXPECT_EQ(watch().Touched(), std::nullopt);
  machine().Put("key", "value");
  EXPECT_EQ(watch().Touched(), std::nullopt);
  watch().Add(0, "key");
  EXPECT_EQ(watch().Touched(), std::nullopt);
}

TEST_F(WatchTest, ManyMayWatchOneKey) {
  Watch other(machine().store());
  {
    Watch gone(machine().store());
    gone.Add(0, "key");
    watch().Add(0, "key");
    other.Add(0, "key");
  }
  machine().Delete("key");
  EXPECT_EQ(watch().Touched(), last());
  EXPECT_EQ(other.Touched(), last());
}

TEST_F(WatchTest, WhatIsNoChangeTouchesNobody) {
  StoreOptions options = SmallStore();
  options.value_cache_bytes = 0;
  watch_.reset();
  Open(options);
  for (int i = 0; i < 12; ++i) {
    machine().Put("filler", std::string(3000, 'f'));
    machine().Settle();
  }
  watch().Add(0, "key");
  machine().Compact();
  EXPECT_EQ(machine().Get("key"), "value");
  machine().Settle();
  EXPECT_EQ(watch().Touched(), std::nullopt);
}

}  // namespace
}  // namespace kvd
