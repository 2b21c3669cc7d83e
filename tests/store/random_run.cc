// SPDX-License-Identifier: MIT
#include "tests/store/random_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <random>
#include <vector>

#include "tests/store/machine.h"

namespace kvd {
namespace {

class RandomRun {
 public:
  explicit RandomRun(uint64_t seed) : random_(seed), seed_(seed) {}

  std::string Run() {
    constexpr SyncMode kModes[] = {SyncMode::kAlways, SyncMode::kAlways,
                                   SyncMode::kInterval, SyncMode::kNever};
    options_ = SmallStore(kModes[Below(4)]);
    options_.write_hints = seed_ % 2 == 1;
    // Most values are on disk alone, or all are in memory.
    if (seed_ % 3 == 1) options_.value_cache_bytes = 2000;
    disk_ = std::make_unique<SimFileSystem>();
    long_ = Below(4) == 0;
    const int lives = 1 + Below(long_ ? 3 : 5);
    for (int life = 0; life < lives; ++life) {
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
    if (Below(3) == 0) PlantFault();
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
    if (!machine.Open()) return "";
    const int steps = long_ ? 60 + Below(160) : Below(60);
    for (int i = 0; i < steps && !Ended(machine); ++i) {
      if (std::string wrong = Step(machine); !wrong.empty()) return wrong;
    }
    if (Below(4) == 0 && !Ended(machine)) machine.Stop();
    return "";
  }

  // What is read is what was written last.
  std::string CheckGet(Machine& machine) {
    const std::string key = Key();
    const std::optional<std::string> found = machine.Get(key);
    if (Ended(machine) || disk_->failures() > 0) return "";
    const Contents& state = history_.states.back();
    const auto held = state.find({0, key});
    const auto expected =
        held == state.end() ? std::nullopt : std::optional(held->second.value);
    if (found == expected || found == Machine::kBlocked) return "";
    return fmt::format("{} is {}, should be {}", key, found.value_or("(none)"),
                       expected.value_or("(none)"));
  }

  bool Ended(Machine& machine) {
    return disk_->crashed() || machine.store().failure().has_value();
  }

  // A disk that fails: the store may end, and must not lie before it does.
  void PlantFault() {
    using Op = SimFileSystem::Op;
    constexpr Op kOps[] = {Op::kWrite,    Op::kAllocate, Op::kSync,
                           Op::kRename,   Op::kCreate,   Op::kDirectorySync,
                           Op::kSubmit,   Op::kComplete, Op::kRemove,
                           Op::kTruncate, Op::kReserve};
    constexpr int kErrors[] = {EIO, ENOSPC, EDQUOT, EMFILE, ENOMEM, EROFS};
    // Named, since the order in which arguments are evaluated is anybody's.
    const bool reaches_disk = Below(2) == 0;
    const bool stays_in_cache = Below(2) == 0;
    disk_->SetFailedSync({reaches_disk, stays_in_cache});
    const Op op = kOps[Below(std::size(kOps))];
    const int nth = Below(12);
    const int sys_errno = kErrors[Below(std::size(kErrors))];
    disk_->FailAt(op, static_cast<uint64_t>(nth), sys_errno);
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
    switch (Below(21)) {
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

  std::mt19937_64 random_;
  uint64_t seed_;
  StoreOptions options_;
  std::unique_ptr<SimFileSystem> disk_;
  History history_;
  bool long_ = false;
  bool slow_ = false;
  int64_t deadlines_ = 0;
  const int64_t first_deadline_ms_ = ManualClock::kStartWallMs;
};

}  // namespace

std::string RunRandomly(uint64_t seed) { return RandomRun(seed).Run(); }

}  // namespace kvd
