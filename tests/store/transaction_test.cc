// SPDX-License-Identifier: MIT
//
// Transactions: whole or not at all, and nothing left of those that are undone.
#include "store/transaction.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "log/log_writer.h"
#include "store/memory/value_pin.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"
#include "tests/store/promises/store_state.h"

namespace kvd {
namespace {

class TransactionTest : public testing::Test {
 protected:
  void Open(StoreOptions options = SmallStore()) {
    machine_ = std::make_unique<Machine>(&disk_, &history_, options);
    ASSERT_TRUE(machine_->Open());
    machine_->Turn();
  }
  static StoreOptions LargeSegments() {
    StoreOptions options = SmallStore();
    options.segment_bytes = 1 << 20;
    options.first_segment_bytes = 1 << 20;
    return options;
  }
  Store& store() { return machine_->store(); }
  Operation Begin(int database = 0) { return {store(), database, &cold_}; }

  Room Put(const std::string& key, const std::string& value) {
    Operation operation = Begin();
    const Room room = operation.Reserve(
        Operation::PutBytes(key.size(), value.size()), Purpose::kWrite);
    if (room == Room::kReady) operation.Put(key, value, 0, KeyEvent::kSet);
    return room;
  }
  Room Delete(const std::string& key) {
    Operation operation = Begin();
    if (operation.Find(key) == nullptr) return operation.blocked();
    const Room room = operation.Reserve(Operation::RemoveBytes(key.size()),
                                        Purpose::kRemoval);
    if (room == Room::kReady) operation.Remove(key, KeyEvent::kDel);
    return room;
  }
  std::optional<std::string> Get(const std::string& key) {
    Operation operation = Begin();
    const Entry* entry = operation.Find(key);
    if (entry == nullptr) return std::nullopt;
    return std::string(operation.Value(*entry));
  }
  // That nothing differs from what it was.
  void ExpectSame(const StoreState& before) {
    const StoreState after(store());
    EXPECT_EQ(StoreState::Compare(before, after), "");
    EXPECT_TRUE(before.log() == after.log());
  }

  SimFileSystem disk_;
  History history_;
  std::unique_ptr<Machine> machine_;
  ColdValues cold_;
};

TEST_F(TransactionTest, IsOneGroupWhateverItsSize) {
  Open(LargeSegments());
  machine_->Put("before", "value");
  const uint64_t groups = store().Stats().groups_written;
  {
    Transaction transaction(store());
    for (int i = 0; i < 20; ++i) {
      ASSERT_EQ(Put("key" + std::to_string(i), std::string(1000, 'v')),
                Room::kReady);
    }
    EXPECT_GT(transaction.changed_bytes(), 20'000u);
    EXPECT_EQ(transaction.needed_bytes(), transaction.changed_bytes());
    transaction.Commit();
    EXPECT_GT(transaction.changed_bytes(), 20'000u);
  }
  machine_->Settle();
  EXPECT_EQ(store().Stats().groups_written, groups + 1);
  EXPECT_EQ(Get("key19"), std::string(1000, 'v'));
}

TEST_F(TransactionTest, OperationsSeeThoseBefore) {
  Open();
  machine_->Put("a", "1");
  machine_->Put("b", "2", 0, 1);
  Transaction transaction(store());
  ASSERT_EQ(Put("c", "3"), Room::kReady);
  ASSERT_EQ(Delete("a"), Room::kReady);
  EXPECT_EQ(Get("a"), std::nullopt);
  EXPECT_EQ(Get("c"), "3");
  EXPECT_EQ(Begin().Count(), 1u);
  std::vector<std::string> scanned;
  Begin().Scan(0, 100,
               [&](const Entry& entry) { scanned.emplace_back(entry.key()); });
  EXPECT_EQ(scanned, std::vector<std::string>{"c"});
  {
    Operation swap = Begin();
    ASSERT_EQ(swap.Reserve(Operation::SwapBytes(), Purpose::kWrite),
              Room::kReady);
    swap.SwapDatabases(0, 1);
  }
  EXPECT_EQ(Get("b"), "2");
  EXPECT_EQ(Get("c"), std::nullopt);
}

TEST_F(TransactionTest, LeavesNothingWhenUndone) {
  EXPECT_EQ(CheckUndoLeavesNothing(), "");
}

TEST_F(TransactionTest, LeavesTheOpenGroupAsItWas) {
  Open();
  // Whoever wrote these may come back, and the next group waits for them.
  for (int i = 0; i < 6; ++i) machine_->Put("key", std::to_string(i));
  machine_->Settle();
  machine_->Put("key", "value");
  const StoreState before(store());
  const Seq last = store().last_seq();
  for (const size_t size : {10, 4000, 20, 1000}) {
    Transaction transaction(store());
    ASSERT_EQ(Put("other", std::string(size, 'x')), Room::kReady);
    ASSERT_EQ(Put("key", std::string(size, 'y')), Room::kReady);
  }
  ExpectSame(before);
  // Its numbers are given again.
  machine_->Put("next", "value");
  EXPECT_EQ(store().last_seq(), last + 1);
  machine_->Settle();
  machine_.reset();
  EXPECT_EQ(CheckAfterCrash(&disk_, history_), "");
}

TEST_F(TransactionTest, WithoutChangesLeavesNoTrace) {
  Open();
  machine_->Put("key", "value");
  machine_->Settle();
  const StoreState before(store());
  {
    Transaction transaction(store());
    EXPECT_EQ(Get("key"), "value");
    transaction.Commit();
    EXPECT_EQ(transaction.changed_bytes(), 0u);
  }
  ExpectSame(before);
}

TEST_F(TransactionTest, HasOneTime) {
  Open();
  const int64_t now_before = machine_->clock().WallMs();
  machine_->Put("brief", "value", machine_->clock().WallMs() + 10);
  machine_->Put("long", "value", machine_->clock().WallMs() + 10);
  const StoreState before(store());
  {
    Transaction transaction(store());
    const int64_t now = transaction.now_ms();
    machine_->AdvanceMs(20);
    EXPECT_EQ(Begin().now_ms(), now);
    EXPECT_EQ(Get("brief"), "value");
  }
  {
    Transaction transaction(store());
    EXPECT_EQ(Get("brief"), std::nullopt);
    EXPECT_GT(transaction.changed_bytes(), 0u);
    machine_->clock().SetWallMs(now_before);
  }
  ExpectSame(before);
  // Undone before anybody was told, so the clock decides anew.
  EXPECT_EQ(Get("long"), "value");
}

TEST_F(TransactionTest, WaitsForRoomBehindItsChangesAndThenHasIt) {
  Open();
  // Most of the segment is full.
  for (int i = 0; i < 3; ++i) {
    machine_->Put("filler" + std::to_string(i), std::string(3500, 'f'));
    machine_->Settle();
  }
  for (int i = 0; i < 4; ++i) machine_->Turn();
  const auto run = [&](uint64_t reserved, uint64_t* needed) {
    Transaction transaction(store());
    Room room = Room::kReady;
    if (reserved > 0) room = transaction.Reserve(reserved);
    for (int i = 0; i < 4 && room == Room::kReady; ++i) {
      room = Put("key" + std::to_string(i), std::string(2500, 'k'));
    }
    *needed = transaction.needed_bytes();
    if (room == Room::kReady) transaction.Commit();
    return room;
  };
  uint64_t needed = 0;
  ASSERT_EQ(run(0, &needed), Room::kWait);
  EXPECT_EQ(Get("key0"), std::nullopt);
  // Nothing is under way that would say so otherwise.
  EXPECT_TRUE(store().Poll());
  EXPECT_FALSE(store().Poll());
  uint64_t before = 0;
  Room room = Room::kWait;
  for (int i = 0; i < 20 && room == Room::kWait; ++i) {
    before = needed;
    room = run(needed, &needed);
    EXPECT_GE(needed, before);
    machine_->executor().RunAll();
    machine_->Turn();
  }
  EXPECT_EQ(room, Room::kReady);
  EXPECT_EQ(Get("key3"), std::string(2500, 'k'));
}

TEST_F(TransactionTest, IsNotLargerThanAGroup) {
  Open();
  machine_->Put("before", "value");
  {
    Transaction transaction(store());
    EXPECT_EQ(transaction.Reserve(kGroupBodyBytesMax + 1), Room::kTooLarge);
  }
  Transaction transaction(store());
  ASSERT_EQ(Put("key", "value"), Room::kReady);
  Operation operation = Begin();
  EXPECT_EQ(operation.Reserve(kGroupBodyBytesMax, Purpose::kWrite),
            Room::kTooLarge);
}

// More removals become durable at once than one slice drops ghosts.
TEST_F(TransactionTest, AGhostThatComesBackGoesWithItsRemoval) {
  constexpr size_t kKeys = 6000;
  Open(LargeSegments());
  std::vector<Part> puts;
  std::vector<Part> deletes;
  for (size_t i = 0; i < kKeys; ++i) {
    puts.push_back(Part::Put("key" + std::to_string(i), "value"));
    deletes.push_back(Part::Delete("key" + std::to_string(i)));
  }
  ASSERT_TRUE(machine_->Transact(puts));
  machine_->Settle();
  ASSERT_TRUE(machine_->Transact(deletes));
  machine_->Settle();
  const size_t queued = store().Stats().removals_queued;
  ASSERT_GT(queued, 0u);
  // The oldest of them, which the removal would have dropped.
  const std::string key = "key" + std::to_string(kKeys - queued);
  ASSERT_TRUE(
      machine_->Transact({Part::Put(key, "again"), Part::Put("other", "value"),
                          Part::Delete("other")},
                         /*commits=*/false));
  EXPECT_EQ(history_.wrong, "");
  machine_->Tick();
  EXPECT_EQ(store().Stats().removals_queued, 0u);
  Operation operation = Begin();
  EXPECT_EQ(operation.Find(key), nullptr);
  EXPECT_EQ(operation.seen(), 0u) << "a ghost stays";
}

TEST_F(TransactionTest, WhatIsReadMeanwhileStaysAsItIs) {
  Open();
  machine_->Put("key", "value");
  std::optional<ValuePin> pin;
  {
    Operation operation = Begin();
    pin.emplace(*operation.Find("key"));
  }
  {
    Transaction transaction(store());
    ASSERT_EQ(Put("key", "other"), Room::kReady);
    EXPECT_EQ(pin->value(), "value");
  }
  EXPECT_EQ(Get("key"), "value");
  {
    Transaction transaction(store());
    ASSERT_EQ(Put("key", "other"), Room::kReady);
    transaction.Commit();
  }
  EXPECT_EQ(pin->value(), "value");
  EXPECT_EQ(Get("key"), "other");
}

TEST_F(TransactionTest, AFlushedTableComesBackAsAWhole) {
  StoreOptions options = LargeSegments();
  Open(options);
  std::vector<Part> parts;
  for (int i = 0; i < 3000; ++i) {
    parts.push_back(
        Part::Put("key" + std::to_string(i), "value",
                  i % 3 == 0 ? machine_->clock().WallMs() + i + 1 : 0));
  }
  ASSERT_TRUE(machine_->Transact(parts));
  machine_->Settle();
  ASSERT_TRUE(machine_->Transact(
      {Part::Delete("key1"), Part::Flush(), Part::Put("key1", "new"),
       Part::Count(), Part::FlushAll(), Part::Put("key2", "newer")},
      /*commits=*/false));
  EXPECT_EQ(history_.wrong, "");
  EXPECT_EQ(store().Stats().tables_queued, 0u);
  EXPECT_EQ(store().Stats().queued_bytes, 0u);
  EXPECT_EQ(Begin().Count(), 3000u);

  ASSERT_TRUE(machine_->Transact({Part::Flush(), Part::Put("key1", "new")}));
  EXPECT_EQ(store().Stats().tables_queued, 1u);
  EXPECT_EQ(Begin().Count(), 1u);
  for (int i = 0; i < 10; ++i) machine_->Tick();
  EXPECT_EQ(store().Stats().tables_queued, 0u);
}

TEST_F(TransactionTest, KeepsWhatItHadReadForTheNextAttempt) {
  StoreOptions options = SmallStore();
  options.value_cache_bytes = 0;
  Open(options);
  disk_.SetReadsWait(true);
  machine_->Put("one", std::string(500, '1'));
  machine_->Put("two", std::string(500, '2'));
  machine_->Settle();
  machine_->Turn();
  ASSERT_GT(store().Stats().values_evicted, 0u);
  ASSERT_TRUE(
      machine_->Transact({Part::Append("one", "+"), Part::Append("two", "+"),
                          Part::Append("one", "+")}));
  EXPECT_EQ(history_.wrong, "");
  EXPECT_EQ(store().Stats().reads_waited, 2u);
  EXPECT_EQ(machine_->Get("one"), std::string(500, '1') + "++");
}

TEST_F(TransactionTest, FreesRoomOnAFullDisk) {
  Open();
  for (int i = 0; i < 4; ++i) {
    machine_->Put("key" + std::to_string(i), std::string(500, 'v'));
  }
  machine_->Settle();
  disk_.SetCapacity(disk_.used_bytes());
  machine_->set_turns_max(50);
  for (int i = 0; i < 40; ++i) {
    machine_->Put("filler", std::string(1500, 'f'));
    machine_->Turn();
  }
  ASSERT_FALSE(machine_->Transact(
      {Part::Delete("key0"), Part::Put("more", std::string(3000, 'm'))}));
  EXPECT_EQ(history_.wrong, "");
  EXPECT_EQ(Get("key0"), std::string(500, 'v'));
  EXPECT_TRUE(machine_->Transact({Part::Delete("key0"), Part::Delete("key1")}));
  EXPECT_EQ(Get("key1"), std::nullopt);
}

// Of two segments, the second of which cannot be made.
TEST_F(TransactionTest, IsRefusedAsAWholeWhenItsRestHasNoRoom) {
  Open();
  machine_->Settle();
  disk_.SetCapacity(disk_.used_bytes());
  machine_->set_turns_max(50);
  std::vector<Part> parts;
  for (int i = 0; i < 30; ++i) {
    parts.push_back(
        Part::Put("key" + std::to_string(i), std::string(1500, 'v')));
  }
  const Seq last = store().last_seq();
  EXPECT_FALSE(machine_->Transact(parts));
  EXPECT_EQ(history_.wrong, "");
  EXPECT_EQ(store().last_seq(), last);
  disk_.SetCapacity(uint64_t{1} << 40);
  machine_->AdvanceMs(2000);
  machine_->Tick();
  machine_->set_turns_max(1000);
  EXPECT_TRUE(machine_->Transact(parts));
}

class LittleMemory : public TransactionTest {
 protected:
  static constexpr uint64_t kLimit = 128 << 10;

  void Open() {
    StoreOptions options = LargeSegments();
    options.open_group_bytes_max = 256 << 10;
    options.memory_limit_bytes = kLimit;
    TransactionTest::Open(options);
  }
  static std::string KeyOf(size_t i) { return "key" + std::to_string(i); }
};

TEST_F(LittleMemory, GoesBeyondItsLimitByValues) {
  Open();
  std::vector<Part> parts;
  for (size_t i = 0; i < 60; ++i) {
    parts.push_back(Part::Put(KeyOf(i), std::string(4000, 'v')));
  }
  EXPECT_TRUE(machine_->Transact(parts));
  EXPECT_EQ(history_.wrong, "");
  // The next one waits until values have gone.
  EXPECT_GT(store().memory_bytes(), kLimit);
  EXPECT_TRUE(machine_->Transact({Part::Put("new", std::string(4000, 'v'))}));
  machine_->Settle();
  for (int i = 0; i < 4; ++i) machine_->Turn();
  EXPECT_LT(store().memory_bytes(), kLimit);
}

TEST_F(LittleMemory, RefusesTheWholeForKeys) {
  Open();
  std::vector<Part> parts;
  for (size_t i = 0; i < 4000; ++i) parts.push_back(Part::Put(KeyOf(i), "v"));
  const StoreState before(store());
  EXPECT_FALSE(machine_->Transact(parts));
  EXPECT_EQ(history_.wrong, "");
  ExpectSame(before);
}

TEST_F(LittleMemory, CountsWhatItReplacesOnce) {
  Open();
  std::vector<Part> parts;
  for (size_t i = 0; i < 20; ++i) {
    parts.push_back(Part::Put(KeyOf(i), std::string(4000, 'v')));
  }
  ASSERT_TRUE(machine_->Transact(parts));
  const uint64_t used = store().memory_bytes();
  Transaction transaction(store());
  for (size_t i = 0; i < 20; ++i) {
    ASSERT_EQ(Put(KeyOf(i), std::string(4000, 'w')), Room::kReady);
  }
  EXPECT_EQ(store().memory_bytes(), used);
  EXPECT_GT(store().Stats().queued_bytes, 80'000u);
  Operation operation = Begin();
  EXPECT_EQ(operation.AdmitPut("new", 4000, 0), Room::kReady);
}

// --- Against a model --------------------------------------------------------

// Random transactions, most of them undone. Each undone attempt is compared
// with what was there (Machine::Transact()), and the whole with a map.
class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {
    StoreOptions options =
        SmallStore(seed % 3 == 0 ? SyncMode::kNever : SyncMode::kAlways);
    options.write_hints = seed % 2 == 0;
    if (seed % 5 == 1) options.value_cache_bytes = 1000;
    disk_.SetReadsWait(seed % 2 == 1);
    machine_ = std::make_unique<Machine>(&disk_, &history_, options);
  }

  std::string Run() {
    if (!machine_->Open()) return "does not open";
    for (int step = 0; step < 60; ++step) {
      Step();
      if (!history_.wrong.empty()) return history_.wrong;
      if (Below(8) != 0) continue;
      if (std::string wrong = Check(*machine_); !wrong.empty()) return wrong;
    }
    machine_->Settle();
    if (std::string wrong = Check(*machine_); !wrong.empty()) return wrong;
    return CheckReopened();
  }

 private:
  int Below(int n) {
    return static_cast<int>(random_() % static_cast<uint64_t>(n));
  }
  std::string Key() { return "key" + std::to_string(Below(15)); }
  std::string Value() {
    constexpr size_t kSizes[] = {0, 5, 60, 700, 3000};
    return std::string(kSizes[Below(5)], static_cast<char>('a' + Below(26)));
  }
  // Deadlines differ, so that their order is known.
  int64_t Deadline() { return ManualClock::kStartWallMs + 40 * ++deadlines_; }

  Part RandomPart() {
    const int database = Below(2) == 0 ? 0 : Below(3);
    switch (Below(17)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Part::Put(Key(), Value(), 0, database);
      case 4:
      case 5:
        return Part::Put(Key(), Value(), Deadline(), database);
      case 6:
      case 7:
      case 8:
        return Part::Delete(Key(), database);
      case 9:
        return Part::Append(Key(), "+", database);
      case 10:
      case 11:
        return Part::Get(Key(), database);
      case 12:
        return Part::Count(database);
      case 13:
        return Part::Flush(database);
      case 14:
        return Part::FlushAll();
      case 15:
        return Part::Move(Key(), database, (database + 1 + Below(2)) % 3);
      default:
        return Part::Swap(database, (database + 1 + Below(2)) % 3);
    }
  }

  void Step() {
    switch (Below(8)) {
      case 0:
        machine_->Turn();
        return;
      case 1:
        machine_->AdvanceMs(Below(200));
        machine_->Tick();
        return;
      case 2:
        machine_->Settle();
        return;
      case 3:
        if (Below(4) == 0) machine_->Compact();
        return;
      default: {
        // Enough of them that some outgrow a group, or a segment.
        std::vector<Part> parts(static_cast<size_t>(1 + Below(12)));
        for (Part& part : parts) part = RandomPart();
        machine_->Transact(parts, /*commits=*/Below(3) == 0);
      }
    }
  }

  std::string Check(Machine& machine) {
    // What has expired goes by records that the history has.
    Seq last = 0;
    do {
      last = machine.store().last_seq();
      machine.Settle();
      machine.Tick();
    } while (machine.store().last_seq() != last);
    return machine.Dump() == history_.states.back() ? ""
                                                    : "is not as the model";
  }

  std::string CheckReopened() {
    machine_->Stop();
    machine_.reset();
    return CheckAfterCrash(&disk_, history_);
  }

  std::mt19937_64 random_;
  SimFileSystem disk_;
  History history_;
  std::unique_ptr<Machine> machine_;
  int64_t deadlines_ = 0;
};

TEST(Transactions, LeaveNothingOfUndoneAttempts) {
  const char* chosen = std::getenv("KVD_SEED");
  const uint64_t base = chosen == nullptr ? 1 : std::strtoull(chosen, {}, 10);
  const uint64_t count = chosen == nullptr ? 60 : 1;
  for (uint64_t seed = base; seed < base + count; ++seed) {
    ASSERT_EQ(Model(seed).Run(), "") << "replay with KVD_SEED=" << seed;
  }
}

}  // namespace
}  // namespace kvd
