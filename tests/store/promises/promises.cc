// SPDX-License-Identifier: MIT
#include "tests/store/promises/promises.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include "log/format/hint.h"
#include "log/format/manifest.h"
#include "log/format/segment.h"
#include "log/log_writer.h"
#include "store/watch.h"
#include "tests/store/promises/machine.h"

namespace kvd {
namespace {

// A store in which "key" is durable and a removal of it is under way.
struct RemovalUnderWay {
  SimFileSystem disk;
  History history;
  Machine machine{&disk, &history};

  RemovalUnderWay() {
    disk.SetWriteMode(SimFileSystem::WriteMode::kAtPoll);
    if (!machine.Open()) return;
    machine.Put("key", "value");
    machine.Settle();
    machine.Delete("key");
  }
};

uint64_t EpochOnDisk(const SimFileSystem& disk) {
  const Result<Manifest> manifest =
      DecodeManifest(disk.ReadAll(kManifestName), "MANIFEST");
  return manifest ? manifest->epoch : 0;
}

// A disk with a store of a few records, left as `leave` says.
struct SmallStoreOnDisk {
  SimFileSystem disk;
  History history;

  explicit SmallStoreOnDisk(bool clean_stop) {
    Machine machine(&disk, &history);
    if (!machine.Open()) return;
    for (int i = 0; i < 4; ++i) {
      machine.Put(fmt::format("key{}", i % 3), fmt::format("value {}", i));
      machine.Settle();
    }
    machine.Delete("key1");
    machine.Settle();
    if (clean_stop) {
      machine.Stop();
    } else {
      machine.AdvanceMs(1000);
      machine.Tick();
      machine.Turn();
    }
  }
};

std::string CheckFlip(const SmallStoreOnDisk& store, const std::string& name,
                      uint64_t bit) {
  const std::unique_ptr<SimFileSystem> disk = store.disk.Clone();
  disk->Flip(name, bit);
  History history;
  Machine machine(disk.get(), &history);
  const Result<void> opened = machine.Open();
  if (!opened) {
    const ErrorCode code = opened.error().code();
    if (code == ErrorCode::kCorruption || code == ErrorCode::kFormat) return "";
    return fmt::format("{} bit {}: {}", name, bit, opened.error().message());
  }
  if (machine.Dump() == store.history.states.back()) return "";
  return fmt::format("{} bit {}: opens to another state", name, bit);
}

}  // namespace

std::string CheckAbsenceWaits() {
  RemovalUnderWay store;
  ColdValues cold;
  Operation operation(store.machine.store(), 0, &cold);
  if (operation.Find("key") != nullptr) return "the removed key is there";
  if (!store.machine.store().MustWait(operation.seen())) {
    return "a reply shows an absence that a crash could undo";
  }
  store.machine.Settle();
  if (store.machine.store().MustWait(operation.seen())) {
    return "the reply waits although the removal is durable";
  }
  ColdValues later_cold;
  Operation later(store.machine.store(), 0, &later_cold);
  later.Find("key");
  later.Find("never there");
  return later.seen() == 0 ? "" : "the ghost stays";
}

std::string CheckCountWaits() {
  RemovalUnderWay store;
  ColdValues cold;
  Operation operation(store.machine.store(), 0, &cold);
  if (operation.Count() != 0) return "counts the removed key";
  if (!store.machine.store().MustWait(operation.seen())) {
    return "a reply shows a count that a crash could undo";
  }
  store.machine.Settle();
  return store.machine.store().MustWait(operation.seen())
             ? "the reply waits although the removal is durable"
             : "";
}

std::string CheckSwapWaits() {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history);
  if (!machine.Open()) return "does not open";
  for (int database = 0; database < 4; ++database) {
    machine.Put("key", fmt::format("value of {}", database), 0, database);
  }
  machine.Settle();

  using Look = std::function<void(Operation&)>;
  const std::pair<const char*, Look> looks[] = {
      {"a value", [](Operation& op) { op.Find("key"); }},
      {"an absence", [](Operation& op) { op.Find("never there"); }},
      {"a count", [](Operation& op) { op.Count(); }},
      {"a listing", [](Operation& op) { op.Scan(0, 10, [](const Entry&) {}); }},
  };
  const auto check = [&](int database, bool waits) -> std::string {
    for (const auto& [name, look] : looks) {
      ColdValues operation_cold;
      Operation operation(machine.store(), database, &operation_cold);
      if (operation.seen() != 0) return "waits before it has seen anything";
      look(operation);
      if (machine.store().MustWait(operation.seen()) == waits) continue;
      return fmt::format("a reply that shows {} of database {} {}", name,
                         database, waits ? "does not wait" : "waits");
    }
    return "";
  };
  machine.Swap(3, 1);
  for (int database = 0; database < 4; ++database) {
    const bool swapped = database == 1 || database == 3;
    if (auto wrong = check(database, swapped); !wrong.empty()) return wrong;
  }
  machine.Settle();
  for (int database = 0; database < 4; ++database) {
    if (auto wrong = check(database, false); !wrong.empty()) return wrong;
  }
  return machine.Get("key", 1) == "value of 3" ? "" : "did not swap";
}

std::string CheckEpochIsNew() {
  SimFileSystem disk;
  History history;
  std::set<uint64_t> seen;
  for (int life = 0; life < 4; ++life) {
    Machine machine(&disk, &history);
    if (!machine.Open()) return "does not open";
    if (!seen.insert(EpochOnDisk(disk)).second) {
      return fmt::format("epoch {} was used before", EpochOnDisk(disk));
    }
    machine.Put("key", "value");
    machine.Settle();
    if (life == 1) machine.Stop();
  }
  return "";
}

std::string CheckFlipsAreFound() {
  for (const bool clean_stop : {true, false}) {
    const SmallStoreOnDisk store(clean_stop);
    for (const std::string& name : store.disk.Names()) {
      if (name == "LOCK") continue;
      const std::string content = store.disk.ReadAll(name);
      // Behind the last written byte a segment is zeros: a few are enough.
      const size_t written = content.find_last_not_of('\0') + 1;
      const size_t bytes = std::min(content.size(), written + 64);
      for (uint64_t bit = 0; bit < bytes * 8; ++bit) {
        if (std::string wrong = CheckFlip(store, name, bit); !wrong.empty()) {
          return wrong;
        }
      }
    }
  }
  return "";
}

namespace {

std::string CheckFailedFlush(size_t value_bytes) {
  SimFileSystem disk;
  History history;
  StoreOptions options = SmallStore();
  options.segment_bytes = 4 * value_bytes + (16 << 10);
  const std::string old_value(value_bytes, 'o');
  const std::string new_value(value_bytes, 'n');
  {
    Machine machine(&disk, &history, options);
    if (!machine.Open()) return "does not open";
    machine.Put("key", old_value);
    machine.Settle();
    disk.SetFailedSync({.reaches_disk = false, .stays_in_cache = true});
    disk.FailAt(SimFileSystem::Op::kComplete, 0, EIO);
    machine.Put("key", new_value);
    machine.Turn();
    machine.Turn();
    if (!machine.store().failure()) return "the failed flush went unnoticed";
  }
  disk.ClearFailures();
  std::string served;
  {
    Machine machine(&disk, &history, options);
    if (!machine.Open()) return "does not open after the failed flush";
    served = machine.Get("key").value_or("(nothing)");
    if (served != new_value) return "the page cache does not have it";
  }
  for (const CrashChoice& choice : disk.Choices(16)) {
    const auto image = disk.Image(choice);
    Machine machine(image.get(), &history, options);
    if (Result<void> opened = machine.Open(); !opened) {
      return "does not open after the power loss: " + opened.error().message();
    }
    if (machine.Get("key") != served) {
      return fmt::format("served {} bytes, then lost them", value_bytes);
    }
  }
  return "";
}

}  // namespace

std::string CheckFailedFlushBeforeCrash() {
  // A few bytes, and what is written back in several pieces.
  for (const size_t value_bytes : {3, 300'000}) {
    if (std::string found = CheckFailedFlush(value_bytes); !found.empty()) {
      return found;
    }
  }
  return "";
}

std::string CheckScrubFindsDamage() {
  SimFileSystem disk;
  History history;
  StoreOptions options = SmallStore();
  options.scrub.interval_ms = 1000;
  options.scrub.rate_bytes_per_s = 0;
  Machine machine(&disk, &history, options);
  if (!machine.Open()) return "does not open";
  for (int i = 0; i < 24; ++i) {
    machine.Put(fmt::format("key{}", i), std::string(2000, 'a'));
    machine.Settle();
  }
  const std::vector<uint64_t> sealed = machine.store().SealedSegments();
  disk.Flip(SegmentName(sealed.front()), 8 * 5000);
  machine.AdvanceMs(1001);
  for (int i = 0; i < 100; ++i) {
    machine.Tick();
    machine.Turn();
  }
  if (machine.store().scrub().rounds == 0) return "does not end a round";
  return machine.store().scrub().errors == 1 ? "" : "finds nothing";
}

std::string CheckRemovalHidesWhatIsReadLater() {
  SimFileSystem disk;
  History history;
  const auto roll = [](Machine* machine) {
    const size_t before = machine->store().SealedSegments().size();
    for (int i = 0; i < 20; ++i) {
      if (machine->store().SealedSegments().size() != before) return;
      machine->Put("filler", std::string(2000, 'a'));
      machine->Settle();
    }
  };
  {
    Machine machine(&disk, &history);
    if (!machine.Open()) return "does not open";
    machine.Put("early", "stays");
    roll(&machine);
    machine.Put("gone", "1");
    roll(&machine);
    machine.Delete("gone");
    roll(&machine);
    const std::vector<uint64_t> sealed = machine.store().SealedSegments();
    if (sealed.size() < 3) return "fills no segments";
    // One segment then has changes from before and from after the put's.
    machine.Compact({sealed[0], sealed[2]});
  }
  Machine machine(&disk, &history);
  if (!machine.Open()) return "does not open again";
  if (machine.Get("gone")) return "a removed key is back";
  return machine.Dump() == history.states.back() ? "" : "holds another state";
}

std::string CheckDamagedVictimStays() {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history);
  if (!machine.Open()) return "does not open";
  for (int i = 0; i < 24; ++i) {
    machine.Put(fmt::format("key{}", i % 7), std::string(2000, 'a'));
    machine.Settle();
  }
  const std::vector<uint64_t> sealed = machine.store().SealedSegments();
  const std::string name = SegmentName(sealed.back());
  disk.Flip(name, 8 * 5000);
  machine.Compact();
  const CompactionStatus& status = machine.store().compaction();
  const std::vector<uint64_t> left = machine.store().SealedSegments();
  if (std::find(left.begin(), left.end(), sealed.back()) == left.end()) {
    return "the damaged segment was retired";
  }
  if (machine.store().Stats().damaged_segments != 1)
    return "the damage was not counted";
  if (std::find(left.begin(), left.end(), sealed.front()) != left.end()) {
    return "the damage of one segment kept another one";
  }
  // Tried no more.
  machine.Compact();
  if (status.errors != 1) return "the damaged segment was taken again";
  return machine.Dump() == history.states.back() ? "" : "holds another state";
}

namespace {

// Overwrites keys from the step `from` of a compaction on; the figures must be
// those that reading the log gives.
std::string CheckUsage(int from) {
  SimFileSystem disk;
  History history;
  StoreStats before;
  {
    Machine machine(&disk, &history);
    if (!machine.Open()) return "does not open";
    for (int i = 0; i < 24; ++i) {
      machine.Put(fmt::format("key{}", i % 9), std::string(2000, 'a'));
      machine.Settle();
    }
    machine.maintenance().set_auto_run(false);
    const uint64_t run = machine.store().Compact();
    for (int i = 0; i < 200; ++i) {
      if (machine.store().compaction().runs_ended >= run) break;
      const std::string key = fmt::format("key{}", i % 9);
      if (i >= from && i % 7 == 3) machine.Delete(key);
      if (i >= from) machine.Put(key, std::string(20, 'b'));
      machine.maintenance().RunOne();
      machine.Turn();
      machine.Tick();
    }
    machine.maintenance().set_auto_run(true);
    machine.Settle();
    if (machine.store().compaction().runs_ended < run) return "does not end";
    if (!machine.Stop()) return "does not stop";
    before = machine.store().Stats();
  }
  Machine machine(&disk, &history);
  if (!machine.Open()) return "does not open again";
  const StoreStats after = machine.store().Stats();
  if (before.live_bytes == after.live_bytes &&
      before.dead_bytes == after.dead_bytes) {
    return "";
  }
  return fmt::format("{} live and {} dead bytes were counted, {} and {} read",
                     before.live_bytes, before.dead_bytes, after.live_bytes,
                     after.dead_bytes);
}

}  // namespace

std::string CheckUsageIsExact() {
  for (int from = 0; from < 20; ++from) {
    if (std::string wrong = CheckUsage(from); !wrong.empty()) return wrong;
  }
  return "";
}

std::string CheckOutputIdsAreGivenOut() {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history);
  if (!machine.Open()) return "does not open";
  for (int i = 0; i < 24; ++i) {
    machine.Put(fmt::format("key{}", i % 7), std::string(2000, 'a'));
    machine.Settle();
  }
  machine.maintenance().set_auto_run(false);
  machine.executor().set_auto_run(false);
  const uint64_t run = machine.store().Compact();
  for (int i = 0; i < 400; ++i) {
    if (machine.store().compaction().runs_ended >= run) return "";
    machine.maintenance().RunOne();
    const Result<Manifest> manifest =
        DecodeManifest(disk.ReadAll(kManifestName), "MANIFEST");
    for (const std::string& name : disk.Names()) {
      SegmentHeader header;
      const bool blank = DecodeSegmentHeader(disk.ReadAll(name), &header) ==
                         HeaderOutcome::kBlank;
      if (SegmentIdOf(name).value_or(0) >= manifest->next_segment && !blank) {
        return name + " is there, and the MANIFEST does not know of its id";
      }
    }
    // The MANIFEST takes its time.
    if (i > 100) machine.executor().RunOne();
    machine.Turn();
  }
  return "does not end";
}

namespace {

// Makes, under the name of the segment's hint, one of an earlier epoch that
// has nothing but a put of another key.
std::string PutStaleHint(SimFileSystem* disk, const Manifest& manifest,
                         const SealedSegment& segment) {
  SealedSegment stale = segment;
  --stale.epoch;
  stale.records = 1;
  stale.last_seq = stale.first_seq;
  HintBuilder builder;
  builder.Add({RecordKind::kPut, 0, stale.first_seq, 0, "other", "value"},
              kSegmentHeaderBytes + kGroupHeaderBytes);
  const Result<void> written =
      builder.Write(*disk->OpenDirectory(), manifest.uuid, stale);
  return written ? "" : written.error().message();
}

}  // namespace

std::string CheckStaleHintIsNotBelieved() {
  SimFileSystem disk;
  History history;
  auto machine = std::make_unique<Machine>(&disk, &history);
  if (!machine->Open()) return "does not open";
  const auto roll = [&] {
    for (int i = 0; i < 8; ++i) {
      machine->Put(fmt::format("filler{}", i), std::string(2000, 'a'));
      machine->Settle();
    }
  };
  machine->Put("gone", "value");
  roll();
  machine->Delete("gone");
  roll();
  const Result<Manifest> manifest =
      DecodeManifest(disk.ReadAll(kManifestName), "MANIFEST");
  if (!manifest || manifest->sealed.size() < 2) return "too few segments";
  const SealedSegment& hiding = manifest->sealed.front();
  if (std::string wrong = PutStaleHint(&disk, *manifest, hiding);
      !wrong.empty()) {
    return wrong;
  }
  std::vector<uint64_t> others = machine->store().SealedSegments();
  std::erase(others, hiding.id);
  machine->Compact(others);
  machine = std::make_unique<Machine>(&disk, &history);
  // The segment itself shall tell.
  disk.Remove(HintName(hiding.id));
  if (!machine->Open()) return "does not open again";
  return machine->Get("gone") ? "a removed key is back" : "";
}

namespace {

// Every value is on disk alone as soon as it may.
StoreOptions WithoutValueCache() {
  StoreOptions options = SmallStore();
  options.value_cache_bytes = 0;
  return options;
}

}  // namespace

std::string CheckValuesStayUntilWritten() {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history, WithoutValueCache());
  if (!machine.Open()) return "does not open";
  machine.Settle();
  disk.SetWriteMode(SimFileSystem::WriteMode::kManual);
  // The first is being written, the second waits in the open group.
  for (const char* key : {"in flight", "open"}) {
    machine.Put(key, "value");
    machine.Turn();
    machine.Turn();
  }
  for (const char* key : {"in flight", "open"}) {
    const std::optional<std::string> found = machine.Get(key);
    if (found != "value") return fmt::format("{}: {}", key, *found);
  }
  while (disk.pending_writes() > 0) disk.CompleteWrite();
  machine.Turn();
  machine.Turn();
  if (machine.store().Stats().values_evicted == 0) return "evicts nothing";
  return machine.Get("in flight") == "value" ? "" : "reads something else";
}

std::string CheckVictimsStayWhileTheyAreRead() {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history, WithoutValueCache());
  if (!machine.Open()) return "does not open";
  machine.Put("key", "value");
  for (int i = 0; i < 24; ++i) {
    machine.Put(fmt::format("filler{}", i % 7), std::string(2000, 'a'));
    machine.Settle();
  }
  const std::string victim =
      SegmentName(machine.store().SealedSegments().front());

  machine.reads().set_auto_run(false);
  std::string value;
  bool read = false;
  ColdValues cold;
  const auto get = [&] {
    Operation operation(machine.store(), 0, &cold);
    value = operation.Value(*operation.Find("key"));
    return !cold.wanted();
  };
  if (get()) return "the value is in memory";
  machine.store().Read(&cold, [&read] { read = true; });
  const uint64_t run = machine.store().Compact();
  for (int i = 0; i < 100; ++i) {
    machine.Turn();
    machine.Tick();
  }
  machine.reads().RunAll();
  machine.AwaitCompaction(run);
  if (!read || !get() || value != "value") {
    return "a value was taken away while it was read";
  }
  return disk.Exists(victim) ? "the victim stays although nobody reads it" : "";
}

std::string CheckNoEffectBeforeTheValue() {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history, WithoutValueCache());
  if (!machine.Open()) return "does not open";
  machine.Put("key", "value");
  machine.Settle();
  machine.Turn();
  machine.Append("key", " and more");
  const std::string found = machine.Get("key").value_or("(none)");
  return found == "value and more" ? "" : "the value is " + found;
}

std::string CheckExpiryLeavesTheReserve() {
  SimFileSystem disk;
  History history;
  disk.SetCapacity(kDiskReserveBytes + 100 * 1024);
  Machine machine(&disk, &history);
  if (!machine.Open()) return "does not open";
  machine.Put("stays", "value");
  const int64_t deadline_ms = machine.clock().WallMs() + 1000;
  int written = 0;
  while (machine.Put(fmt::format("key{}", written), std::string(500, 'a'),
                     deadline_ms + written)) {
    ++written;
  }
  machine.Settle();
  if (!machine.store().Stats().disk_full) return "the disk is not full";
  machine.AdvanceMs(2000);
  for (int i = 0; i < 20; ++i) {
    machine.Tick();
    machine.Turn();
  }
  if (machine.Get("key3")) return "a key is there behind its deadline";
  if (!machine.Delete("stays")) return "no room is left for a removal";
  if (!machine.Flush(1)) return "no room is left for a flush";
  machine.Settle();
  return machine.Dump().empty() ? "" : "keys are there behind their deadlines";
}

namespace {

// Until the log has gone on to another segment.
bool RollSegment(Machine* machine) {
  const size_t before = machine->store().SealedSegments().size();
  for (int i = 0; i < 30; ++i) {
    machine->Put(fmt::format("key{}", i % 7), std::string(2000, 'a'));
    machine->Settle();
    if (machine->store().SealedSegments().size() != before) return true;
  }
  return false;
}

void LetPass(Machine* machine) {
  for (int i = 0; i < 4; ++i) {
    machine->AdvanceMs(kDiskFullRetryMs);
    machine->Tick();
    machine->Turn();
  }
}

}  // namespace

std::string CheckFullEnds() {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history);
  if (!machine.Open() || !RollSegment(&machine)) return "does not open";
  machine.set_turns_max(100);
  disk.FailAt(SimFileSystem::Op::kExchange, 0, ENOSPC,
              SimFileSystem::Repeat::kForever);
  RollSegment(&machine);
  machine.Turn();
  if (disk.failures() == 0) return "no MANIFEST was written";
  if (!machine.store().Stats().disk_full) return "is not full at all";
  disk.ClearFailures();
  LetPass(&machine);
  if (!RollSegment(&machine)) return "does not go on";
  return machine.store().Stats().disk_full ? "is full for ever" : "";
}

namespace {

std::string CheckPasses(SimFileSystem::Op op, uint64_t nth, int sys_errno) {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history, SmallStoreWithHints());
  machine.set_turns_max(100);
  if (!machine.Open() || !RollSegment(&machine)) return "does not open";
  disk.FailAt(op, nth, sys_errno);
  RollSegment(&machine);
  LetPass(&machine);
  machine.Compact();
  LetPass(&machine);
  LetPass(&machine);
  disk.ClearFailures();
  LetPass(&machine);
  if (machine.store().failure()) return machine.store().failure()->message();
  machine.Compact();
  if (machine.store().compaction().running) return "compaction does not end";
  if (!machine.Put("key", "value")) return "takes no writes";
  machine.Settle();
  if (machine.store().MustWait(machine.store().last_seq())) {
    return "does not become durable";
  }
  if (machine.store().Stats().disk_full) return "says full";
  return machine.Dump() == history.states.back() ? "" : "holds another state";
}

}  // namespace

std::string CheckPassingErrorsPass() {
  for (size_t op = 0; op < SimFileSystem::kOpCount; ++op) {
    for (uint64_t nth = 0; nth < 12; ++nth) {
      for (const int sys_errno : {EMFILE, ENOMEM, EAGAIN, ENOSPC, EDQUOT}) {
        const std::string wrong =
            CheckPasses(static_cast<SimFileSystem::Op>(op), nth, sys_errno);
        if (wrong.empty()) continue;
        return fmt::format("call {} of kind {} with errno {}: {}", nth, op,
                           sys_errno, wrong);
      }
    }
  }
  return "";
}

namespace {

bool Starts(SimFileSystem* disk, const History& history) {
  History scratch = history;
  Machine machine(disk, &scratch);
  return machine.Open().has_value();
}

// The disk after a start that was killed behind its first operation of this
// description; null if it has none.
std::unique_ptr<SimFileSystem> KilledBehind(std::string_view description,
                                            const SimFileSystem& disk,
                                            const History& history) {
  const auto whole = disk.Clone();
  Starts(whole.get(), history);
  for (uint64_t n = 0; n < whole->operations(); ++n) {
    if (whole->DescribeOperation(n) != description) continue;
    auto killed = disk.Clone();
    killed->CrashAt(n + 1);
    Starts(killed.get(), history);
    return killed->Clone();
  }
  return nullptr;
}

}  // namespace

std::string CheckSpareIsSafe() {
  constexpr size_t kPowerLosses = 200;
  SimFileSystem disk;
  History history;
  {
    Machine machine(&disk, &history);
    if (!machine.Open()) return "does not open";
    // A text of several sectors, which a power loss can tear.
    for (int i = 0; i < 12; ++i) {
      if (!RollSegment(&machine)) return "does not go on";
    }
  }
  // The names are exchanged, but durable are those before.
  const auto exchanged = KilledBehind("exchange MANIFEST.tmp", disk, history);
  if (exchanged == nullptr) return "exchanges nothing";
  const auto written = KilledBehind("write MANIFEST.tmp", *exchanged, history);
  if (written == nullptr) return "writes no MANIFEST";
  for (size_t seed = 0; seed < kPowerLosses; ++seed) {
    const CrashChoice choice = {CrashChoice::Bytes::kRandom,
                                CrashChoice::Names::kRandom,
                                512,
                                0,
                                0,
                                seed};
    if (!Starts(written->Image(choice).get(), history)) {
      return "does not open after a power loss: " + choice.Describe();
    }
  }
  return "";
}

std::string CheckLossIsNoticed() {
  for (const bool while_it_runs : {true, false}) {
    SimFileSystem disk;
    History history;
    Machine machine(&disk, &history);
    if (!machine.Open()) return "does not open";
    machine.Put("key", "value");
    machine.Settle();
    disk.SetFate(SimFileSystem::Fate::kGone);
    if (while_it_runs) {
      machine.AdvanceMs(2 * StoreOptions().look_interval_ms);
      machine.Tick();
      for (int i = 0; i < 2; ++i) machine.Turn();
    } else if (machine.Stop()) {
      return "a stop says that all is on disk, and the directory is gone";
    }
    if (!machine.store().storage_lost()) return "nobody notices the loss";
    const Seq durable = machine.store().durable_seq();
    ColdValues cold;
    Operation operation(machine.store(), 0, &cold);
    const Room room =
        operation.Reserve(Operation::PutBytes(1, 1), Purpose::kWrite);
    if (room != Room::kLost) return "a write is taken";
    machine.Turn();
    if (machine.store().durable_seq() != durable) return "something is durable";
  }
  return "";
}

std::string CheckQueuesAreCounted() {
  constexpr uint64_t kKeys = 100;
  constexpr uint64_t kKeyBytes = 1000;
  SimFileSystem disk;
  History history;
  StoreOptions options = SmallStore();
  options.segment_bytes = 1 << 20;
  options.open_group_bytes_max = 1 << 20;
  Machine machine(&disk, &history, options);
  if (!machine.Open()) return "does not open";
  const auto key = [](uint64_t i) {
    std::string text = std::to_string(i);
    text.resize(kKeyBytes, 'k');
    return text;
  };
  for (uint64_t i = 0; i < kKeys; ++i) machine.Put(key(i), "");
  machine.Settle();
  for (uint64_t i = 0; i < kKeys; ++i) machine.Delete(key(i));
  // A ghost has the key, and so has who will take the ghost away.
  if (machine.store().memory_bytes() < 2 * kKeys * kKeyBytes) {
    return "removals that are not durable cost no memory";
  }
  machine.Settle();
  machine.Tick();
  const StoreStats stats = machine.store().Stats();
  return stats.queued_bytes == 0 && stats.removals_queued == 0
             ? ""
             : "something waits for ever";
}

std::string CheckUndoLeavesNothing() {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history);
  if (!machine.Open()) return "does not open";
  const int64_t later = machine.clock().WallMs() + 1000;
  machine.Put("key", "value");
  machine.Put("brief", "value", later);
  machine.Put("elsewhere", "value", later, 1);
  machine.Settle();
  machine.Delete("key");
  const std::vector<Part> parts[] = {
      {Part::Put("key", "again"), Part::Delete("key")},
      {Part::Put("brief", "value 2", later + 1), Part::Delete("brief")},
      {Part::Put("brief", "no deadline"), Part::Put("brief", "1", later)},
      {Part::Put("new", "value"), Part::Put("newer", "value", later)},
      {Part::Flush(), Part::Put("new", "value"), Part::Flush(3)},
      {Part::FlushAll(), Part::Swap(0, 1), Part::Put("brief", "1", later)},
      {Part::Swap(0, 1), Part::Delete("elsewhere"), Part::Swap(1, 2)},
  };
  for (const std::vector<Part>& undone : parts) {
    if (!machine.Transact(undone, /*commits=*/false)) return "finds no room";
    if (!history.wrong.empty()) return history.wrong;
  }
  return "";
}

std::string CheckWatchSeesExpiry() {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history);
  if (!machine.Open()) return "does not open";
  const int64_t soon = machine.clock().WallMs() + 10;
  machine.Put("one", "value", soon);
  machine.Put("other", "value", soon);
  Watch one(machine.store());
  Watch other(machine.store());
  one.Add(0, "one");
  other.Add(0, "other");
  machine.Settle();
  if (one.Touched() || other.Touched()) return "touched by nothing";
  machine.AdvanceMs(20);
  if (!one.Touched()) return "nobody looks whether a watched key has expired";
  machine.Get("other");
  return other.Touched() ? "" : "an expiry touches nobody";
}

}  // namespace kvd
