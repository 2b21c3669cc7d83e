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

// One life on the disk; nothing is done when the store does not open.
template <typename Body>
void Live(SimFileSystem* disk, History* history, const StoreOptions& options,
          Body body) {
  Machine machine(disk, history, options);
  if (machine.Open()) body(machine);
}

void FillSegments(Machine& machine, int puts, size_t value_bytes) {
  for (int i = 0; i < puts; ++i) {
    machine.Put(Key(i % 7), Value(i, value_bytes));
    machine.Turn();
  }
}

std::vector<Workload> Make() {
  std::vector<Workload> workloads;
  const auto add = [&](std::string name, SyncMode sync, auto body) {
    workloads.push_back({std::move(name), SmallStore(sync), body});
  };
  // One life with one body.
  const auto one_life = [](auto body) {
    return [=](SimFileSystem* disk, History* history,
               const StoreOptions& options) {
      Live(disk, history, options, body);
    };
  };
  const auto add_life = [&](std::string name, SyncMode sync, auto body) {
    add(std::move(name), sync, one_life(body));
  };
  const auto add_hinted = [&](std::string name, SyncMode sync, auto body) {
    workloads.push_back(
        {std::move(name), SmallStoreWithHints(sync), one_life(body)});
  };
  constexpr SyncMode kAlways = SyncMode::kAlways;

  add_life("FirstStart", kAlways, [](Machine& m) {
    m.Put("a", "1");
    m.Settle();
    m.Put("b", "2");
    m.Settle();
  });
  add_life("OneByOne", kAlways, [](Machine& m) {
    for (int i = 0; i < 8; ++i) {
      m.Put(Key(i % 3), Value(i, 10));
      m.Settle();
    }
  });
  add_life("Pipelined", kAlways, [](Machine& m) {
    for (int i = 0; i < 12; ++i) {
      m.Put(Key(i), Value(i, 700));
      if (i % 4 == 3) m.Turn();
    }
    m.Settle();
  });
  // Segments are reserved for large groups. When small ones come, the one that
  // is prepared is zeroed, and the one that is not is left.
  StoreOptions larger_segments = SmallStore(kAlways);
  larger_segments.segment_bytes = 64 * 1024;
  workloads.push_back(
      {"SmallAfterLarge", larger_segments,
       [](SimFileSystem* disk, History* history, const StoreOptions& options) {
         disk->SetZeroingLimit(2000);
         Live(disk, history, options, [](Machine& m) {
           FillSegments(m, 42, 6000);
           FillSegments(m, 90, 10);
           m.Settle();
         });
       }});
  // As at each start of a daemon: the first segment is smaller than the others.
  StoreOptions small_first = SmallStore(kAlways);
  small_first.segment_bytes = 64 * 1024;
  small_first.first_segment_bytes = 16 * 1024;
  workloads.push_back(
      {"SmallFirstSegment", small_first,
       [](SimFileSystem* disk, History* history, const StoreOptions& options) {
         Live(disk, history, options, [](Machine& m) {
           FillSegments(m, 42, 2000);
           m.Settle();
         });
       }});
  add_life("DeletesAndReturns", kAlways, [](Machine& m) {
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
  });
  add_life("AtomicGroups", kAlways, [](Machine& m) {
    for (int i = 0; i < 4; ++i) {
      m.PutAll({{"x", Value(i, 1500)},
                {"y", Value(i, 1500)},
                {"z", Value(i, 1500)}});
      m.Turn();
    }
    m.Settle();
  });
  add_life("RollsSegments", kAlways,
           [](Machine& m) { FillSegments(m, 24, 2000); });
  add_life("RollsWhileJobsLag", kAlways, [](Machine& m) {
    m.Turn();
    m.executor().set_auto_run(false);
    for (int i = 0; i < 40; ++i) {
      m.Put(Key(i % 7), Value(i, 1200));
      m.Turn();
      if (i % 9 == 8) m.executor().RunOne();
    }
  });
  add_life("LazyRollsWhileJobsLag", SyncMode::kNever, [](Machine& m) {
    m.Turn();
    m.executor().set_auto_run(false);
    for (int i = 0; i < 40; ++i) {
      m.Put(Key(i % 7), Value(i, 1200));
      m.Turn();
      if (i % 9 == 8) m.executor().RunOne();
    }
  });
  add_life("LargeValues", kAlways, [](Machine& m) {
    m.Put("small", "1");
    m.Settle();
    m.Put("large", Value(1, 40'000));
    m.Settle();
    m.Put("small", "2");
    m.Put("larger", Value(2, 90'000));
    m.Put("small", "3");
    m.Settle();
  });
  add_life("Flushes", kAlways, [](Machine& m) {
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
  });
  add_life("FlushedSegments", kAlways, [](Machine& m) {
    FillSegments(m, 8, 2000);
    m.Flush(0);
    FillSegments(m, 10, 2000);
    m.Settle();
  });
  // With restarts, so that what a swap did is read from everywhere it may be
  // known from: live segments, sealed ones, the MANIFEST after a compaction.
  const auto swaps = [](SimFileSystem* disk, History* history,
                        const StoreOptions& options) {
    for (int life = 0; life < 3; ++life) {
      Live(disk, history, options, [&](Machine& m) {
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
      });
    }
  };
  add("Swaps", kAlways, swaps);
  add("SwapsUnsynced", SyncMode::kNever, swaps);
  add_life("Deadlines", kAlways, [](Machine& m) {
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
  });
  add_life("IdleDeclares", kAlways, [](Machine& m) {
    for (int i = 0; i < 3; ++i) {
      m.Put("a", Value(i, 100));
      m.Settle();
      m.AdvanceMs(500);
      m.Tick();
      m.Turn();
    }
  });
  add("CleanStops", kAlways,
      [](SimFileSystem* disk, History* history, const StoreOptions& options) {
        for (int life = 0; life < 3; ++life) {
          Live(disk, history, options, [&](Machine& m) {
            m.Put("a", Value(life, 50));
            m.Put(Key(life), "x");
            m.Settle();
            m.Stop();
          });
        }
      });
  add("KilledAndRestarted", kAlways,
      [](SimFileSystem* disk, History* history, const StoreOptions& options) {
        for (int life = 0; life < 3; ++life) {
          Live(disk, history, options, [&](Machine& m) {
            FillSegments(m, 6, 2500);
            m.Put(Key(life), Value(life, 50));
            m.Settle();
          });
        }
      });
  add("IdleLives", kAlways,
      [](SimFileSystem* disk, History* history, const StoreOptions& options) {
        Live(disk, history, options, [&](Machine& m) {
          m.Put("a", "1");
          m.Settle();
        });
        for (int life = 0; life < 2; ++life) {
          Live(disk, history, options, [](Machine& m) { m.Turn(); });
        }
        Live(disk, history, options, [](Machine& m) {
          m.Put("a", "2");
          m.Settle();
          m.Stop();
        });
      });
  add_life("Interval", SyncMode::kInterval, [](Machine& m) {
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
  });
  add_life("NeverSynced", SyncMode::kNever, [](Machine& m) {
    FillSegments(m, 26, 2000);
    m.Stop();
  });

  // Compaction. Each leaves something behind it that a mistake would bring
  // back.
  add_life("Compacts", kAlways, [](Machine& m) {
    FillSegments(m, 24, 2000);
    m.Settle();
    m.Compact();
    m.Put("after", "1");
    m.Settle();
  });
  add_life("CompactsTombstones", kAlways, [](Machine& m) {
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
  });
  add_life("OverwritesWhileCompacting", kAlways, [](Machine& m) {
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
  });
  add_life("CompactsUnsynced", SyncMode::kNever, [](Machine& m) {
    FillSegments(m, 24, 2000);
    for (int i = 0; i < 7; ++i) {
      m.Put(Key(i), Value(i, 30));
      m.Delete(Key(i + 1));
    }
    m.Compact();
    m.Put("after", "1");
  });
  add_life("CompactsFlushed", kAlways, [](Machine& m) {
    FillSegments(m, 12, 2000);
    m.Flush(0);
    FillSegments(m, 12, 2000);
    m.store().Compact();
    m.Flush(0);
    m.Put("a", "1");
    m.Compact();
    m.Settle();
  });
  add("CompactsAllOfAnEpoch", kAlways,
      [](SimFileSystem* disk, History* history, const StoreOptions& options) {
        for (int life = 0; life < 3; ++life) {
          Live(disk, history, options, [&](Machine& m) {
            FillSegments(m, 12, 2000);
            m.Settle();
            m.Compact(m.store().SealedSegments());
            m.Put("a", Value(life, 50));
            m.Settle();
            if (life == 1) m.Stop();
          });
        }
      });

  // Changes that need the values before them, from wherever those are: while
  // the log rolls on, while they are moved, after restarts.
  add("Appends", kAlways,
      [](SimFileSystem* disk, History* history, const StoreOptions& options) {
        for (int life = 0; life < 2; ++life) {
          Live(disk, history, options, [&](Machine& m) {
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
          });
        }
      });

  // With hints.
  add_hinted("HintsSealedSegments", kAlways, [](Machine& m) {
    FillSegments(m, 24, 2000);
    m.Settle();
    m.Stop();
  });
  // The tombstones' segments first: of some, hints say that they may go, and of
  // the others that what they hide is still there.
  add_hinted("CompactsByHints", kAlways, [](Machine& m) {
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
  });
  return workloads;
}

}  // namespace

const std::vector<Workload>& CrashWorkloads() {
  static const std::vector<Workload> workloads = Make();
  return workloads;
}

}  // namespace kvd
