// SPDX-License-Identifier: MIT
#include "tests/store/promises/workloads.h"

#include <fmt/format.h>

namespace kvd {
namespace {

std::string Key(int i) { return fmt::format("key{}", i); }
// Different in every byte that matters, so that a mixture shows.
std::string Value(int i, size_t size) {
  return std::string(size, static_cast<char>('a' + i % 26));
}

// What a row's store goes through.
using Run = decltype(Workload::run);

// Several lives on one disk, one after the other. Nothing is done in one whose
// store does not open.
template <typename Body>
Run Lives(int count, Body body) {
  return
      [=](SimFileSystem* disk, History* history, const StoreOptions& options) {
        for (int life = 0; life < count; ++life) {
          Machine machine(disk, history, options);
          if (machine.Open()) body(machine, life);
        }
      };
}

template <typename Body>
Run OneLife(Body body) {
  return Lives(1, [=](Machine& m, int) { body(m); });
}

// On a disk that zeroes segments only for groups of up to `bytes`.
Run WithZeroingLimit(uint64_t bytes, Run run) {
  return
      [=](SimFileSystem* disk, History* history, const StoreOptions& options) {
        disk->SetZeroingLimit(bytes);
        run(disk, history, options);
      };
}

StoreOptions LargerSegments() {
  StoreOptions options = SmallStore();
  options.segment_bytes = 64 * 1024;
  return options;
}

// As at each start of a daemon: the first segment is smaller than the others.
StoreOptions SmallFirstSegment() {
  StoreOptions options = LargerSegments();
  options.first_segment_bytes = 16 * 1024;
  return options;
}

void FillSegments(Machine& machine, int puts, size_t value_bytes) {
  for (int i = 0; i < puts; ++i) {
    machine.Put(Key(i % 7), Value(i, value_bytes));
    machine.Turn();
  }
}

// Jobs that seal and prepare segments run now and then only.
void RollWhileJobsLag(Machine& m) {
  m.Turn();
  m.executor().set_auto_run(false);
  for (int i = 0; i < 40; ++i) {
    m.Put(Key(i % 7), Value(i, 1200));
    m.Turn();
    if (i % 9 == 8) m.executor().RunOne();
  }
}

// With restarts, so that what a swap did is read from everywhere it may be
// known from: live segments, sealed ones, the MANIFEST after a compaction.
void SwapAround(Machine& m, int life) {
  FillSegments(m, 6, 2500);
  m.Put("life", Value(life, 50), 0, 1);
  m.Swap(0, 1);
  m.Turn();
  m.Put("life", Value(life, 60), 0, 2);
  if (life == 1) m.Flush(1);
  FillSegments(m, 6, 2500);
  m.Swap(2, 0);
  m.Put("moved", Value(life, 10));
  m.Settle();
  if (life != 0) m.Compact();
  if (life == 0) m.Stop();
}

// A key is in one of two databases, whatever happens.
void MoveAround(Machine& m, int life) {
  m.Put("moved", Value(life, 50));
  m.Put("stays", Value(life, 50), 0, 1);
  for (int i = 0; i < 6; ++i) {
    m.Move("moved", i % 2, 1 - i % 2);
    if (i == 2) m.Settle();
    FillSegments(m, 1, 2500);
    m.Turn();
  }
  m.Move("stays", 1, 2);
  if (life == 0) m.Compact();
  m.Settle();
}

// Small enough for values to have to leave it.
StoreOptions LittleMemory() {
  StoreOptions options = LargerSegments();
  options.memory_limit_bytes = 40 << 10;
  return options;
}

// Each larger than a group usually is.
void LargeTransactions(Machine& m) {
  for (int i = 0; i < 4; ++i) {
    m.Settle();
    m.Transact({Part::Put("x", Value(i, 3000)), Part::Put("y", Value(i, 3000)),
                Part::Put("z", Value(i, 3000))});
    if (i == 1) {
      m.Transact({Part::Delete("x"), Part::Put("y", "1"), Part::Flush()},
                 /*commits=*/false);
    }
  }
  m.Settle();
}

// Of all kinds of changes, some of which are undone, and with waits: for
// segments, for values, for the group before.
void MixedTransactions(Machine& m, int life) {
  FillSegments(m, 6, 2000);
  m.Put("elsewhere", Value(life, 30), 0, 1);
  m.Transact({Part::Append(Key(0), Value(life, 100)), Part::Delete(Key(1)),
              Part::Put("new", Value(life, 2500)), Part::Count(),
              Part::Move(Key(3), 0, 2)});
  m.Turn();
  m.Transact({Part::Put("fresh", "1"), Part::Append(Key(2), "+"),
              Part::Swap(0, 1), Part::Put("fresh", "2"), Part::Flush(1),
              Part::Get("elsewhere"), Part::Delete("fresh")},
             /*commits=*/life == 1);
  m.Transact({Part::Flush(), Part::Put("after", Value(life, 1500)),
              Part::Swap(1, 2), Part::Put("after", "2", 0, 1)});
  FillSegments(m, 3, 2500);
  m.Transact({Part::Append(Key(0), "+"), Part::FlushAll(),
              Part::Put(Key(0), Value(life, 700))},
             /*commits=*/life == 0);
  if (life == 1) m.Compact();
  m.Settle();
}

void TransactionsWithDeadlines(Machine& m) {
  const int64_t now = m.clock().WallMs();
  m.Put("soon", "1", now + 10);
  m.Put("later", "2", now + 1000);
  m.Settle();
  m.Transact({Part::Put("soon", "3"), Part::Put("later", "4", now + 500)},
             /*commits=*/false);
  m.AdvanceMs(20);
  m.Transact({Part::Get("soon"), Part::Put("later", "5", now + 2000)},
             /*commits=*/false);
  m.Transact({Part::Get("soon"), Part::Put("later", "6", now + 3000),
              Part::Put("brief", "7", now + 25)});
  m.Turn();
  m.AdvanceMs(5000);
  m.Tick();
  m.Settle();
}

void TransactionsInLittleMemory(Machine& m) {
  for (int i = 0; i < 5; ++i) {
    m.Transact({Part::Put(Key(i), Value(i, 4000)),
                Part::Put(Key(i + 1), Value(i + 1, 4000)),
                Part::Append(Key(0), Value(i, 1000))});
  }
  m.Settle();
}

}  // namespace

const std::vector<Workload>& CrashWorkloads() {
  static const std::vector<Workload> workloads = {
      {"FirstStart", SmallStore(), OneLife([](Machine& m) {
         m.Put("a", "1");
         m.Settle();
         m.Put("b", "2");
         m.Settle();
       })},
      {"OneByOne", SmallStore(), OneLife([](Machine& m) {
         for (int i = 0; i < 8; ++i) {
           m.Put(Key(i % 3), Value(i, 10));
           m.Settle();
         }
       })},
      {"Pipelined", SmallStore(), OneLife([](Machine& m) {
         for (int i = 0; i < 12; ++i) {
           m.Put(Key(i), Value(i, 700));
           if (i % 4 == 3) m.Turn();
         }
         m.Settle();
       })},
      // Segments are reserved for large groups. When small ones come, the one
      // that is prepared is zeroed, and the one that is not is left.
      {"SmallAfterLarge", LargerSegments(),
       WithZeroingLimit(2000, OneLife([](Machine& m) {
                          FillSegments(m, 42, 6000);
                          FillSegments(m, 90, 10);
                          m.Settle();
                        }))},
      {"SmallFirstSegment", SmallFirstSegment(), OneLife([](Machine& m) {
         FillSegments(m, 42, 2000);
         m.Settle();
       })},
      {"DeletesAndReturns", SmallStore(), OneLife([](Machine& m) {
         m.Put("a", "1");
         m.Put("b", "2");
         m.Settle();
         m.Delete("a");
         m.Turn();
         m.Put("a", "3");
         m.Delete("b");
         m.Settle();
         m.Delete("a");
         m.Settle();
       })},
      {"AtomicGroups", SmallStore(), OneLife([](Machine& m) {
         for (int i = 0; i < 4; ++i) {
           m.PutAll({{"x", Value(i, 1500)},
                     {"y", Value(i, 1500)},
                     {"z", Value(i, 1500)}});
           m.Turn();
         }
         m.Settle();
       })},
      {"RollsSegments", SmallStore(),
       OneLife([](Machine& m) { FillSegments(m, 24, 2000); })},
      {"RollsWhileJobsLag", SmallStore(), OneLife(RollWhileJobsLag)},
      {"LazyRollsWhileJobsLag", SmallStore(SyncMode::kNever),
       OneLife(RollWhileJobsLag)},
      {"LargeValues", SmallStore(), OneLife([](Machine& m) {
         m.Put("small", "1");
         m.Settle();
         m.Put("large", Value(1, 40'000));
         m.Settle();
         m.Put("small", "2");
         m.Put("larger", Value(2, 90'000));
         m.Put("small", "3");
         m.Settle();
       })},
      {"Flushes", SmallStore(), OneLife([](Machine& m) {
         m.Put("a", "1");
         m.Put("b", "2", 0, 3);
         m.Settle();
         m.Flush(0);
         m.Turn();
         m.Put("a", "4");
         m.Flush(3);
         m.Settle();
         m.Put("b", "5", 0, 3);
         m.Settle();
       })},
      {"FlushedSegments", SmallStore(), OneLife([](Machine& m) {
         FillSegments(m, 8, 2000);
         m.Flush(0);
         FillSegments(m, 10, 2000);
         m.Settle();
       })},
      {"Moves", SmallStore(), Lives(2, MoveAround)},
      {"Swaps", SmallStore(), Lives(3, SwapAround)},
      {"SwapsUnsynced", SmallStore(SyncMode::kNever), Lives(3, SwapAround)},
      {"Deadlines", SmallStore(), OneLife([](Machine& m) {
         const int64_t now = m.clock().WallMs();
         m.Put("soon", "1", now + 10);
         m.Put("later", "2", now + 1000);
         m.Put("never", "3");
         m.Settle();
         m.AdvanceMs(20);
         m.Get("soon");
         m.Settle();
         m.Put("later", "4", now + 2000);
         m.Settle();
         m.AdvanceMs(5000);
         m.Tick();
         m.Settle();
       })},
      {"IdleDeclares", SmallStore(), OneLife([](Machine& m) {
         for (int i = 0; i < 3; ++i) {
           m.Put("a", Value(i, 100));
           m.Settle();
           m.AdvanceMs(500);
           m.Tick();
           m.Turn();
         }
       })},
      {"CleanStops", SmallStore(),
       Lives(3,
             [](Machine& m, int life) {
               m.Put("a", Value(life, 50));
               m.Put(Key(life), "x");
               m.Settle();
               m.Stop();
             })},
      {"KilledAndRestarted", SmallStore(),
       Lives(3,
             [](Machine& m, int life) {
               FillSegments(m, 6, 2500);
               m.Put(Key(life), Value(life, 50));
               m.Settle();
             })},
      {"IdleLives", SmallStore(),
       Lives(4,
             [](Machine& m, int life) {
               if (life == 1 || life == 2) return m.Turn();
               m.Put("a", life == 0 ? "1" : "2");
               m.Settle();
               if (life == 3) m.Stop();
             })},
      {"Interval", SmallStore(SyncMode::kInterval), OneLife([](Machine& m) {
         for (int i = 0; i < 20; ++i) {
           m.Put(Key(i % 5), Value(i, 1500));
           m.Turn();
           if (i % 6 == 5) {
             m.AdvanceMs(1100);
             m.Tick();
             m.Turn();
           }
         }
         m.Settle();
       })},
      {"NeverSynced", SmallStore(SyncMode::kNever), OneLife([](Machine& m) {
         FillSegments(m, 26, 2000);
         m.Stop();
       })},

      // Compaction. Each leaves something behind it that a mistake would bring
      // back.
      {"Compacts", SmallStore(), OneLife([](Machine& m) {
         FillSegments(m, 24, 2000);
         m.Settle();
         m.Compact();
         m.Put("after", "1");
         m.Settle();
       })},
      {"CompactsTombstones", SmallStore(), OneLife([](Machine& m) {
         FillSegments(m, 8, 2000);
         for (int i = 0; i < 7; i += 2) m.Delete(Key(i));
         FillSegments(m, 1, 2000);
         for (int i = 0; i < 12; ++i) m.Put("filler", Value(i, 2000));
         m.Settle();
         // The tombstones' segment first, what they hide later.
         const std::vector<uint64_t> sealed = m.store().SealedSegments();
         if (!sealed.empty()) m.Compact({sealed.back()});
         m.Compact();
         m.Settle();
       })},
      {"OverwritesWhileCompacting", SmallStore(), OneLife([](Machine& m) {
         FillSegments(m, 24, 2000);
         m.Settle();
         m.maintenance().set_auto_run(false);
         m.store().Compact();
         for (int i = 0; i < 30; ++i) {
           m.Put(Key(i % 7), Value(i + 3, 300));
           if (i % 5 == 0) m.Delete(Key(i % 7));
           m.maintenance().RunOne();
           m.Turn();
         }
         m.maintenance().set_auto_run(true);
         m.Compact();
         m.Settle();
       })},
      {"CompactsUnsynced", SmallStore(SyncMode::kNever),
       OneLife([](Machine& m) {
         FillSegments(m, 24, 2000);
         for (int i = 0; i < 7; ++i) {
           m.Put(Key(i), Value(i, 30));
           m.Delete(Key(i + 1));
         }
         m.Compact();
         m.Put("after", "1");
       })},
      {"CompactsFlushed", SmallStore(), OneLife([](Machine& m) {
         FillSegments(m, 12, 2000);
         m.Flush(0);
         FillSegments(m, 12, 2000);
         m.store().Compact();
         m.Flush(0);
         m.Put("a", "1");
         m.Compact();
         m.Settle();
       })},
      {"CompactsAllOfAnEpoch", SmallStore(),
       Lives(3,
             [](Machine& m, int life) {
               FillSegments(m, 12, 2000);
               m.Settle();
               m.Compact(m.store().SealedSegments());
               m.Put("a", Value(life, 50));
               m.Settle();
               if (life == 1) m.Stop();
             })},

      // Changes that need the values before them, from wherever those are:
      // while the log rolls on, while they are moved, after restarts.
      {"Appends", SmallStore(),
       Lives(2,
             [](Machine& m, int life) {
               FillSegments(m, 10, 2000);
               m.maintenance().set_auto_run(false);
               m.store().Compact();
               for (int i = 0; i < 10; ++i) {
                 m.Append(Key(i % 7), Value(life + i, 100));
                 m.maintenance().RunOne();
                 m.Turn();
               }
               m.maintenance().set_auto_run(true);
               m.Compact();
               m.Append(Key(0), "the end");
               m.Settle();
             })},

      {"LargeTransactions", LargerSegments(), OneLife(LargeTransactions)},
      {"MixedTransactions", SmallStore(), Lives(2, MixedTransactions)},
      {"UnsyncedTransactions", SmallStore(SyncMode::kNever),
       Lives(1, MixedTransactions)},
      {"TransactionsWithDeadlines", SmallStore(),
       OneLife(TransactionsWithDeadlines)},
      {"TransactionsInLittleMemory", LittleMemory(),
       OneLife(TransactionsInLittleMemory)},

      {"HintsSealedSegments", SmallStoreWithHints(), OneLife([](Machine& m) {
         FillSegments(m, 24, 2000);
         m.Settle();
         m.Stop();
       })},
      // The tombstones' segments first: of some, hints say that they may go,
      // and of the others that what they hide is still there.
      {"CompactsByHints", SmallStoreWithHints(), OneLife([](Machine& m) {
         FillSegments(m, 8, 2000);
         for (int i = 0; i < 7; i += 2) m.Delete(Key(i));
         m.Put("brief", "1");
         m.Put(Key(1), "2");
         for (int i = 0; i < 8; ++i) m.Put("filler", Value(i, 2000));
         m.Delete("brief");
         for (int i = 0; i < 8; ++i) m.Put("filler", Value(i, 2000));
         m.Settle();
         const std::vector<uint64_t> sealed = m.store().SealedSegments();
         if (!sealed.empty()) m.Compact({sealed.begin() + 1, sealed.end()});
         m.Compact();
         m.Settle();
       })},
  };
  return workloads;
}

}  // namespace kvd
