// SPDX-License-Identifier: MIT
//
// Loading segments in any order of changes, on any number of threads: the
// newest record of each key counts, the figures are exact, and damage is
// described in the same words.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "log/format/hint.h"
#include "log/read/chunk_reader.h"
#include "log/read/sealed_cursor.h"
#include "store/start/recovery.h"
#include "tests/log/handmade_store.h"
#include "tests/log/read/read_log.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

// What needs no threads is tried on the calling thread alone where there are
// many cases: starting threads is what takes the time of this test.
const std::vector<int> kAllCounts = {0, 1, 2, 4};
const std::vector<int> kNoThreads = {0};

// Everything that recovery makes, as text.
using State = std::set<std::string>;

std::string DescribeKey(size_t database, std::string_view key,
                        std::string_view value, uint64_t seq,
                        uint64_t deadline_ms, uint64_t segment) {
  return fmt::format("key {}:{} = {} bytes {:x}, rev {}, deadline {}, in {}",
                     database, key, value.size(), Checksum(value, 0), seq,
                     deadline_ms, segment);
}

std::string DescribeUse(uint64_t segment, const SegmentUse& use) {
  return fmt::format("segment {}: {} live, {} dead, {} dead puts", segment,
                     use.live_bytes, use.dead_bytes, use.dead_puts);
}

struct Outcome {
  State state;
  std::string error;
  Manifest next;
  uint64_t last_seq = 0;
  uint64_t hinted = 0;
  uint64_t cold = 0;  // Entries whose value is on disk alone.
  std::vector<uint64_t> progress;
};

// Hints beside all sealed segments.
void WriteHints(SimFileSystem* disk) {
  const auto directory = disk->OpenDirectory();
  const Result<Manifest> manifest = LoadManifest(*directory);
  ASSERT_TRUE(manifest);
  for (const SealedSegment& segment : manifest->sealed) {
    HintBuilder builder;
    SealedCursor cursor(*directory, manifest->uuid, {segment}, 100);
    while (!cursor.done()) {
      ASSERT_TRUE(cursor.Step());
      for (size_t i = 0; i < cursor.records().size(); ++i) {
        builder.Add(cursor.records()[i], cursor.offsets()[i]);
      }
    }
    ASSERT_TRUE(builder.Write(*directory, manifest->uuid, segment));
  }
}

// Of a cold one, as it stands where the entry says.
std::string ValueOf(const SimFileSystem& disk, const Manifest& manifest,
                    const Entry& entry) {
  if (!entry.is_cold()) return std::string(entry.value());
  for (const SealedSegment& segment : manifest.sealed) {
    if (segment.id != entry.place().segment) continue;
    const std::string bytes = disk.ReadAll(SegmentName(segment.id));
    const auto record =
        DecodeRecord(std::string_view(bytes).substr(entry.place().offset),
                     manifest.IdentityOf(segment).Seed());
    if (record && record->key == entry.key() && record->seq == entry.seq()) {
      return std::string(record->value);
    }
  }
  return "(not there)";
}

Outcome RecoverOn(SimFileSystem* disk, int threads) {
  Outcome recovered;
  RecoveryOptions options;
  options.load_threads = threads;
  options.on_progress = [&](const LoadProgress& progress) {
    recovered.progress.push_back(progress.bytes_done);
    return true;
  };
  Databases databases;
  const auto directory = disk->OpenDirectory();
  const auto next = Recover(*directory, options, &databases);
  if (!next) {
    recovered.error = next.error().message();
    return recovered;
  }
  recovered.next = next->manifest;
  recovered.last_seq = next->report.last_seq;
  recovered.hinted = next->report.hinted;
  uint64_t entry_bytes = 0;
  uint64_t index_bytes = 0;
  uint64_t deadline_bytes = 0;
  for (size_t i = 0; i < databases.all().size(); ++i) {
    const Keyspace& keyspace = databases.Internal(i);
    EXPECT_EQ(keyspace.index().size(), keyspace.size()) << "a ghost was left";
    uint64_t cursor = 0;
    size_t with_deadline = 0;
    do {
      cursor = keyspace.index().Scan(cursor, 1000, [&](const Entry& entry) {
        EXPECT_FALSE(entry.is_ghost());
        entry_bytes += entry.allocation_bytes();
        with_deadline += entry.has_deadline() ? 1 : 0;
        recovered.cold += entry.is_cold() ? 1 : 0;
        recovered.state.insert(DescribeKey(
            i, entry.key(), ValueOf(*disk, next->manifest, entry), entry.seq(),
            entry.deadline_ms(), entry.place().segment));
      });
    } while (cursor != 0);
    EXPECT_EQ(keyspace.deadlines().size(), with_deadline);
    index_bytes += keyspace.index().memory_bytes();
    deadline_bytes += keyspace.deadlines().memory_bytes();
  }
  EXPECT_EQ(databases.memory().entry_bytes, entry_bytes);
  EXPECT_EQ(databases.memory().index_bytes, index_bytes);
  EXPECT_EQ(databases.memory().deadline_bytes, deadline_bytes);
  for (const auto& [segment, use] : databases.usage().all()) {
    recovered.state.insert(DescribeUse(segment, use));
  }
  recovered.state.insert(fmt::format("{} records", next->report.records));
  return recovered;
}

// The same by the definition: of each key the newest record, if it is a put and
// newer than the newest flush.
State Expected(HandmadeStore& store) {
  std::array<uint64_t, kInternalDatabases> flushed =
      store.manifest().databases.flushed;
  std::map<std::pair<int, std::string>, uint64_t> newest;
  size_t records = 0;
  for (const HandmadeSegment& segment : store.segments()) {
    for (const OwnRecord& record : segment.records) {
      ++records;
      if (record.kind == RecordKind::kFlush) {
        flushed[record.database] =
            std::max(flushed[record.database], record.seq);
        continue;
      }
      uint64_t& seq = newest[{record.database, record.key}];
      seq = std::max(seq, record.seq);
    }
  }
  State state;
  for (const HandmadeSegment& segment : store.segments()) {
    SegmentUse use;
    for (const OwnRecord& record : segment.records) {
      const bool put = record.kind == RecordKind::kPut;
      if (put && record.seq > flushed[record.database] &&
          record.seq == newest[{record.database, record.key}]) {
        use.live_bytes += record.bytes();
        state.insert(DescribeKey(record.database, record.key, record.value,
                                 record.seq, record.deadline_ms, segment.id));
      } else {
        use.dead_bytes += record.bytes();
        use.dead_puts += put ? 1 : 0;
      }
    }
    if (!segment.records.empty()) state.insert(DescribeUse(segment.id, use));
  }
  state.insert(fmt::format("{} records", records));
  return state;
}

void ExpectRight(HandmadeStore& store,
                 const std::vector<int>& thread_counts = kAllCounts) {
  const State expected = Expected(store);
  std::optional<Outcome> first;
  for (const int threads : thread_counts) {
    SCOPED_TRACE(fmt::format("{} threads", threads));
    const Outcome recovered = RecoverOn(store.Disk().get(), threads);
    ASSERT_EQ(recovered.error, "");
    EXPECT_EQ(recovered.state, expected);
    if (!first) first = recovered;
    EXPECT_EQ(EncodeManifest(recovered.next), EncodeManifest(first->next));
    EXPECT_EQ(recovered.progress, first->progress);
    EXPECT_EQ(recovered.hinted, 0u);

    // The same out of hints, and with every other hint missing.
    const auto disk = store.Disk();
    WriteHints(disk.get());
    const auto half = disk->Clone();
    for (size_t i = 0; i < store.manifest().sealed.size(); i += 2) {
      half->Remove(HintName(store.manifest().sealed[i].id));
    }
    for (SimFileSystem* with_hints : {disk.get(), half.get()}) {
      const Outcome hinted = RecoverOn(with_hints, threads);
      ASSERT_EQ(hinted.error, "");
      EXPECT_EQ(hinted.state, expected);
      EXPECT_EQ(hinted.progress, first->progress);
      EXPECT_EQ(hinted.hinted, with_hints == disk.get()
                                   ? store.manifest().sealed.size()
                                   : store.manifest().sealed.size() / 2);
    }
  }
}

// --- The order of changes
// -----------------------------------------------------

TEST(LoadOrder, ARemovalBeforeAnOlderPutKeepsTheKeyDead) {
  for (const RecordKind removal : {RecordKind::kDelete, RecordKind::kExpire}) {
    for (const bool put_is_in_log : {false, true}) {
      HandmadeStore store;
      store.AddSealed(SegmentKind::kCompacted,
                      {{RecordKind::kPut, 1, "other", "value"},
                       {removal, 1000, "key", ""}});
      store.AddSealed(
          put_is_in_log ? SegmentKind::kLog : SegmentKind::kCompacted,
          {{RecordKind::kPut, 500, "key", "old"},
           {RecordKind::kPut, 501, "third", "value"}});
      ExpectRight(store);
    }
  }
}

// Three changes of one key and every way to have them in three segments, in
// every order, with and without a flush between them.
TEST(LoadOrder, TheNewestChangeCountsWhereverItIs) {
  constexpr RecordKind kKinds[] = {RecordKind::kPut, RecordKind::kDelete,
                                   RecordKind::kExpire};
  for (int kinds = 0; kinds < 27; ++kinds) {
    for (int places = 0; places < 27; ++places) {
      for (const uint64_t flushed : {0, 11, 13}) {
        SCOPED_TRACE(fmt::format("kinds {} places {} flushed {}", kinds, places,
                                 flushed));
        std::vector<OwnRecord> segments[3];
        for (uint64_t i = 0; i < 3; ++i) {
          // What makes the segments come in this order.
          segments[i].push_back(
              {RecordKind::kPut, i + 1, fmt::format("filler{}", i), "x"});
        }
        int kind = kinds, place = places;
        for (uint64_t i = 0; i < 3; ++i, kind /= 3, place /= 3) {
          const RecordKind k = kKinds[kind % 3];
          const bool put = k == RecordKind::kPut;
          auto& segment = segments[place % 3];
          // In front: in a compacted segment the order means nothing.
          segment.insert(segment.begin(),
                         {k, 11 + i, "key", put ? fmt::format("v{}", i) : "", 0,
                          put ? i * 1000 : 0});
        }
        HandmadeStore store;
        for (auto& segment : segments) {
          store.AddSealed(SegmentKind::kCompacted, std::move(segment));
        }
        store.manifest().databases.flushed[0] = flushed;
        store.manifest().databases_as_of = 13;
        const Outcome recovered = RecoverOn(store.Disk().get(), 0);
        ASSERT_EQ(recovered.error, "");
        ASSERT_EQ(recovered.state, Expected(store));
      }
    }
  }
}

// A history, of which some log segments were compacted into segments that share
// their sequence numbers.
void BuildRandomStore(uint64_t seed, HandmadeStore* store) {
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t n) { return random() % n; };
  const auto change = [&](uint64_t seq) {
    OwnRecord record;
    record.seq = seq;
    record.database = static_cast<uint8_t>(below(2));
    record.key = fmt::format("key{}", below(12));
    if (below(3) == 0) {
      record.kind = below(2) == 0 ? RecordKind::kDelete : RecordKind::kExpire;
    } else {
      record.value = std::string(below(40), 'v') + std::to_string(seq);
      record.deadline_ms = below(4) == 0 ? 1 + below(1000) : 0;
    }
    return record;
  };
  const auto flush = [&](uint64_t seq) {
    OwnRecord record;
    record.kind = RecordKind::kFlush;
    record.seq = seq;
    record.database = static_cast<uint8_t>(below(2));
    return record;
  };

  uint64_t seq = 1;
  std::vector<std::vector<OwnRecord>> compacted(1 + below(3));
  Manifest& manifest = store->manifest();
  for (uint64_t i = 0; i < 6; ++i) {
    std::vector<OwnRecord> records;
    for (uint64_t n = 1 + below(15); n > 0; --n, ++seq) {
      if (below(25) == 0) {
        records.push_back(flush(seq));
        manifest.databases.flushed[records.back().database] = seq;
      } else {
        records.push_back(change(seq));
      }
    }
    if (below(2) == 0) {
      store->AddSealed(SegmentKind::kLog, std::move(records), 1 + below(5));
      continue;
    }
    for (OwnRecord& record : records) {
      if (record.kind == RecordKind::kFlush) continue;
      auto& segment = compacted[below(compacted.size())];
      segment.insert(
          segment.begin() + static_cast<ptrdiff_t>(below(segment.size() + 1)),
          std::move(record));
    }
  }
  for (auto& segment : compacted) {
    if (segment.empty()) continue;
    store->AddSealed(SegmentKind::kCompacted, std::move(segment), 1 + below(5));
  }
  manifest.databases_as_of = seq - 1;
  manifest.next_seq = seq;
  if (below(2) == 0) return;
  std::vector<OwnRecord> live;
  for (uint64_t n = 1 + below(20); n > 0; --n, ++seq) {
    live.push_back(below(10) == 0 ? flush(seq) : change(seq));
  }
  store->AddLive(std::move(live));
}

TEST(LoadOrder, RandomCompactionsChangeNothing) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    HandmadeStore store;
    BuildRandomStore(seed, &store);
    ExpectRight(store, seed % 10 == 0 ? kAllCounts : kNoThreads);
    if (testing::Test::HasFailure()) return;
  }
}

// --- The numbers of the next epoch
// --------------------------------------------

TEST(LoadOrder, NumbersDoNotGoBackWhenTheNewestSegmentIsCompactedAway) {
  HandmadeStore store;
  store.AddSealed(SegmentKind::kCompacted, {{RecordKind::kPut, 7, "a", "1"}});
  // 8 to 20 were removals that nobody needs any more, or flushes.
  store.manifest().next_seq = 21;
  store.manifest().databases_as_of = 20;
  store.manifest().databases.flushed[3] = 20;
  store.manifest().clean = true;
  const Outcome recovered = RecoverOn(store.Disk().get(), 0);
  ASSERT_EQ(recovered.error, "");
  EXPECT_EQ(recovered.next.next_seq, 21u);
  EXPECT_EQ(recovered.next.databases_as_of, 20u);
  EXPECT_EQ(recovered.next.databases.flushed[3], 20u);
  EXPECT_EQ(recovered.last_seq, 7u);
}

TEST(LoadOrder, TheLiveSegmentGoesOnBehindWhatIsCompactedAway) {
  HandmadeStore store;
  store.AddSealed(SegmentKind::kCompacted, {{RecordKind::kPut, 7, "a", "1"}});
  store.manifest().next_seq = 21;
  store.manifest().databases_as_of = 20;
  store.AddLive({{RecordKind::kPut, 21, "b", "2"}});
  ExpectRight(store);
  const Outcome recovered = RecoverOn(store.Disk().get(), 0);
  EXPECT_EQ(recovered.last_seq, 21u);
  EXPECT_EQ(recovered.next.databases_as_of, 21u);
}

// --- Batches and damage

// Segments of several batches, with groups smaller and larger than one.
void BuildLargeStore(HandmadeStore* store) {
  std::mt19937_64 random(1);
  uint64_t seq = 1;
  for (const size_t per_group : {1, 7, 40}) {
    std::vector<OwnRecord> records;
    for (int i = 0; i < 30; ++i, ++seq) {
      const size_t size = 1 + random() % (kChunkBytes / 12);
      records.push_back({RecordKind::kPut, seq, fmt::format("key{}", seq % 50),
                         std::string(size, static_cast<char>('a' + i % 26))});
    }
    records.push_back({RecordKind::kPut, seq++, "large",
                       std::string(kChunkBytes + 12345, 'L')});
    records.push_back({RecordKind::kPut, seq++, "small", "s"});
    store->AddSealed(SegmentKind::kLog, records, per_group);
  }
  store->AddSealed(SegmentKind::kLog, {});
}

TEST(Load, ReadsGroupsOfAnySizeInBatches) {
  HandmadeStore store;
  BuildLargeStore(&store);
  ExpectRight(store);
}

// Growing for keys to come must leave neither room that nobody needs nor the
// habit.
TEST(Load, LeavesAnIndexOfTheUsualSize) {
  // Buckets of that many keys would be a third larger with room for half as
  // many again.
  constexpr uint64_t kSegments = 12;
  constexpr uint64_t kKeysInEach = 10'000;
  HandmadeStore store;
  uint64_t seq = 1;
  for (uint64_t segment = 0; segment < kSegments; ++segment) {
    std::vector<OwnRecord> records;
    for (uint64_t i = 0; i < kKeysInEach; ++i, ++seq) {
      records.push_back({RecordKind::kPut, seq, fmt::format("key{}", seq), ""});
    }
    store.AddSealed(SegmentKind::kLog, records, /*per_group=*/100);
  }
  for (const bool hinted : {false, true}) {
    SCOPED_TRACE(hinted);
    const auto disk = store.Disk();
    if (hinted) WriteHints(disk.get());
    Databases databases;
    ASSERT_TRUE(Recover(*disk->OpenDirectory(), {}, &databases));
    Keyspace& loaded = databases.Internal(0);
    Index grown(loaded.hash_seed());
    for (uint64_t i = 1; i < seq; ++i) {
      grown.Insert(Entry::Create(fmt::format("key{}", i), "", i, {}));
    }
    EXPECT_EQ(loaded.size(), grown.size());
    // Those of a hint come by hash and crowd the first buckets.
    if (!hinted) {
      EXPECT_LE(loaded.index().work(), grown.work() * 8 / 10);
    }
    EXPECT_LE(loaded.index().memory_bytes(), grown.memory_bytes() * 105 / 100);

    for (uint64_t i = seq; i < 5 * seq / 2; ++i) {
      const std::string key = fmt::format("key{}", i);
      grown.Insert(Entry::Create(key, "", i, {}));
      loaded.Put(loaded.Hash(key), key, "", i, {}, 0);
    }
    EXPECT_LE(loaded.index().memory_bytes(), grown.memory_bytes() * 105 / 100);
  }
}

class LoadDamage : public testing::Test {
 protected:
  // What a plain reading, segment by segment, says.
  static std::string Plainly(SimFileSystem* disk) {
    const auto directory = disk->OpenDirectory();
    const auto tail = ReadLog(
        *directory, *LoadManifest(*directory), [](const Record&, Place) {},
        [](uint64_t) {});
    return tail ? "" : tail.error().message();
  }

  static void ExpectSameWords(
      const SimFileSystem& disk,
      const std::vector<int>& thread_counts = kAllCounts) {
    const std::string plainly = Plainly(disk.Clone().get());
    EXPECT_NE(plainly, "");
    for (const int threads : thread_counts) {
      SCOPED_TRACE(fmt::format("{} threads", threads));
      EXPECT_EQ(RecoverOn(disk.Clone().get(), threads).error, plainly);
    }
  }
};

TEST_F(LoadDamage, IsDescribedInTheSameWordsForEveryByte) {
  HandmadeStore store;
  store.AddSealed(SegmentKind::kLog, {{RecordKind::kPut, 1, "a", "1"},
                                      {RecordKind::kPut, 2, "b", "2"},
                                      {RecordKind::kDelete, 3, "b", ""},
                                      {RecordKind::kPut, 4, "c", "3"}});
  store.AddSealed(SegmentKind::kCompacted, {{RecordKind::kPut, 9, "d", "1"},
                                            {RecordKind::kPut, 6, "e", "2"}});
  const auto disk = store.Disk();
  for (const HandmadeSegment& segment : store.segments()) {
    const std::string name = SegmentName(segment.id);
    const size_t size = disk->ReadAll(name).size();
    for (size_t byte = 0; byte < size; ++byte) {
      SCOPED_TRACE(fmt::format("byte {} of {}", byte, name));
      const auto& counts = byte % 32 == 0 ? kAllCounts : kNoThreads;
      const auto flipped = disk->Clone();
      flipped->Flip(name, 8 * byte + byte % 8);
      ExpectSameWords(*flipped, counts);
      const auto cut = disk->Clone();
      cut->Truncate(name, byte);
      ExpectSameWords(*cut, counts);
      if (HasFailure()) return;
    }
  }
}

TEST_F(LoadDamage, TheFirstOneIsReportedWhoeverFindsAnotherFirst) {
  HandmadeStore store;
  BuildLargeStore(&store);
  const auto disk = store.Disk();
  std::vector<std::string> names;
  for (const HandmadeSegment& s : store.segments()) {
    names.push_back(SegmentName(s.id));
  }
  const auto flip_late = [&](SimFileSystem& damaged, const std::string& name) {
    damaged.Flip(name, 8 * (damaged.ReadAll(name).size() - 20));
  };
  const auto two = disk->Clone();
  flip_late(*two, names[0]);
  two->Flip(names[1], 8 * 200);
  ExpectSameWords(*two);
  const auto missing = disk->Clone();
  flip_late(*missing, names[1]);
  missing->Remove(names[2]);
  ExpectSameWords(*missing);
  const auto swapped = disk->Clone();
  swapped->Put(names[1], disk->ReadAll(names[2]));
  ExpectSameWords(*swapped);
  for (uint64_t offset = 0; offset < disk->ReadAll(names[2]).size();
       offset += kChunkBytes + 77) {
    SCOPED_TRACE(offset);
    const auto one = disk->Clone();
    one->Flip(names[2], 8 * offset);
    ExpectSameWords(*one, {0, 2});
  }
}

TEST_F(LoadDamage, FindsAManifestThatSaysSomethingElse) {
  for (int what = 0; what < 4; ++what) {
    SCOPED_TRACE(what);
    HandmadeStore store;
    BuildLargeStore(&store);
    SealedSegment& line = store.manifest().sealed[1];
    if (what == 0) ++line.records;
    if (what == 1) ++line.last_seq;
    if (what == 2) line.checksum ^= 1;
    if (what == 3) line.bytes -= kGroupAlignment;
    ExpectSameWords(*store.Disk(), {0, 2});
  }
}

// A hint is believed whole or not at all, and never beside a segment that is
// not what it was; damage inside that waits for a reader.
TEST(LoadHints, ADamagedOneIsReplacedByItsSegment) {
  HandmadeStore store;
  BuildLargeStore(&store);
  store.AddSealed(SegmentKind::kCompacted,
                  {{RecordKind::kPut, 900, "key7", "newest"},
                   {RecordKind::kDelete, 901, "key8", ""}});
  const State expected = Expected(store);
  const auto intact = store.Disk();
  WriteHints(intact.get());
  for (const SealedSegment& segment : store.manifest().sealed) {
    const std::string name = HintName(segment.id);
    const size_t size = intact->ReadAll(name).size();
    for (size_t byte = 0; byte < size; byte += 1 + size / 12) {
      SCOPED_TRACE(fmt::format("byte {} of {}", byte, name));
      const auto flipped = intact->Clone();
      flipped->Flip(name, 8 * byte);
      const auto cut = intact->Clone();
      cut->Truncate(name, byte);
      for (SimFileSystem* disk : {flipped.get(), cut.get()}) {
        const Outcome recovered = RecoverOn(disk, byte % 2 == 0 ? 0 : 2);
        ASSERT_EQ(recovered.error, "");
        EXPECT_EQ(recovered.state, expected);
        EXPECT_EQ(recovered.hinted, store.manifest().sealed.size() - 1);
        EXPECT_FALSE(disk->Exists(name)) << "a new one shall be written";
      }
    }
  }
}

TEST(LoadHints, OneOfAnotherSegmentIsNotBelieved) {
  HandmadeStore store;
  store.AddSealed(SegmentKind::kLog, {{RecordKind::kPut, 1, "a", "1"}});
  store.AddSealed(SegmentKind::kLog, {{RecordKind::kPut, 2, "b", "2"}});
  const auto disk = store.Disk();
  WriteHints(disk.get());
  disk->Put(HintName(1), disk->ReadAll(HintName(2)));
  const Outcome recovered = RecoverOn(disk.get(), 0);
  ASSERT_EQ(recovered.error, "");
  EXPECT_EQ(recovered.state, Expected(store));
  EXPECT_EQ(recovered.hinted, 1u);
}

TEST(LoadHints, DoNotHideThatASegmentIsMissingShortOrAnotherOne) {
  HandmadeStore store;
  store.AddSealed(SegmentKind::kLog, {{RecordKind::kPut, 1, "a", "1"}});
  store.AddSealed(SegmentKind::kLog, {{RecordKind::kPut, 2, "b", "2"}});
  const auto intact = store.Disk();
  WriteHints(intact.get());
  const std::string name = SegmentName(2);
  const auto missing = intact->Clone();
  missing->Remove(name);
  EXPECT_THAT(RecoverOn(missing.get(), 0).error, testing::HasSubstr(name));
  const auto foreign = intact->Clone();
  foreign->Put(name, intact->ReadAll(SegmentName(1)));
  EXPECT_THAT(RecoverOn(foreign.get(), 0).error, testing::HasSubstr(name));
  for (size_t size = 0; size < intact->ReadAll(name).size(); ++size) {
    const auto cut = intact->Clone();
    cut->Truncate(name, size);
    EXPECT_THAT(RecoverOn(cut.get(), 0).error, testing::HasSubstr(name));
  }
  for (size_t bit = 0; bit < 8 * kSegmentHeaderBytes; ++bit) {
    const auto flipped = intact->Clone();
    flipped->Flip(name, bit);
    EXPECT_THAT(RecoverOn(flipped.get(), 0).error, testing::HasSubstr(name))
        << bit;
  }
}

TEST(LoadHints, LeaveValuesOnDisk) {
  HandmadeStore store;
  store.AddSealed(SegmentKind::kLog, {{RecordKind::kPut, 1, "a", "1"},
                                      {RecordKind::kPut, 2, "empty", ""},
                                      {RecordKind::kPut, 3, "b", "2"}});
  const auto disk = store.Disk();
  EXPECT_EQ(RecoverOn(disk.get(), 0).cold, 0u);
  WriteHints(disk.get());
  // There is nothing to read of an empty one.
  EXPECT_EQ(RecoverOn(disk.get(), 0).cold, 2u);
}

TEST_F(LoadDamage, AReadErrorIsReportedAsSuch) {
  HandmadeStore store;
  BuildLargeStore(&store);
  for (const int threads : kAllCounts) {
    const auto disk = store.Disk();
    // The MANIFEST is read first.
    disk->FailAt(SimFileSystem::Op::kRead, 3, EIO);
    EXPECT_THAT(RecoverOn(disk.get(), threads).error,
                testing::HasSubstr("Input/output error"));
  }
}

}  // namespace
}  // namespace kvd
