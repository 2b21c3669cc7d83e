// SPDX-License-Identifier: MIT
//
// Are the other tests worth anything? Each planted bug breaks one promise, and
// the check that guards that promise must turn red with it, and be green
// without.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "base/planted_bug.h"
#include "tests/store/promises/crash_campaign.h"
#include "tests/store/promises/promises.h"
#include "tests/store/promises/workloads.h"

namespace kvd {
namespace {

// Says what is wrong, or "".
using Check = std::function<std::string()>;

// The crash campaign over the workloads of these names.
Check Crashes(std::vector<std::string> names) {
  return [names] {
    for (const Workload& workload : CrashWorkloads()) {
      if (std::find(names.begin(), names.end(), workload.name) == names.end()) {
        continue;
      }
      CampaignOptions options;
      options.choices_per_crash = 24;
      options.recovery_crashes = 0;
      const CampaignResult result = RunCampaign(workload, options);
      if (result.failures != 0) return result.first_failure;
    }
    return std::string();
  };
}

struct Planted {
  const char* name;
  PlantedBug bug;
  Check check;
};

void PrintTo(const Planted& planted, std::ostream* out) {
  *out << planted.name;
}

const Planted kPlanted[] = {
    {"ManifestNotSynced", PlantedBug::kManifestNotSynced,
     Crashes({"FirstStart", "RollsSegments"})},
    {"ManifestNameNotSynced", PlantedBug::kManifestNameNotSynced,
     Crashes({"FirstStart", "RollsSegments", "KilledAndRestarted"})},
    {"SegmentNameNotSynced", PlantedBug::kSegmentNameNotSynced,
     Crashes({"FirstStart", "RollsSegments"})},
    {"AcknowledgeEarly", PlantedBug::kAcknowledgeEarly, Crashes({"OneByOne"})},
    {"ShowUndurableAbsence", PlantedBug::kShowUndurableAbsence,
     CheckAbsenceWaits},
    {"ShowUndurableCount", PlantedBug::kShowUndurableCount, CheckCountWaits},
    {"ShowUndurableSwap", PlantedBug::kShowUndurableSwap, CheckSwapWaits},
    {"ForgetSwaps", PlantedBug::kForgetSwaps, Crashes({"Swaps"})},
    {"ReuseEpoch", PlantedBug::kReuseEpoch, CheckEpochIsNew},
    {"ReuseSeq", PlantedBug::kReuseSeq,
     Crashes({"Pipelined", "NeverSynced", "Interval"})},
    {"IgnoreEvidence", PlantedBug::kIgnoreEvidence, CheckFlipsAreFound},
    {"SkipRecordChecksum", PlantedBug::kSkipRecordChecksum, CheckFlipsAreFound},
    {"IgnoreNextSegment", PlantedBug::kIgnoreNextSegment,
     Crashes({"RollsWhileJobsLag"})},
    {"UseUnnamedSegment", PlantedBug::kUseUnnamedSegment,
     Crashes({"FirstStart", "RollsSegments"})},
    {"SealWithoutSync", PlantedBug::kSealWithoutSync,
     Crashes({"NeverSynced", "Interval"})},
    {"TailNotRewritten", PlantedBug::kTailNotRewritten,
     CheckFailedFlushBeforeCrash},
    {"CompactedNotSynced", PlantedBug::kCompactedNotSynced,
     Crashes({"Compacts"})},
    {"CompactedNameNotSynced", PlantedBug::kCompactedNameNotSynced,
     Crashes({"Compacts"})},
    {"UnnamedOutputIds", PlantedBug::kUnnamedOutputIds,
     CheckOutputIdsAreGivenOut},
    {"DropTombstones", PlantedBug::kDropTombstones,
     Crashes({"CompactsTombstones"})},
    {"InstallBeforeDurable", PlantedBug::kInstallBeforeDurable,
     Crashes({"CompactsUnsynced", "OverwritesWhileCompacting"})},
    {"RetireBeforeManifest", PlantedBug::kRetireBeforeManifest,
     Crashes({"Compacts"})},
    {"ForgetRetiredSeqs", PlantedBug::kForgetRetiredSeqs,
     Crashes({"CompactsAllOfAnEpoch"})},
    {"BelieveVictims", PlantedBug::kBelieveVictims, CheckDamagedVictimStays},
    {"ScrubBelieves", PlantedBug::kScrubBelieves, CheckScrubFindsDamage},
    {"ForgetRemovals", PlantedBug::kForgetRemovals,
     CheckRemovalHidesWhatIsReadLater},
    {"HeadForgets", PlantedBug::kHeadForgets, CheckHeadsAreRight},
    {"RepointBlindly", PlantedBug::kRepointBlindly, CheckUsageIsExact},
    {"TrustStaleHint", PlantedBug::kTrustStaleHint,
     CheckStaleHintIsNotBelieved},
    {"EvictUnwritten", PlantedBug::kEvictUnwritten,
     CheckValuesStayUntilWritten},
    {"RetireUnderRead", PlantedBug::kRetireUnderRead,
     CheckVictimsStayWhileTheyAreRead},
    {"RunWithoutValue", PlantedBug::kRunWithoutValue,
     CheckNoEffectBeforeTheValue},
    {"BelieveStorage", PlantedBug::kBelieveStorage, CheckLossIsNoticed},
    {"UncountedQueue", PlantedBug::kUncountedQueue, CheckQueuesAreCounted},
    {"ExpiryFromReserve", PlantedBug::kExpiryFromReserve,
     CheckExpiryLeavesTheReserve},
    {"StaysFull", PlantedBug::kStaysFull, CheckFullEnds},
    {"PassingIsFinal", PlantedBug::kPassingIsFinal, CheckPassingErrorsPass},
    {"SpareNotSafe", PlantedBug::kSpareNotSafe, CheckSpareIsSafe},
    {"TransactionInParts", PlantedBug::kTransactionInParts,
     Crashes({"LargeTransactions"})},
    {"UndoForgetsDeadline", PlantedBug::kUndoForgetsDeadline,
     CheckUndoLeavesNothing},
    {"UndoForgetsCount", PlantedBug::kUndoForgetsCount, CheckUndoLeavesNothing},
    {"WatchMissesExpiry", PlantedBug::kWatchMissesExpiry, CheckWatchSeesExpiry},
    {"BackupMixesRevisions", PlantedBug::kBackupMixesRevisions,
     CheckBackupIsOfOneRevision},
    {"RestoreReusesRevisions", PlantedBug::kRestoreReusesRevisions,
     CheckRestoreTakesNewRevisions},
};

class PlantedBugs : public testing::TestWithParam<Planted> {};

TEST_P(PlantedBugs, AreCaught) {
  const Planted& planted = GetParam();
  EXPECT_EQ(planted.check(), "") << "red without the bug";
  std::string found;
  {
    ScopedPlantedBug plant(planted.bug);
    found = planted.check();
  }
  EXPECT_NE(found, "") << "the bug was planted and nobody noticed";
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBugs, testing::ValuesIn(kPlanted),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace kvd
