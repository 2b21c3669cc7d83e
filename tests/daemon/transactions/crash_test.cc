// SPDX-License-Identifier: MIT
//
// The power fails at each operation of the disk while an EXEC or a script runs,
// also where it begins anew because it waits for a value or for room: what a
// client was told of is there afterwards, and of none there is only a part.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "base/planted_bug.h"
#include "tests/daemon/transactions/together_rig.h"

namespace kvd {
namespace {

using Words = TogetherRig::Words;

struct Workload {
  const char* name;
  Way way;
  bool cold;  // The values that are there before are on disk alone.
  uint64_t segment_bytes;
  bool waits_for_room;

  StoreOptions Options() const {
    StoreOptions options;
    options.segment_bytes = segment_bytes;
    options.first_segment_bytes = segment_bytes;
    options.open_group_bytes_max = 4096;
    if (cold) options.value_cache_bytes = 0;
    return options;
  }
};

void PrintTo(const Workload& workload, std::ostream* out) {
  *out << workload.name;
}

constexpr int kRounds = 3;
constexpr size_t kValueBytes = 3000;

// Changes of all kinds, before and behind the one that needs a value.
std::vector<Words> CommandsOf(int round) {
  const std::string value(kValueBytes, static_cast<char>('a' + round));
  return {{"SET", "round", std::to_string(round)},
          {"SET", "large", value},
          {"SET", "brief", value, "PX", "60000"},
          {"DEL", "gone"},
          {"SELECT", "1"},
          {"APPEND", "text", value},
          {"SELECT", "0"},
          {"RENAME", "large", "larger"},
          {"SWAPDB", "0", "1"},
          {"DBSIZE"}};
}

class Daemon : public TogetherRig {
 public:
  Daemon(const Workload& workload, SimFileSystem* disk)
      : TogetherRig(workload.Options(), disk) {}

  void Fill() {
    for (const char* database : {"1", "0"}) {
      Send({"SELECT", database});
      Send({"SET", "text", std::string(kValueBytes, 't')});
      Send({"SET", "brief", "1", "PX", "90000"});
      Send("SET gone 1");
    }
  }

  struct Outcome {
    bool ran = false;
    bool is_durable = false;
  };
  // Tries as often as it takes; the disk may fail at any time.
  Outcome RunRound(Way way, int round) {
    const Words words = Together(way, CommandsOf(round));
    for (int tries = 0; tries < 20; ++tries) {
      std::string reply;
      const Executed executed = Run(words, &reply);
      if (executed.waits_for == WaitsFor::kValues) {
        ++waits_for_values_;
        store_->Read(&cold_, [] {});
      } else if (executed.waits_for == WaitsFor::kRoom) {
        ++waits_for_room_;
      }
      MakeDurable();
      if (executed.waits_for != WaitsFor::kNothing) continue;
      if (reply.starts_with('-')) break;
      return {true, !store_->MustWait(executed.seen)};
    }
    return {};
  }
  int waits_for_values() const { return waits_for_values_; }
  int waits_for_room() const { return waits_for_room_; }

 private:
  int waits_for_values_ = 0;
  int waits_for_room_ = 0;
};

class Campaign {
 public:
  explicit Campaign(const Workload& workload) : workload_(workload) {
    Daemon(workload_, &start_).Fill();
  }

  // Says what is wrong, or "".
  std::string Run() {
    NoteStates();
    bool crashed = true;
    for (uint64_t n = 0; crashed && wrong_.empty(); ++n) {
      const std::unique_ptr<SimFileSystem> disk = Start();
      const Rounds rounds = CrashAfter(n, disk.get());
      crashed = disk->crashed();
      for (const CrashChoice& choice : disk->Choices(kImagesPerCrash)) {
        Check(rounds, disk->Image(choice).get(),
              fmt::format("after {} operations, {}", n, choice.Describe()));
      }
      operations_ = n;
    }
    return wrong_;
  }
  // Of what ran without a crash.
  uint64_t operations() const { return operations_; }
  bool waited_for_values() const { return waited_for_values_; }
  bool waited_for_room() const { return waited_for_room_; }

 private:
  static constexpr size_t kImagesPerCrash = 8;

  struct Rounds {
    size_t ran = 0;
    size_t durable = 0;
  };

  std::unique_ptr<SimFileSystem> Start() const {
    std::unique_ptr<SimFileSystem> disk = start_.Clone();
    disk->SetReadsWait(workload_.cold);
    return disk;
  }

  // What a run without a crash goes through.
  void NoteStates() {
    const std::unique_ptr<SimFileSystem> disk = Start();
    Daemon daemon(workload_, disk.get());
    states_.push_back(daemon.Everything());
    for (int round = 0; round < kRounds; ++round) {
      if (!daemon.RunRound(workload_.way, round).is_durable) {
        Note("one does not run");
      }
      states_.push_back(daemon.Everything());
    }
    waited_for_values_ = daemon.waits_for_values() > 0;
    waited_for_room_ = daemon.waits_for_room() > 0;
  }

  Rounds CrashAfter(uint64_t operations, SimFileSystem* disk) const {
    Daemon daemon(workload_, disk);
    disk->CrashAt(disk->operations() + operations);
    Rounds rounds;
    for (int round = 0; round < kRounds; ++round) {
      const Daemon::Outcome outcome = daemon.RunRound(workload_.way, round);
      if (!outcome.ran) break;
      ++rounds.ran;
      if (outcome.is_durable) rounds.durable = rounds.ran;
    }
    return rounds;
  }

  // The one that it failed in may be on the disk, too.
  void Check(const Rounds& rounds, SimFileSystem* image,
             const std::string& context) {
    Daemon daemon(workload_, image);
    const auto found =
        std::find(states_.begin(), states_.end(), daemon.Everything());
    const auto number = static_cast<size_t>(found - states_.begin());
    if (found == states_.end()) {
      Note(context + ": a part of one is there");
    } else if (number < rounds.durable || number > rounds.ran + 1) {
      Note(fmt::format("{}: {} are there, {} were durable and {} ran", context,
                       number, rounds.durable, rounds.ran));
    } else if (!daemon.RunRound(workload_.way, kRounds).is_durable) {
      Note(context + ": the next one does not run");
    }
  }
  void Note(std::string wrong) {
    if (wrong_.empty()) wrong_ = std::move(wrong);
  }

  const Workload& workload_;
  SimFileSystem start_;
  std::vector<std::string> states_;  // After that many rounds.
  uint64_t operations_ = 0;
  bool waited_for_values_ = false;
  bool waited_for_room_ = false;
  std::string wrong_;
};

constexpr uint64_t kOneSegment = 1 << 20;
constexpr uint64_t kManySegments = 32 << 10;

const Workload kWorkloads[] = {
    {"Exec", Way::kExec, false, kOneSegment, false},
    {"ColdExec", Way::kExec, true, kManySegments, true},
#ifdef KVD_SCRIPTS
    {"Script", Way::kScript, false, kOneSegment, false},
    {"ScriptThatRolls", Way::kScript, false, kManySegments, true},
    {"ColdScript", Way::kScript, true, kManySegments, true},
#endif
};

class CrashesTogether : public testing::TestWithParam<Workload> {};

TEST_P(CrashesTogether, LeaveTheWholeOrNothing) {
  Campaign campaign(GetParam());
  EXPECT_EQ(campaign.Run(), "");
  EXPECT_GT(campaign.operations(), 5u);
  EXPECT_EQ(campaign.waited_for_values(), GetParam().cold);
  EXPECT_EQ(campaign.waited_for_room(), GetParam().waits_for_room);
}

INSTANTIATE_TEST_SUITE_P(Workloads, CrashesTogether,
                         testing::ValuesIn(kWorkloads),
                         testing::PrintToStringParamName());

#ifdef KVD_PLANTED_BUGS
TEST(CrashCampaign, FindsAPart) {
  for (const Workload& workload : kWorkloads) {
    if (!workload.waits_for_room) continue;
    SCOPED_TRACE(workload.name);
    const ScopedPlantedBug planted(PlantedBug::kWaitingApplies);
    const std::string found = Campaign(workload).Run();
    EXPECT_NE(found.find("a part of one is there"), std::string::npos) << found;
  }
}
#endif

}  // namespace
}  // namespace kvd
