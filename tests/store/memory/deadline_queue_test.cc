// SPDX-License-Identifier: MIT
#include "store/memory/deadline_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace kvd {
namespace {

EntryPtr Expiring(uint64_t deadline_ms) {
  return Entry::Create("key", "value", 1, {}, deadline_ms);
}

// Empties the queue and returns the deadlines in the order it gave them.
std::vector<uint64_t> Drain(DeadlineQueue* queue) {
  std::vector<uint64_t> deadlines;
  while (Entry* entry = queue->Earliest()) {
    deadlines.push_back(entry->deadline_ms());
    queue->Remove(entry);
  }
  return deadlines;
}

TEST(DeadlineQueue, IsEmptyAtFirst) {
  DeadlineQueue queue;
  EXPECT_EQ(queue.Earliest(), nullptr);
  EXPECT_EQ(queue.size(), 0u);
}

TEST(DeadlineQueue, GivesTheEarliestFirst) {
  DeadlineQueue queue;
  std::vector<EntryPtr> entries;
  for (uint64_t deadline : {50, 20, 90, 20, 10, 70}) {
    entries.push_back(Expiring(deadline));
    queue.Add(entries.back().get());
  }
  EXPECT_EQ(Drain(&queue), (std::vector<uint64_t>{10, 20, 20, 50, 70, 90}));
}

TEST(DeadlineQueue, TellsWhatIsDue) {
  DeadlineQueue queue;
  EXPECT_TRUE(queue.Due(1000, 10).empty());
  std::vector<EntryPtr> entries;
  for (uint64_t i = 0; i < 500; ++i) {
    entries.push_back(Expiring(1 + i * 7919 % 500));  // From 1 to 500.
    queue.Add(entries.back().get());
  }
  EXPECT_TRUE(queue.Due(0, 10).empty());
  EXPECT_TRUE(queue.Due(500, 0).empty());
  std::vector<uint64_t> deadlines;
  for (const Entry* entry : queue.Due(100, 1000)) {
    deadlines.push_back(entry->deadline_ms());
  }
  std::sort(deadlines.begin(), deadlines.end());
  ASSERT_EQ(deadlines.size(), 100u);
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(deadlines[i], i + 1);
  EXPECT_EQ(queue.Due(100, 30).size(), 30u);
  EXPECT_EQ(queue.size(), 500u);
}

TEST(DeadlineQueue, SamplesAreFromAllOverIt) {
  DeadlineQueue queue;
  const auto sample = [&queue](size_t count) {
    std::vector<uint64_t> deadlines;
    queue.Sample(count, [&](const Entry& entry) {
      deadlines.push_back(entry.deadline_ms());
    });
    return deadlines;
  };
  EXPECT_TRUE(sample(3).empty());
  std::vector<EntryPtr> entries;
  // In this order they are where they are put.
  for (uint64_t deadline = 1; deadline <= 10'000; ++deadline) {
    entries.push_back(Expiring(deadline));
    queue.Add(entries.back().get());
  }
  EXPECT_EQ(sample(4), (std::vector<uint64_t>{1, 2501, 5001, 7501}));
  EXPECT_EQ(sample(10'000).size(), 10'000u);
  EXPECT_EQ(sample(20'000).back(), 10'000u);
}

TEST(DeadlineQueue, IgnoresTheRemovalOfWhatItDoesNotHold) {
  DeadlineQueue queue;
  const EntryPtr held = Expiring(1);
  const EntryPtr never_added = Expiring(2);
  const EntryPtr without_deadline = Entry::Create("key", "value", 1, {});
  queue.Add(held.get());

  queue.Remove(never_added.get());
  queue.Remove(without_deadline.get());

  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(queue.Earliest(), held.get());
}

TEST(DeadlineQueue, UpdatePassesThePlaceOn) {
  DeadlineQueue queue;
  const EntryPtr other = Expiring(50);
  const EntryPtr old = Expiring(10);
  const EntryPtr later = Expiring(90);
  const EntryPtr none = Entry::Create("key", "value", 1, {});
  const EntryPtr again = Expiring(20);
  queue.Add(other.get());
  queue.Add(old.get());

  queue.Update(old.get(), later.get());
  EXPECT_EQ(queue.Earliest(), other.get());
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(old->queue_position(), Entry::kNotQueued);

  queue.Update(later.get(), none.get());
  EXPECT_EQ(queue.size(), 1u);

  queue.Update(none.get(), again.get());
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.Earliest(), again.get());
}

TEST(DeadlineQueue, GivesItsMemoryBack) {
  DeadlineQueue queue;
  std::vector<EntryPtr> entries;
  for (size_t i = 0; i < 4 * DeadlineQueue::kChunkSlots; ++i) {
    entries.push_back(Expiring(i + 1));
    queue.Add(entries.back().get());
  }
  const size_t full_bytes = queue.memory_bytes();
  EXPECT_LE(full_bytes, entries.size() * 8 + 64);
  Drain(&queue);
  EXPECT_LE(queue.memory_bytes(), full_bytes / 3);
}

// Random changes against a sorted model, with few distinct deadlines so that
// equal ones are common, and enough entries for several chunks.
class DeadlineQueueModel : public ::testing::TestWithParam<uint64_t> {
 protected:
  using Model = std::multimap<uint64_t, Entry*>;

  EntryPtr MakeEntry() { return Expiring(1 + random_() % 5000); }

  void Add() {
    entries_.push_back(MakeEntry());
    queue_.Add(entries_.back().get());
    model_.emplace(entries_.back()->deadline_ms(), entries_.back().get());
  }

  void Forget(Entry* entry) {
    const auto [first, last] = model_.equal_range(entry->deadline_ms());
    for (auto it = first; it != last; ++it) {
      if (it->second == entry) {
        model_.erase(it);
        return;
      }
    }
    FAIL() << "The queue held an entry that the model does not know.";
  }

  void RemoveAt(size_t i) {
    Forget(entries_[i].get());
    queue_.Remove(entries_[i].get());
    std::swap(entries_[i], entries_.back());
    entries_.pop_back();
  }

  void UpdateAt(size_t i) {
    EntryPtr replacement = MakeEntry();
    Forget(entries_[i].get());
    queue_.Update(entries_[i].get(), replacement.get());
    model_.emplace(replacement->deadline_ms(), replacement.get());
    entries_[i] = std::move(replacement);
  }

  std::mt19937_64 random_{GetParam()};
  std::vector<EntryPtr> entries_;
  DeadlineQueue queue_;
  Model model_;
};

TEST_P(DeadlineQueueModel, AlwaysKnowsTheEarliest) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  for (int step = 0; step < 60'000; ++step) {
    const bool growing = step < 30'000;
    const uint64_t dice = random_() % 10;
    if (entries_.empty() || dice < (growing ? 6 : 2)) {
      Add();
    } else if (dice < 8) {
      RemoveAt(random_() % entries_.size());
    } else {
      UpdateAt(random_() % entries_.size());
    }
    ASSERT_EQ(queue_.size(), model_.size());
    if (model_.empty()) continue;
    ASSERT_EQ(queue_.Earliest()->deadline_ms(), model_.begin()->first);
  }
  for (const auto& [deadline, entry] : model_) {
    ASSERT_EQ(queue_.Earliest()->deadline_ms(), deadline);
    queue_.Remove(queue_.Earliest());
  }
  EXPECT_EQ(queue_.size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, DeadlineQueueModel,
                         ::testing::Values(1, 2, 0x6b7664));

}  // namespace
}  // namespace kvd
