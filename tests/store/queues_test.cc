// SPDX-License-Identifier: MIT
//
// What is queued to be worked off later: bounded, counted, and worked off at
// least as fast as it comes, however seldom the loop has time for it.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "log/log_writer.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

class Queues : public testing::Test {
 protected:
  void Open() { Open(LargeGroups()); }
  void Open(StoreOptions options) {
    machine_ = std::make_unique<Machine>(&disk_, &history_, options);
    ASSERT_TRUE(machine_->Open());
  }
  static StoreOptions LargeGroups(SyncMode sync = SyncMode::kAlways) {
    StoreOptions options = SmallStore(sync);
    options.segment_bytes = 8 << 20;
    options.first_segment_bytes = 8 << 20;
    options.open_group_bytes_max = 4 << 20;
    return options;
  }
  Store& store() { return machine_->store(); }

  // Not steps of the history, of which each would cost a copy of everything.
  template <typename Change>
  void Do(uint64_t bytes, Purpose purpose, Change change) {
    for (int turn = 0; turn < 100; ++turn) {
      ColdValues cold;
      Operation operation(store(), 0, &cold);
      if (operation.Reserve(bytes, purpose) == Room::kReady) {
        return change(operation);
      }
      machine_->Turn();
    }
    FAIL() << "there is never room";
  }
  void Put(const std::string& key) {
    Do(Operation::PutBytes(key.size(), 0), Purpose::kWrite,
       [&](Operation& operation) {
         operation.Put(key, "", 0, KeyEvent::kSet);
       });
  }
  void Delete(const std::string& key) {
    Do(Operation::RemoveBytes(key.size()), Purpose::kRemoval,
       [&](Operation& operation) {
         ASSERT_NE(operation.Find(key), nullptr);
         operation.Remove(key, KeyEvent::kDel);
       });
  }
  void FlushAll() {
    Do(kDatabases * Operation::RemoveBytes(0), Purpose::kRemoval,
       [](Operation& operation) { operation.FlushAll(); });
  }

  SimFileSystem disk_;
  History history_;
  std::unique_ptr<Machine> machine_;
};

TEST_F(Queues, AreCounted) { EXPECT_EQ(CheckQueuesAreCounted(), ""); }

TEST_F(Queues, RemovalsAreWorkedOffAsFastAsTheyCome) {
  constexpr size_t kKeys = 20'000;
  Open();
  size_t most = 0;
  for (int round = 0; round < 5; ++round) {
    for (size_t i = 0; i < kKeys; ++i) Put(std::to_string(i));
    machine_->Turn();
    for (size_t i = 0; i < kKeys; ++i) {
      Delete(std::to_string(i));
      most = std::max<size_t>(most, store().Stats().removals_queued);
    }
    // Once a round, as a loop does that has much to do.
    machine_->Turn();
  }
  EXPECT_LE(most, kKeys);
}

TEST_F(Queues, AFlushOfNothingLeavesNothing) {
  Open();
  const uint64_t before = store().memory_bytes();
  for (int i = 0; i < 1000; ++i) FlushAll();
  EXPECT_EQ(store().Stats().tables_queued, 0u);
  EXPECT_EQ(store().memory_bytes(), before);
}

TEST_F(Queues, SmallTablesAreFreedAsFastAsTheyCome) {
  Open();
  uint64_t most = 0;
  for (int i = 0; i < 5000; ++i) {
    Put("key");
    FlushAll();
    most = std::max(most, store().Stats().tables_queued);
  }
  EXPECT_LE(most, 4u);
}

TEST_F(Queues, LargeTablesAreFreedAsFastAsTheyCome) {
  constexpr int kKeys = 10'000;
  Open();
  uint64_t most = 0;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kKeys; ++i) Put(std::to_string(i));
    FlushAll();
    most = std::max(most, store().Stats().tables_queued);
  }
  EXPECT_LE(most, 2u);
}

TEST_F(Queues, WritersWaitForWhatAFlushFreesAndAreNotRefused) {
  StoreOptions options = LargeGroups();
  options.memory_limit_bytes = 1 << 20;
  Open(options);
  const auto put = [&](const std::string& key) {
    ColdValues cold;
    Operation operation(store(), 0, &cold);
    const Room room = operation.AdmitPut(key, 0, 0);
    if (room != Room::kReady) return room;
    Put(key);
    return Room::kReady;
  };
  int keys = 0;
  while (keys < 100'000 && put(std::to_string(keys)) == Room::kReady) ++keys;
  EXPECT_EQ(put("one more"), Room::kMemoryFull);
  FlushAll();
  Room room = put("one more");
  for (int tick = 0; tick < 100 && room == Room::kWait; ++tick) {
    machine_->Tick();
    machine_->Turn();
    room = put("one more");
  }
  EXPECT_EQ(room, Room::kReady);
}

// A compaction waits for tables whose entries may count for its victims, not
// for those that were cleared later.
TEST_F(Queues, ACompactionEndsWhileDatabasesAreFlushed) {
  Open(SmallStore());
  for (int i = 0; i < 40; ++i) {
    machine_->Put("key" + std::to_string(i % 10), std::string(2000, 'v'));
    machine_->Settle();
  }
  const uint64_t run = store().Compact();
  int turns = 0;
  for (; store().compaction().runs_ended < run && turns < 200; ++turns) {
    machine_->executor().RunOne();
    machine_->maintenance().RunOne();
    machine_->Put("other", "value");
    for (int i = 0; i < 50; ++i) Put("more" + std::to_string(i));
    FlushAll();
    machine_->Turn();
    machine_->Tick();
  }
  EXPECT_LT(turns, 200);
}

TEST_F(Queues, FlushesAreBoundedWhereNothingIsSynced) {
  Open(LargeGroups(SyncMode::kNever));
  const Seq synced = store().durable_seq();
  for (size_t i = 0; i < 2 * kDatabaseChangesMax / kDatabases; ++i) {
    FlushAll();
    machine_->Turn();
  }
  machine_->Tick();
  machine_->Turn();
  EXPECT_GT(store().durable_seq(), synced);
}

}  // namespace
}  // namespace kvd
