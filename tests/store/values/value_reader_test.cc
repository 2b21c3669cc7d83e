// SPDX-License-Identifier: MIT
//
// Values that are on disk alone, read back over the simulated disk: at once and
// by jobs that finish when the test says so, damaged ones, and those that
// change, move or go while they are being read.
#include "store/values/value_reader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/format/record.h"
#include "log/format/segment.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

using Texts = std::vector<std::string>;

// A command that reads the values of some keys of database 0.
class Command {
 public:
  Command(Store& store, Texts keys) : store_(store), keys_(std::move(keys)) {}

  // One try; whether it had all it needs. It asks for the rest otherwise.
  bool Run() {
    values_.clear();
    Operation operation(store_, 0, &cold_);
    for (const std::string& key : keys_) {
      const Entry* entry = operation.Find(key);
      values_.emplace_back(entry == nullptr ? "(none)"
                                            : operation.Value(*entry));
    }
    const bool done = !cold_.wanted() && !cold_.error();
    if (done) operation.KeepValues();
    return done;
  }
  void Read() {
    read_ = false;
    store_.Read(&cold_, [this] { read_ = true; });
  }
  // Whether the store has called back since the last Read().
  bool read() const { return read_; }
  // Why the last try cannot succeed, or "".
  std::string error() const {
    return cold_.error() ? cold_.error()->message() : "";
  }
  void Abandon() { cold_.Abandon(); }
  bool wanted() const { return cold_.wanted(); }
  const Texts& values() const { return values_; }

 private:
  Store& store_;
  Texts keys_;
  ColdValues cold_;
  Texts values_;
  bool read_ = false;
};

class ValueReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    options_ = SmallStore();
    // Every value goes once it is written, and none that was read stays.
    options_.value_cache_bytes = 0;
    options_.log = [this](Severity severity, const std::string& message) {
      if (severity == Severity::kError) errors_.push_back(message);
    };
  }

  void Open() {
    machine_ = std::make_unique<Machine>(disk_.get(), &history_, options_);
    ASSERT_TRUE(machine_->Open());
    reads().set_auto_run(false);
  }
  Machine& machine() { return *machine_; }
  Store& store() { return machine_->store(); }
  ManualExecutor& reads() { return machine_->reads(); }

  void Put(std::string_view key, std::string_view value) {
    ASSERT_TRUE(machine().Put(key, value));
    machine().Settle();
    machine().Turn();
  }
  // From here on an empty disk.
  void StartAnew() {
    machine_.reset();
    disk_ = std::make_unique<SimFileSystem>();
    history_ = History();
    Open();
  }
  // `count` keys with values of their own, over several segments.
  void PutMany(int count, size_t value_bytes = 500) {
    for (int i = 0; i < count; ++i) Put(Key(i), ValueOf(i, value_bytes));
  }
  static std::string Key(int i) { return fmt::format("key{}", i); }
  static std::string ValueOf(int i, size_t bytes = 500) {
    return fmt::format("{:-<{}}", i, bytes);
  }

  // Lets all reads finish.
  void FinishReads() {
    for (int turn = 0; turn < kTurns; ++turn) {
      store().Pump();
      reads().RunAll();
      store().Poll();
    }
  }
  // The values, read as a client would have it; an error instead of all.
  Texts Get(Texts keys) {
    Command command(store(), std::move(keys));
    while (!command.Run()) {
      if (!command.error().empty()) return {command.error()};
      command.Read();
      FinishReads();
      EXPECT_TRUE(command.read());
    }
    return command.values();
  }

  const Entry* Find(std::string_view key) {
    ColdValues cold;
    return Operation(store(), 0, &cold).Find(key);
  }
  // Of the record of that key's value.
  std::string SegmentOf(std::string_view key) {
    return SegmentName(Find(key)->place().segment);
  }
  uint64_t waited() { return store().Stats().reads_waited; }
  uint64_t at_once() { return store().Stats().reads_at_once; }

  // More than any test's reads take.
  static constexpr int kTurns = 8;

  std::unique_ptr<SimFileSystem> disk_ = std::make_unique<SimFileSystem>();
  History history_;
  StoreOptions options_;
  Texts errors_;
  std::unique_ptr<Machine> machine_;
};

TEST_F(ValueReaderTest, ReadsAtOnceWhatIsInThePageCache) {
  Open();
  Put("a", "value of a");
  Put("b", "value of b");
  // Somebody has to open the segment, which may wait.
  EXPECT_EQ(Get({"a"}), Texts{"value of a"});
  EXPECT_EQ(waited(), 1u);
  Command command(store(), {"b", "a"});
  EXPECT_TRUE(command.Run());
  EXPECT_EQ(command.values(), (Texts{"value of b", "value of a"}));
  EXPECT_EQ(at_once(), 2u);
  EXPECT_EQ(reads().pending(), 0u);
}

TEST_F(ValueReaderTest, WaitsOffTheLoopForTheDisk) {
  Open();
  Put("a", "value of a");
  Get({"a"});
  disk_->SetReadsWait(true);
  Command command(store(), {"a"});
  EXPECT_FALSE(command.Run());
  command.Read();
  store().Poll();
  EXPECT_FALSE(command.read());
  reads().RunAll();
  EXPECT_FALSE(command.read());  // Poll() says it, on the loop.
  store().Poll();
  EXPECT_TRUE(command.read());
  EXPECT_TRUE(command.Run());
  EXPECT_EQ(command.values(), Texts{"value of a"});
  EXPECT_EQ(at_once(), 0u);
}

TEST_F(ValueReaderTest, ALargeRecordIsNotReadOnTheLoop) {
  Open();
  const std::string large(kReadAtOnceBytesMax, 'x');
  Put("large", large);
  for (int i = 0; i < 2; ++i) {
    Command command(store(), {"large"});
    EXPECT_FALSE(command.Run());
    command.Read();
    FinishReads();
    EXPECT_TRUE(command.Run());
    EXPECT_EQ(command.values(), Texts{large});
  }
  EXPECT_EQ(at_once(), 0u);
}

TEST_F(ValueReaderTest, AnEmptyValueNeedsNoRead) {
  Open();
  Put("empty", "");
  Command command(store(), {"empty"});
  EXPECT_TRUE(command.Run());
  EXPECT_EQ(command.values(), Texts{""});
}

TEST_F(ValueReaderTest, CallsBackWhenAllThatOneCommandWantsIsThere) {
  Open();
  PutMany(6);
  Command command(store(), {Key(0), "missing", Key(5), Key(2)});
  EXPECT_FALSE(command.Run());
  command.Read();
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(command.read());
    EXPECT_TRUE(reads().RunOne());
    store().Poll();
  }
  EXPECT_TRUE(command.read());
  EXPECT_TRUE(command.Run());
  EXPECT_EQ(command.values(),
            (Texts{ValueOf(0), "(none)", ValueOf(5), ValueOf(2)}));
}

TEST_F(ValueReaderTest, AKeyThatIsNamedTwiceIsReadOnce) {
  options_.cold_bytes_max = 1200;
  Open();
  PutMany(2);
  EXPECT_EQ(
      Get({Key(0), Key(1), Key(0), Key(0), Key(1)}),
      (Texts{ValueOf(0), ValueOf(1), ValueOf(0), ValueOf(0), ValueOf(1)}));
  EXPECT_EQ(waited() + at_once(), 2u);
}

TEST_F(ValueReaderTest, ServesCommandsInAnyOrderOfCompletion) {
  Open();
  PutMany(40);
  disk_->SetReadsWait(true);
  std::vector<std::unique_ptr<Command>> commands;
  for (int i = 0; i < 40; ++i) {
    commands.push_back(std::make_unique<Command>(store(), Texts{Key(i)}));
    EXPECT_FALSE(commands.back()->Run());
    commands.back()->Read();
  }
  for (int i = 39; i >= 0; --i) {
    EXPECT_FALSE(commands[i]->read());
    EXPECT_TRUE(reads().RunNewest());
    store().Poll();
    EXPECT_TRUE(commands[i]->read());
    EXPECT_TRUE(commands[i]->Run());
    EXPECT_EQ(commands[i]->values(), Texts{ValueOf(i)});
  }
}

TEST_F(ValueReaderTest, SoManyReadsAreInFlightAndTheOthersQueue) {
  Open();
  constexpr int kKeys = 3 * static_cast<int>(kReadsInFlightMax) / 2;
  PutMany(kKeys, 40);
  disk_->SetReadsWait(true);
  Texts keys;
  Texts expected;
  for (int i = 0; i < kKeys; ++i) {
    keys.push_back(Key(i));
    expected.push_back(ValueOf(i, 40));
  }
  Command command(store(), keys);
  EXPECT_FALSE(command.Run());
  command.Read();
  EXPECT_EQ(reads().pending(), kReadsInFlightMax);
  reads().RunOne();
  store().Poll();
  EXPECT_EQ(reads().pending(), kReadsInFlightMax);
  FinishReads();
  EXPECT_TRUE(command.Run());
  EXPECT_EQ(command.values(), expected);
}

TEST_F(ValueReaderTest, BytesInFlightAreBoundedUnlessOneValueIsLarger) {
  options_.cold_bytes_max = UINT64_MAX;
  Open();
  const std::string half(kReadBytesInFlightMax / 2, 'h');
  const std::string more(kReadBytesInFlightMax + 1, 'm');
  Put("half1", half);
  Put("half2", half);
  Put("more", more);
  Command command(store(), {"half1", "more", "half2"});
  EXPECT_FALSE(command.Run());
  command.Read();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(reads().pending(), 1u);
    reads().RunOne();
    store().Poll();
  }
  EXPECT_TRUE(command.Run());
  EXPECT_EQ(command.values(), (Texts{half, more, half}));
}

TEST_F(ValueReaderTest, ValuesOfOneCommandAreBoundedTogether) {
  options_.cold_bytes_max = 1000;
  Open();
  PutMany(3, 400);
  Put("large", std::string(5000, 'x'));
  EXPECT_EQ(Get({Key(0), Key(1)}).size(), 2u);
  const std::string refused = Get({Key(0), Key(1), Key(2)}).front();
  EXPECT_NE(refused.find("larger than 1000 bytes together"), std::string::npos)
      << refused;
  EXPECT_EQ(Get({"large"}), Texts{std::string(5000, 'x')});
  EXPECT_EQ(Get({"large", Key(0)}).size(), 1u);
  EXPECT_EQ(errors_, Texts{});
}

TEST_F(ValueReaderTest, KeepsAsManyFilesOpenAsItMay) {
  for (const auto& [files, opens] : {std::pair{1, 10}, std::pair{2, 2}}) {
    SCOPED_TRACE(files);
    options_.read_files_max = static_cast<size_t>(files);
    Open();
    Put("a", "1");
    PutMany(10, 3000);
    Put("b", "2");
    ASSERT_NE(SegmentOf("a"), SegmentOf("b"));
    const uint64_t before = disk_->calls(SimFileSystem::Op::kOpen);
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(Get({"a"}), Texts{"1"});
      EXPECT_EQ(Get({"b"}), Texts{"2"});
    }
    EXPECT_EQ(disk_->calls(SimFileSystem::Op::kOpen) - before,
              static_cast<uint64_t>(opens));
  }
}

// Wherever a record may be: in the live segment, the one that is about to be
// sealed, a sealed one, one of an earlier life, a compacted one.
TEST_F(ValueReaderTest, ReadsSegmentsInEveryState) {
  Open();
  for (int life = 0; life < 3; ++life) {
    machine().executor().set_auto_run(false);
    for (int i = 0; i < 30; ++i) {
      Put(Key(i % 11), ValueOf(100 * life + i, 2000));
      EXPECT_EQ(Get({Key(i % 11)}), Texts{ValueOf(100 * life + i, 2000)});
      if (i % 8 == 7) machine().executor().RunAll();
    }
    reads().set_auto_run(true);
    EXPECT_EQ(machine().Dump(), history_.states.back());
    machine().executor().set_auto_run(true);
    machine().Compact();
    machine().Settle();
    EXPECT_EQ(machine().Dump(), history_.states.back());
    if (life == 0) machine().Stop();
    machine_.reset();
    Open();
  }
  EXPECT_EQ(errors_, Texts{});
  EXPECT_EQ(store().Stats().damaged_values, 0u);
}

// --- While it is being read -------------------------------------------------

// What happens to "key", durably, while its value is read; and what the command
// finds when it runs again.
struct Meanwhile {
  const char* name;
  std::function<void(Machine&)> happens;
  std::string then_is;
};

TEST_F(ValueReaderTest, ACommandSeesWhatHappenedWhileItsValueWasRead) {
  const Meanwhile cases[] = {
      {"nothing", [](Machine&) {}, "value"},
      {"overwritten", [](Machine& m) { m.Put("key", "newer"); }, "newer"},
      {"as long", [](Machine& m) { m.Put("key", "VALUE"); }, "VALUE"},
      {"emptied", [](Machine& m) { m.Put("key", ""); }, ""},
      {"deleted", [](Machine& m) { m.Delete("key"); }, "(none)"},
      {"back again",
       [](Machine& m) {
         m.Delete("key");
         m.Settle();
         m.Put("key", "back");
       },
       "back"},
      {"flushed", [](Machine& m) { m.Flush(); }, "(none)"},
      {"swapped", [](Machine& m) { m.Swap(0, 1); }, "of 1"},
      {"gets a deadline",
       [](Machine& m) { m.Put("key", "value", m.clock().WallMs() + 1000); },
       "value"},
      {"expires",
       [](Machine& m) {
         m.Put("key", "brief", m.clock().WallMs() + 10);
         m.Settle();
         m.AdvanceMs(20);
         m.Tick();
       },
       "(none)"},
      {"moved", [](Machine& m) { m.Compact(); }, "value"},
      {"overwritten and compacted",
       [](Machine& m) {
         m.Put("key", "newer");
         m.Settle();
         m.store().Compact();
         for (int i = 0; i < 50; ++i) m.Turn();
       },
       "newer"},
  };
  for (const bool is_reading : {true, false}) {
    for (const Meanwhile& meanwhile : cases) {
      SCOPED_TRACE(fmt::format("{}, {}", meanwhile.name,
                               is_reading ? "in flight" : "wanted"));
      StartAnew();
      machine().Put("key", "of 1", 0, 1);
      Put("key", "value");
      PutMany(20, 2000);
      PutMany(20, 2000);
      Command command(store(), {"key"});
      EXPECT_FALSE(command.Run());
      if (is_reading) command.Read();
      meanwhile.happens(machine());
      machine().Settle();
      machine().Turn();
      if (!is_reading) command.Read();
      FinishReads();
      EXPECT_TRUE(command.read());
      while (!command.Run()) {
        ASSERT_EQ(command.error(), "");
        command.Read();
        FinishReads();
      }
      EXPECT_EQ(command.values(), Texts{meanwhile.then_is});
      EXPECT_EQ(errors_, Texts{});
      EXPECT_EQ(store().Stats().damaged_segments, 0u);
    }
  }
}

// A read that queues behind many others is none of a segment: that may go, and
// it is no damage that it is gone.
TEST_F(ValueReaderTest, WhatIsCompactedAwayWhileItQueuesIsNotDamage) {
  Open();
  Put("gone", "1");
  Put("newer", "1");
  Put("moved", "stays");
  const std::string before = SegmentOf("gone");
  PutMany(30, 2000);
  PutMany(30, 2000);
  PutMany(100, 10);
  disk_->SetReadsWait(true);
  Texts many;
  for (int i = 0; i < 100; ++i) many.push_back(Key(i));
  Command first(store(), many);
  EXPECT_FALSE(first.Run());
  first.Read();
  ASSERT_EQ(reads().pending(), kReadsInFlightMax);
  Command second(store(), {"gone", "newer", "moved"});
  EXPECT_FALSE(second.Run());
  second.Read();

  machine().Delete("gone");
  Put("newer", "2");
  machine().Compact();
  ASSERT_FALSE(disk_->Exists(before));
  FinishReads();
  EXPECT_TRUE(first.read());
  EXPECT_TRUE(second.read());
  while (!second.Run()) {
    ASSERT_EQ(second.error(), "");
    second.Read();
    FinishReads();
  }
  EXPECT_EQ(second.values(), (Texts{"(none)", "2", "stays"}));
  EXPECT_EQ(errors_, Texts{});
  EXPECT_EQ(store().Stats().damaged_segments, 0u);
}

TEST_F(ValueReaderTest, NothingIsLeftOfAnAbandonedRead) {
  Open();
  PutMany(100, 40);
  disk_->SetReadsWait(true);
  Texts keys;
  for (int i = 0; i < 100; ++i) keys.push_back(Key(i));
  auto command = std::make_unique<Command>(store(), keys);
  EXPECT_FALSE(command->Run());
  command->Read();
  // Some have been read, some are in flight, some queue.
  for (int i = 0; i < 5; ++i) reads().RunOne();
  store().Poll();
  command.reset();
  FinishReads();
  // Those that queued were not read.
  EXPECT_EQ(waited(), kReadsInFlightMax + 5);
  EXPECT_EQ(Get({Key(99)}), Texts{ValueOf(99, 40)});
}

TEST_F(ValueReaderTest, AnAbandonedCommandMayBeginAnew) {
  Open();
  Put("a", "1");
  Put("b", "2");
  Command command(store(), {"a"});
  EXPECT_FALSE(command.Run());
  command.Read();
  command.Abandon();
  EXPECT_FALSE(command.Run());
  command.Read();
  FinishReads();
  EXPECT_TRUE(command.read());
  EXPECT_TRUE(command.Run());
  EXPECT_EQ(command.values(), Texts{"1"});
}

TEST_F(ValueReaderTest, TheStoreMayEndWhileItReads) {
  Open();
  PutMany(100, 40);
  Texts keys;
  for (int i = 0; i < 100; ++i) keys.push_back(Key(i));
  Command command(store(), keys);
  EXPECT_FALSE(command.Run());
  command.Read();
  machine_.reset();
  EXPECT_FALSE(command.read());
}

// --- Damage -----------------------------------------------------------------

TEST_F(ValueReaderTest, EveryFlippedBitOfARecordIsAnErrorForThatKeyAlone) {
  Open();
  Put("before", "fine");
  Put("key", "value");
  Put("after", "fine, too");
  const std::string segment = SegmentOf("key");
  ASSERT_EQ(SegmentOf("before"), segment);
  ASSERT_EQ(SegmentOf("after"), segment);
  const uint64_t offset = Find("key")->place().offset;
  const uint64_t bits = 8 * RecordBytes(3, 5);
  for (const bool wait : {false, true}) {
    disk_->SetReadsWait(wait);
    for (uint64_t bit = 0; bit < bits; ++bit) {
      SCOPED_TRACE(fmt::format("bit {}, {}", bit, wait ? "waits" : "at once"));
      disk_->Flip(segment, 8 * offset + bit);
      const std::string found = Get({"key"}).front();
      ASSERT_NE(found.find(fmt::format("/sim/{} at offset {}: the record of",
                                       segment, offset)),
                std::string::npos)
          << found;
      ASSERT_EQ(Get({"before", "after"}), (Texts{"fine", "fine, too"}));
      disk_->Flip(segment, 8 * offset + bit);
      ASSERT_EQ(Get({"key"}), Texts{"value"});
    }
  }
  EXPECT_EQ(store().Stats().damaged_values, 2 * bits);
  EXPECT_EQ(store().Stats().damaged_segments, 1u);
  EXPECT_EQ(errors_.size(), 1u);  // Once a segment.
}

TEST_F(ValueReaderTest, ARecordThatIsAnotherOneIsDamage) {
  Open();
  Put("key", "value");
  const std::string segment = SegmentOf("key");
  const uint64_t offset = Find("key")->place().offset;
  // Whole, of this very segment, and of this key: but not of this change.
  const std::string old = disk_->ReadAll(segment).substr(offset, 40);
  Put("key", "VALUE");
  disk_->Overwrite(segment, Find("key")->place().offset, old);
  EXPECT_NE(Get({"key"}).front().find("damaged"), std::string::npos);
}

TEST_F(ValueReaderTest, OneDamagedValueRefusesTheWholeCommand) {
  Open();
  Put("good", "1");
  Put("bad", "2");
  disk_->Flip(SegmentOf("bad"), 8 * Find("bad")->place().offset);
  EXPECT_NE(Get({"good", "bad"}).front().find("damaged"), std::string::npos);
  EXPECT_EQ(Get({"good"}), Texts{"1"});
}

TEST_F(ValueReaderTest, ADamagedValueCanBeReplaced) {
  Open();
  Put("key", "1");
  const std::string segment = SegmentOf("key");
  disk_->Flip(segment, 8 * Find("key")->place().offset);
  EXPECT_NE(Get({"key"}).front(), "1");
  Put("key", "2");
  EXPECT_EQ(Get({"key"}), Texts{"2"});
  machine().Delete("key");
  EXPECT_EQ(Get({"key"}), Texts{"(none)"});
}

TEST_F(ValueReaderTest, ADamagedSegmentIsNotCompacted) {
  Open();
  PutMany(20, 2000);
  PutMany(20, 2000);
  Put("key", "1");
  const std::string damaged = SegmentName(store().SealedSegments().front());
  std::string victim;
  for (int i = 0; i < 20; ++i) {
    if (SegmentOf(Key(i)) != damaged) victim = Key(i);
  }
  const std::string name = SegmentOf(victim);
  disk_->Flip(name, 8 * Find(victim)->place().offset);
  EXPECT_NE(Get({victim}).front().find("damaged"), std::string::npos);
  PutMany(20, 2000);
  machine().Compact();
  EXPECT_TRUE(disk_->Exists(name));
  EXPECT_EQ(store().compaction().errors, 0u);  // It did not even try.
}

TEST_F(ValueReaderTest, AFileThatEndsTooSoonIsDamage) {
  Open();
  Put("key", "value");
  disk_->Truncate(SegmentOf("key"), Find("key")->place().offset + 10);
  EXPECT_NE(Get({"key"}).front().find("the file ends within the record"),
            std::string::npos);
}

TEST_F(ValueReaderTest, AMissingFileIsDamage) {
  Open();
  Put("key", "value");
  disk_->Remove(SegmentOf("key"));
  const std::string found = Get({"key"}).front();
  EXPECT_NE(found.find("No such file"), std::string::npos) << found;
  EXPECT_EQ(store().Stats().damaged_segments, 1u);
}

TEST_F(ValueReaderTest, AShortageIsNoDamageAndPasses) {
  Open();
  Put("key", "value");
  disk_->FailAt(SimFileSystem::Op::kOpen, 0, EMFILE);
  const std::string found = Get({"key"}).front();
  EXPECT_NE(found.find("Too many open files"), std::string::npos) << found;
  EXPECT_EQ(store().Stats().damaged_segments, 0u);
  EXPECT_EQ(store().Stats().damaged_values, 0u);
  EXPECT_EQ(errors_, Texts{});
  EXPECT_EQ(Get({"key"}), Texts{"value"});
}

// What went wrong without waiting is found out by a read that may wait.
TEST_F(ValueReaderTest, AFailedReadAtOnceIsTriedAgain) {
  Open();
  Put("key", "value");
  Get({"key"});
  disk_->FailAt(SimFileSystem::Op::kRead, 0, EIO);
  EXPECT_EQ(Get({"key"}), Texts{"value"});
  // It is damage when it happens twice.
  for (const uint64_t damaged : {0, 1}) {
    disk_->FailAt(SimFileSystem::Op::kRead, 0, EIO);
    disk_->FailAt(SimFileSystem::Op::kRead, 1, EIO);
    EXPECT_NE(Get({"key"}), Texts{"value"});
    EXPECT_EQ(store().Stats().damaged_segments, damaged);
  }
  EXPECT_EQ(Get({"key"}), Texts{"value"});
}

// --- The read queue ---------------------------------------------------------

class QueuedValueReaderTest : public ValueReaderTest {
 protected:
  // A store whose segment is open, so that the queue reads in it.
  void OpenWith(int keys, size_t value_bytes = 40) {
    options_.segment_bytes = 64 * 1024;
    disk_->SetReadQueues(true);
    disk_->SetReadsWait(true);
    Open();
    PutMany(keys, value_bytes);
    Get({Key(0)});
    EXPECT_EQ(waited(), 1u);
  }
};

TEST_F(QueuedValueReaderTest, ReadsWithoutThePool) {
  OpenWith(3);
  Command command(store(), {Key(2), Key(0), Key(1)});
  EXPECT_FALSE(command.Run());
  command.Read();
  store().Poll();
  EXPECT_FALSE(command.read());  // Pump() begins it, at the end of a turn.
  store().Pump();
  EXPECT_FALSE(command.read());  // Poll() says it.
  store().Poll();
  EXPECT_TRUE(command.read());
  EXPECT_TRUE(command.Run());
  EXPECT_EQ(command.values(),
            (Texts{ValueOf(2, 40), ValueOf(0, 40), ValueOf(1, 40)}));
  EXPECT_EQ(reads().pending(), 0u);
}

TEST_F(QueuedValueReaderTest, SoManyReadsAreInFlightAndTheOthersQueue) {
  constexpr int kKeys = 5 * static_cast<int>(kReadsInFlightMax) / 2;
  OpenWith(kKeys);
  Texts keys, expected;
  for (int i = 0; i < kKeys; ++i) {
    keys.push_back(Key(i));
    expected.push_back(ValueOf(i, 40));
  }
  Command command(store(), keys);
  EXPECT_FALSE(command.Run());
  command.Read();
  // The simulated queue refuses more than it was made for.
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(command.read());
    store().Pump();
    store().Poll();
  }
  EXPECT_TRUE(command.read());
  EXPECT_TRUE(command.Run());
  EXPECT_EQ(command.values(), expected);
}

TEST_F(QueuedValueReaderTest, ALargeRecordIsThePools) {
  OpenWith(1);
  const std::string large(kReadAtOnceBytesMax, 'x');
  Put("large", large);
  ASSERT_EQ(Get({"large"}), Texts{large});
  Command command(store(), {"large"});
  EXPECT_FALSE(command.Run());
  command.Read();
  EXPECT_EQ(reads().pending(), 1u);
  FinishReads();
}

TEST_F(QueuedValueReaderTest, ThePoolFindsOutWhatIsWrong) {
  OpenWith(2);
  disk_->FailAt(SimFileSystem::Op::kRead, 0, EIO);
  EXPECT_EQ(Get({Key(1)}), Texts{ValueOf(1, 40)});
  EXPECT_EQ(store().Stats().damaged_values, 0u);

  disk_->Truncate(SegmentOf(Key(1)), Find(Key(1))->place().offset + 10);
  EXPECT_NE(Get({Key(1)}).front().find("the file ends within the record"),
            std::string::npos);
  EXPECT_EQ(store().Stats().damaged_values, 1u);
  EXPECT_EQ(Get({Key(0)}), Texts{ValueOf(0, 40)});
}

TEST_F(QueuedValueReaderTest, EveryFlippedBitIsAnErrorForThatKeyAlone) {
  OpenWith(3, 5);
  const std::string segment = SegmentOf(Key(1));
  const uint64_t offset = Find(Key(1))->place().offset;
  const uint64_t bits = 8 * RecordBytes(4, 5);
  for (uint64_t bit = 0; bit < bits; ++bit) {
    SCOPED_TRACE(bit);
    disk_->Flip(segment, 8 * offset + bit);
    ASSERT_NE(Get({Key(1)}).front().find("the record of"), std::string::npos);
    ASSERT_EQ(Get({Key(0), Key(2)}), (Texts{ValueOf(0, 5), ValueOf(2, 5)}));
    disk_->Flip(segment, 8 * offset + bit);
    ASSERT_EQ(Get({Key(1)}), Texts{ValueOf(1, 5)});
  }
  EXPECT_EQ(store().Stats().damaged_values, bits);
}

TEST_F(QueuedValueReaderTest, NothingIsLeftOfAnAbandonedRead) {
  OpenWith(100);
  Texts keys;
  for (int i = 0; i < 100; ++i) keys.push_back(Key(i));
  auto command = std::make_unique<Command>(store(), keys);
  EXPECT_FALSE(command->Run());
  command->Read();
  store().Pump();
  command.reset();
  FinishReads();
  // Those that queued were not read.
  EXPECT_EQ(waited(), kReadsInFlightMax + 1);
  EXPECT_EQ(Get({Key(99)}), Texts{ValueOf(99, 40)});
}

TEST_F(QueuedValueReaderTest, TheStoreMayEndWhileItReads) {
  OpenWith(100);
  Texts keys;
  for (int i = 0; i < 100; ++i) keys.push_back(Key(i));
  Command command(store(), keys);
  EXPECT_FALSE(command.Run());
  command.Read();
  store().Pump();
  machine_.reset();
  EXPECT_FALSE(command.read());
}

TEST(ValuesOnDisk, AreThereWhenTheyAreNeeded) {
  EXPECT_EQ(CheckValuesStayUntilWritten(), "");
  EXPECT_EQ(CheckVictimsStayWhileTheyAreRead(), "");
  EXPECT_EQ(CheckNoEffectBeforeTheValue(), "");
}

}  // namespace
}  // namespace kvd
