// SPDX-License-Identifier: MIT
//
// memory.limit: what counts, what goes to disk first, who waits and who is
// refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "store/memory/keyspace.h"
#include "tests/store/promises/machine.h"

namespace kvd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class MemoryLimit : public testing::Test {
 protected:
  static constexpr uint64_t kLimit = 128 << 10;

  // Open groups are large enough for a limit to be met on the way to disk.
  void Open(uint64_t limit = kLimit) {
    StoreOptions options = SmallStore();
    options.segment_bytes = 1 << 20;
    options.open_group_bytes_max = 256 << 10;
    options.memory_limit_bytes = limit;
    options.log = [this](Severity, const std::string& message) {
      log_.push_back(message);
    };
    machine_ = std::make_unique<Machine>(&disk_, &history_, options);
    ASSERT_TRUE(machine_->Open());
    Settle();
  }
  Store& store() { return machine_->store(); }
  void Settle() {
    for (int i = 0; i < 4; ++i) machine_->Turn();
  }

  // What a command that puts these meets; it has put them if kReady.
  Room Put(const std::vector<std::pair<std::string, std::string>>& pairs,
           int64_t deadline_ms = 0) {
    ColdValues cold;
    Operation operation(store(), 0, &cold);
    uint64_t bytes = 0;
    for (const auto& [key, value] : pairs) {
      const Room room = operation.AdmitPut(key, value.size(), deadline_ms);
      if (room != Room::kReady) return room;
      bytes += Operation::PutBytes(key.size(), value.size());
    }
    const Room room = operation.Reserve(bytes, Purpose::kWrite);
    if (room != Room::kReady) return room;
    for (const auto& [key, value] : pairs) {
      operation.Put(key, value, deadline_ms, KeyEvent::kSet);
    }
    return room;
  }
  Room Put(const std::string& key, const std::string& value) {
    return Put({{key, value}});
  }
  void Delete(const std::string& key) {
    ColdValues cold;
    Operation operation(store(), 0, &cold);
    ASSERT_NE(operation.Find(key), nullptr);
    ASSERT_EQ(operation.Reserve(Operation::RemoveBytes(key.size()),
                                Purpose::kRemoval),
              Room::kReady);
    operation.Remove(key, KeyEvent::kDel);
  }
  // Adds keys with values of that size until one is refused.
  size_t Fill(size_t value_size) {
    size_t keys = 0;
    Room room = Room::kReady;
    for (int tries = 0; tries < 100'000; ++tries) {
      room = Put(KeyOf(keys), std::string(value_size, 'v'));
      if (room == Room::kReady) {
        ++keys;
      } else if (room == Room::kWait) {
        Settle();
      } else {
        break;
      }
    }
    EXPECT_EQ(room, Room::kMemoryFull);
    Settle();
    return keys;
  }
  static std::string KeyOf(size_t number) {
    return "key" + std::to_string(number);
  }

  SimFileSystem disk_;
  History history_;
  std::vector<std::string> log_;
  std::unique_ptr<Machine> machine_;
};

TEST_F(MemoryLimit, WhatAddsToFullMemoryIsRefusedAndTheRestGoesOn) {
  Open();
  const size_t keys = Fill(1);
  EXPECT_GT(keys, 1000u);
  EXPECT_GE(store().memory_bytes(), kLimit);
  EXPECT_LT(store().memory_bytes(), kLimit + kLimit / 8);
  EXPECT_TRUE(store().Stats().memory_full);

  const Seq before = store().last_seq();
  EXPECT_EQ(Put("new", ""), Room::kMemoryFull);
  EXPECT_EQ(Put(KeyOf(0), "vv"), Room::kMemoryFull);
  EXPECT_EQ(Put({{KeyOf(0), "w"}, {"new", "v"}}), Room::kMemoryFull);
  EXPECT_EQ(store().last_seq(), before);

  EXPECT_EQ(Put(KeyOf(0), "w"), Room::kReady);
  EXPECT_EQ(Put(KeyOf(1), ""), Room::kReady);
  EXPECT_EQ(Put({{KeyOf(2), "w"}, {KeyOf(3), "w"}}), Room::kReady);
  EXPECT_EQ(machine_->Get(KeyOf(0)), "w");
  EXPECT_THAT(log_, ElementsAre(HasSubstr("reached memory.limit")));
}

TEST_F(MemoryLimit, ThereIsRoomAgainWhenKeysHaveGone) {
  Open();
  const size_t keys = Fill(1);
  for (size_t i = 0; i < keys / 4; ++i) Delete(KeyOf(i));
  Settle();
  machine_->Tick();
  EXPECT_FALSE(store().Stats().memory_full);
  EXPECT_EQ(Put("new", "v"), Room::kReady);
  EXPECT_THAT(log_, ElementsAre(HasSubstr("reached memory.limit"),
                                HasSubstr("room below memory.limit again")));
}

TEST_F(MemoryLimit, AnExpiredKeyIsNoneToOverwrite) {
  Open();
  const int64_t soon = machine_->clock().WallMs() + 10;
  ASSERT_EQ(Put({{"short-lived", "v"}}, soon), Room::kReady);
  // One command may go beyond the limit, so that the key's end is not enough.
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 4000; ++i) many.emplace_back(KeyOf(i), "v");
  ASSERT_EQ(Put(many), Room::kReady);
  Settle();
  ASSERT_EQ(Put({{"short-lived", "w"}}, soon), Room::kReady);
  machine_->AdvanceMs(20);
  EXPECT_EQ(Put("short-lived", "v"), Room::kMemoryFull);
  EXPECT_EQ(machine_->Get("short-lived"), std::nullopt);
}

TEST_F(MemoryLimit, ValuesGoToDiskBeforeAKeyIsRefused) {
  Open();
  // Many times the limit.
  constexpr size_t kKeys = 400;
  for (size_t i = 0; i < kKeys; ++i) {
    Room room =
        Put(KeyOf(i), std::string(4000, static_cast<char>('a' + i % 26)));
    for (int turn = 0; turn < 10 && room == Room::kWait; ++turn) {
      Settle();
      room = Put(KeyOf(i), std::string(4000, static_cast<char>('a' + i % 26)));
    }
    ASSERT_EQ(room, Room::kReady) << i;
  }
  Settle();
  EXPECT_LT(store().memory_bytes(), kLimit);
  EXPECT_GT(store().Stats().values_evicted, kKeys / 2);
  for (size_t i = 0; i < kKeys; ++i) {
    EXPECT_EQ(machine_->Get(KeyOf(i)),
              std::string(4000, static_cast<char>('a' + i % 26)));
  }
  Settle();
  EXPECT_LT(store().memory_bytes(), kLimit);
}

TEST_F(MemoryLimit, WritersWaitForValuesThatAreOnTheirWayToDisk) {
  Open();
  const std::string value(4000, 'v');
  size_t keys = 0;
  while (Put(KeyOf(keys), value) == Room::kReady) ASSERT_LT(++keys, 64u);
  // The log had room; it was memory.
  {
    ColdValues cold;
    Operation operation(store(), 0, &cold);
    EXPECT_EQ(operation.Reserve(Operation::PutBytes(8, value.size()),
                                Purpose::kWrite),
              Room::kReady);
  }
  EXPECT_EQ(Put("new", value), Room::kWait);
  EXPECT_FALSE(store().Stats().memory_full);
  EXPECT_EQ(Put(KeyOf(0), value), Room::kReady);
  // Those who wait are told when to ask again.
  bool told = false;
  for (int turn = 0; turn < 8 && Put("new", value) == Room::kWait; ++turn) {
    store().Pump();
    told = store().Poll();
  }
  EXPECT_TRUE(told);
  EXPECT_EQ(Put("new", value), Room::kReady);
}

TEST_F(MemoryLimit, KeysLeaveLessToValues) {
  Open();
  const uint64_t at_first = store().Stats().value_cache_bytes;
  EXPECT_LT(at_first, kLimit);
  EXPECT_GT(at_first, kLimit / 2);
  const size_t keys = Fill(100);
  EXPECT_GT(keys, 500u);
  const StoreStats stats = store().Stats();
  EXPECT_EQ(stats.value_cache_bytes, 0u);
  EXPECT_EQ(stats.value_bytes, 0u);
  // They are read all the same, and do not stay.
  EXPECT_EQ(machine_->Get(KeyOf(0)), std::string(100, 'v'));
  EXPECT_EQ(store().Stats().value_bytes, 0u);
}

TEST_F(MemoryLimit, WithoutALimitNothingIsRefused) {
  Open(0);
  for (size_t i = 0; i < 2000; ++i) {
    if (i % 100 == 0) Settle();
    ASSERT_EQ(Put(KeyOf(i), std::string(1000, 'v')), Room::kReady) << i;
  }
  EXPECT_GT(store().memory_bytes(), 2'000'000u);
  EXPECT_EQ(store().memory_limit_bytes(), 0u);
  EXPECT_EQ(store().Stats().value_cache_bytes, UINT64_MAX);
}

TEST(KeyspaceMemory, TablesAreCountedThroughEveryChange) {
  SegmentUsage usage;
  MemoryUse memory;
  Keyspace keyspace(/*hash_seed=*/1, &usage, &memory);
  const auto expect_exact = [&] {
    EXPECT_EQ(memory.index_bytes, keyspace.index().memory_bytes());
    EXPECT_EQ(memory.deadline_bytes, keyspace.deadlines().memory_bytes());
  };
  expect_exact();
  const uint64_t empty = memory.all();
  std::minstd_rand random(7);
  uint64_t seq = 0;
  for (int round = 0; round < 3; ++round) {
    for (int change = 0; change < 30'000; ++change) {
      ++seq;
      const std::string key = std::to_string(random() % 20'000);
      const uint64_t hash = keyspace.Hash(key);
      const Entry* entry = keyspace.Find(hash, key);
      if (random() % 3 == 0 && entry != nullptr && !entry->is_ghost()) {
        keyspace.Bury(hash, key, seq, {1, 0});
        if (random() % 2 == 0) keyspace.DropGhost(hash, key, seq);
      } else if (random() % 2 == 0) {
        keyspace.Put(hash, key, "v", seq, {1, 0}, random() % 2);
      } else {
        // Half of them are older than what is there of the key, if anything is.
        const uint64_t own = random() % 2 == 0 ? seq : keyspace.flushed() + 1;
        keyspace.PutIfNewest(
            hash, Entry::Create(key, "v", own, {1, 0}, random() % 2));
      }
      expect_exact();
    }
    const uint64_t full = memory.all();
    const auto cleared = keyspace.Clear(++seq);
    // It goes as it is freed.
    EXPECT_GT(memory.all(), full / 2);
    while (keyspace.Free(cleared.get(), 1000) != 0) continue;
    expect_exact();
    EXPECT_EQ(memory.all(), empty);
  }
}

}  // namespace
}  // namespace kvd
