// SPDX-License-Identifier: MIT
#include "tests/store/promises/random_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <random>
#include <vector>

#include "log/log_writer.h"
#include "tests/store/promises/machine.h"

namespace kvd {
namespace {

// By themselves, or with room.
constexpr int kPassing[] = {ENOSPC, EDQUOT, EFBIG,  EMFILE, ENFILE,
                            ENOMEM, EINTR,  EAGAIN, ENOBUFS};
constexpr int kFinal[] = {EIO, EROFS, EACCES};

class RandomRun {
 public:
  explicit RandomRun(uint64_t seed) : random_(seed), seed_(seed) {}

  std::string Run(uint64_t* lives_done) {
    constexpr SyncMode kModes[] = {SyncMode::kAlways, SyncMode::kAlways,
                                   SyncMode::kInterval, SyncMode::kNever};
    options_ = SmallStore(kModes[Below(4)]);
    options_.write_hints = seed_ % 2 == 1;
    // Most values are on disk alone, or all are in memory.
    if (seed_ % 3 == 1) options_.value_cache_bytes = 2000;
    disk_ = std::make_unique<SimFileSystem>();
    disk_->SetExchanges(seed_ % 5 != 0);
    long_ = Below(4) == 0;
    const int lives = 1 + Below(long_ ? 3 : 5);
    for (int life = 0; life < lives; ++life) {
      ++*lives_done;
      std::string wrong = Live();
      if (wrong.empty()) wrong = Crash();
      if (!wrong.empty()) {
        return fmt::format("seed {}, life {}: {}", seed_, life, wrong);
      }
    }
    return "";
  }

 private:
  int Below(int n) {
    return static_cast<int>(random_() % static_cast<uint64_t>(n));
  }

  std::string Live() {
    faulty_ = false;
    const bool fails = Below(3) == 0;
    // Of the opening, too, or not.
    if (fails && Below(2) == 0) PlantFaults();
    if (Below(3) == 0) {
      const int operations = Below(long_ ? 300 : 60);
      disk_->CrashAt(disk_->operations() + static_cast<uint64_t>(operations));
    }
    // Flushes that take their time.
    slow_ = Below(4) == 0;
    disk_->SetWriteMode(slow_ ? SimFileSystem::WriteMode::kManual
                              : SimFileSystem::WriteMode::kAtPoll);
    disk_->SetReadsWait(Below(2) == 0);
    disk_->SetReadQueues(seed_ / 6 % 2 == 0);
    Machine machine(disk_.get(), &history_, options_);
    if (Result<void> opened = machine.Open(); !opened) {
      const ErrorCode code = opened.error().code();
      const bool blames_bytes =
          code == ErrorCode::kCorruption || code == ErrorCode::kFormat;
      if (!blames_bytes && (faulty_ || disk_->crashed())) return "";
      return "did not open: " + opened.error().message();
    }
    const int steps = long_ ? 60 + Below(160) : Below(60);
    for (int i = 0; i < steps && !Ended(machine); ++i) {
      if (fails && Below(12) == 0) PlantFaults();
      machine.set_turns_max(faulty_ ? kTurnsMaxOfFaulty : kTurnsMax);
      std::string wrong = Step(machine);
      if (wrong.empty() && faulty_ && Below(24) == 0) wrong = Heal(machine);
      if (!wrong.empty()) return wrong;
    }
    if (faulty_ && Below(2) == 0 && !Ended(machine)) {
      if (std::string wrong = Heal(machine); !wrong.empty()) return wrong;
    }
    return Below(4) == 0 ? Stop(machine) : CheckEnd(machine);
  }

  std::string Stop(Machine& machine) {
    if (std::string wrong = CheckEnd(machine); !wrong.empty()) return wrong;
    if (Ended(machine)) return "";
    machine.set_turns_max(kTurnsMax);
    if (machine.Stop() || Ended(machine)) return "";
    return "a stop does not end";
  }

  // A store ends for what is final; in the lazy modes, for a failed sync of
  // several groups, whatever it failed with.
  std::string CheckEnd(Machine& machine) {
    if (disk_->crashed() || !machine.store().failure()) return "";
    using Op = SimFileSystem::Op;
    for (const SimFileSystem::Met& met : disk_->met()) {
      const bool is_flight = met.op == Op::kSubmit || met.op == Op::kComplete;
      if (std::ranges::count(kFinal, met.sys_errno) > 0) return "";
      if (options_.sync != SyncMode::kAlways && is_flight) return "";
    }
    return "took for the end what passes: " +
           machine.store().failure()->message();
  }

  // The faults pass; service resumes by itself, or something final was met.
  std::string Heal(Machine& machine) {
    if (Ended(machine)) return CheckEnd(machine);
    disk_->ClearFailures();
    disk_->SetCapacity(kAmpleBytes);
    faulty_ = false;
    machine.set_turns_max(kTurnsMax);
    machine.maintenance().set_auto_run(true);
    for (int i = 0; i < kTurnsToResume; ++i) {
      machine.executor().RunAll();
      machine.maintenance().RunAll();
      machine.AdvanceMs(kDiskFullRetryMs);
      machine.Tick();
      machine.Turn();
    }
    std::string wrong = CheckService(machine);
    if (Ended(machine)) return CheckEnd(machine);
    return wrong.empty() ? "" : "after the faults have passed: " + wrong;
  }

  std::string CheckService(Machine& machine) {
    if (!machine.Put("key0", "in service")) return "takes no writes";
    machine.Settle();
    Store& store = machine.store();
    if (store.MustWait(store.last_seq())) return "writes do not become durable";
    if (machine.Get("key0") != "in service") return "reads something else";
    if (store.Stats().disk_full) return "a flag says full";
    machine.Compact();
    // A run that was under way may have met the faults.
    machine.Compact();
    const CompactionStatus& compaction = store.compaction();
    if (compaction.running) return "compaction does not end";
    if (!compaction.last_error.empty()) {
      return "compaction: " + compaction.last_error;
    }
    return "";
  }

  // What is read is what was written last.
  std::string CheckGet(Machine& machine) {
    const std::string key = Key();
    const std::optional<std::string> found = machine.Get(key);
    if (Ended(machine) || (faulty_ && machine.read_failed())) return "";
    const Contents& state = history_.states.back();
    const auto held = state.find({0, key});
    // What was told to be gone stays so.
    const bool gone =
        held == state.end() || machine.WasJudgedExpired(held->second.seq);
    const auto expected =
        gone ? std::nullopt : std::optional(held->second.value);
    if (found == expected) return "";
    return fmt::format("{} is {}, should be {}", key, found.value_or("(none)"),
                       expected.value_or("(none)"));
  }

  bool Ended(Machine& machine) {
    return disk_->crashed() || machine.store().failure().has_value();
  }

  // A disk that fails, in any call of the seam, once or until it is healed, or
  // that is full. The store may wait, refuse or end, and must not lie.
  void PlantFaults() {
    faulty_ = true;
    // Named, since the order in which arguments are evaluated is anybody's.
    const bool reaches_disk = Below(2) == 0;
    const bool stays_in_cache = Below(2) == 0;
    disk_->SetFailedSync({reaches_disk, stays_in_cache});
    // Most lives meet nothing that is final.
    const bool passing_only = Below(3) != 0;
    for (int left = 1 + Below(4); left > 0; --left) {
      if (Below(8) == 0) {
        const auto room = static_cast<uint64_t>(Below(64)) << 10;
        disk_->SetCapacity(disk_->used_bytes() + room);
        continue;
      }
      const int op = Below(SimFileSystem::kOpCount);
      const int nth = Below(12);
      const bool passes = passing_only || Below(4) != 0;
      const int sys_errno = passes ? kPassing[Below(std::size(kPassing))]
                                   : kFinal[Below(std::size(kFinal))];
      const auto repeat = Below(4) == 0 ? SimFileSystem::Repeat::kForever
                                        : SimFileSystem::Repeat::kOnce;
      const auto partial_bytes = static_cast<size_t>(Below(3)) * 512;
      disk_->FailAt(static_cast<SimFileSystem::Op>(op),
                    static_cast<uint64_t>(nth), sys_errno, repeat,
                    partial_bytes);
    }
  }

  std::string Key() { return fmt::format("key{}", Below(12)); }
  std::string Value() {
    constexpr int kSizes[] = {0, 3, 40, 700, 3000};
    // Long lives fill segments.
    const int usual = long_ && Below(2) == 0 ? 3000 : kSizes[Below(5)];
    const int size = Below(40) == 0 ? 20'000 : usual;
    const char letter = static_cast<char>('a' + Below(26));
    return std::string(static_cast<size_t>(size), letter);
  }

  void Put(Machine& machine, int64_t deadline_ms, int database) {
    const std::string key = Key();
    const std::string value = Value();
    machine.Put(key, value, deadline_ms, database);
  }

  void Delete(Machine& machine) {
    const std::string key = Key();
    machine.Delete(key, Below(4) == 0 ? 1 : 0);
  }

  void Swap(Machine& machine) {
    const int one = Below(3);
    const int other = (one + 1 + Below(2)) % 3;
    machine.Swap(one, other);
  }

  Part RandomPart() {
    const std::string key = Key();
    const int database = Below(3) == 0 ? 1 + Below(2) : 0;
    switch (Below(11)) {
      case 0:
      case 1:
        return Part::Put(key, Value(), 0, database);
      case 2:
        // What expires must be in one database, as far as Tick() goes.
        return Part::Put(key, Value(), first_deadline_ms_ + 50 * ++deadlines_);
      case 3:
      case 4:
        return Part::Delete(key, database);
      case 5:
        return Part::Append(key, "+more", database);
      case 6:
        return Part::Get(key, database);
      case 7:
        return Part::Count(database);
      case 8:
        return Part::Swap(database, (database + 1 + Below(2)) % 3);
      case 9:
        return Part::Move(key, database, (database + 1 + Below(2)) % 3);
      default:
        return Below(4) == 0 ? Part::FlushAll() : Part::Flush(database);
    }
  }

  std::string Transact(Machine& machine) {
    std::vector<Part> parts(static_cast<size_t>(1 + Below(6)));
    for (Part& part : parts) part = RandomPart();
    machine.Transact(parts, /*commits=*/Below(3) != 0);
    return history_.wrong;
  }

  // The wall clock is set, either way.
  void JumpClock(Machine& machine) {
    const int64_t by_ms = (Below(2) == 0 ? -1 : 1) * int64_t{Below(5000)};
    machine.clock().SetWallMs(
        std::max<int64_t>(machine.clock().WallMs() + by_ms, 2));
  }

  // Starts a job with any of the segments; it goes on with later steps.
  void CompactSome(Machine& machine) {
    if (Below(3) == 0) {
      machine.store().Compact();
      return;
    }
    std::vector<uint64_t> chosen;
    for (const uint64_t id : machine.store().SealedSegments()) {
      if (Below(2) == 0) chosen.push_back(id);
    }
    machine.store().CompactSegments(std::move(chosen));
  }

  std::string Step(Machine& machine) {
    switch (Below(23)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        Put(machine, 0, Below(4) == 0 ? 1 : 0);
        return "";
      case 5:
        // Deadlines differ, so that their order is known.
        Put(machine, first_deadline_ms_ + 50 * ++deadlines_, 0);
        return "";
      case 6:
      case 7:
        Delete(machine);
        return "";
      case 8:
        // Braces evaluate from left to right.
        machine.PutAll({{"x", Value()}, {"y", Value()}, {"z", Value()}});
        return "";
      case 9:
        if (Below(6) == 0) machine.Flush(Below(2));
        if (Below(4) == 0) Swap(machine);
        return "";
      case 10:
        machine.AdvanceMs(Below(700));
        if (Below(8) == 0) JumpClock(machine);
        machine.Tick();
        return "";
      case 11:
        return CheckGet(machine);
      case 12:
        machine.Settle();
        return "";
      case 13:
        if (Below(3) == 0) CompactSome(machine);
        return "";
      case 14:
        machine.maintenance().set_auto_run(Below(2) == 0);
        return "";
      case 15:
      case 16:
        machine.maintenance().RunOne();
        machine.Turn();
        return "";
      case 17: {
        const std::string key = Key();
        machine.Append(key, "+more");
        return "";
      }
      case 18:
      case 19:
        return Transact(machine);
      default:
        if (slow_ && disk_->pending_writes() > 0 && Below(2) == 0) {
          disk_->CompleteWrite();
        }
        machine.Turn();
        return "";
    }
  }

  // Power goes, or the process alone; what is left must check out.
  std::string Crash() {
    disk_->ClearFailures();
    disk_->SetCapacity(kAmpleBytes);
    const bool power_lost = disk_->crashed() || Below(2) == 0;
    if (power_lost) {
      const std::vector<CrashChoice> choices = disk_->Choices(48);
      const CrashChoice& choice =
          choices[static_cast<size_t>(Below(static_cast<int>(choices.size())))];
      disk_ = disk_->Image(choice);
    } else {
      disk_ = disk_->Clone();
    }
    const std::unique_ptr<SimFileSystem> copy = disk_->Clone();
    if (std::string wrong = CheckAfterCrash(copy.get(), history_, options_);
        !wrong.empty()) {
      return wrong;
    }
    // What the page cache holds is durable once a recovery has made it so.
    return power_lost ? Adopt(disk_->Clone().get()) : Adopt(disk_.get());
  }

  // Goes on from the state that survived.
  std::string Adopt(SimFileSystem* disk) {
    History scratch;
    Machine machine(disk, &scratch, options_);
    machine.clock().SetWallMs(1);
    if (Result<void> opened = machine.Open(); !opened) {
      return opened.error().message();
    }
    History next;
    next.newest_seq = history_.newest_seq;
    next.states = {machine.Dump()};
    next.last_seqs = {0};
    history_ = std::move(next);
    return "";
  }

  static constexpr uint64_t kAmpleBytes = uint64_t{1} << 40;
  static constexpr int kTurnsMax = 1000;
  // What waits for a fault to pass waits in vain.
  static constexpr int kTurnsMaxOfFaulty = 20;
  static constexpr int kTurnsToResume = 8;

  std::mt19937_64 random_;
  uint64_t seed_;
  StoreOptions options_;
  std::unique_ptr<SimFileSystem> disk_;
  History history_;
  bool long_ = false;
  bool slow_ = false;
  bool faulty_ = false;  // Faults are planted, and not healed.
  int64_t deadlines_ = 0;
  const int64_t first_deadline_ms_ = ManualClock::kStartWallMs;
};

}  // namespace

std::string RunRandomly(uint64_t seed, uint64_t* lives) {
  return RandomRun(seed).Run(lives);
}

}  // namespace kvd
