// SPDX-License-Identifier: MIT
//
// Bugs that tests switch on to see themselves turn red. A promise whose test
// passes with the bug planted is not tested.
//
// Debug and sanitizer builds have them (the CMake option KVD_PLANTED_BUGS), and
// there nothing but a test sets the switch. A release has no switch: the answer
// is known when it is compiled. What plants one stands within
// #ifdef KVD_PLANTED_BUGS.
#pragma once

#include <atomic>

namespace kvd {

enum class PlantedBug {
  kNone,
  kManifestNotSynced,      // MANIFEST renamed before its bytes are durable.
  kManifestNameNotSynced,  // No directory sync after the rename.
  kSegmentNameNotSynced,   // A segment used before its name is durable.
  kAcknowledgeEarly,       // Durable before the device said so.
  kShowUndurableAbsence,   // No ghost is left for a removed key.
  kShowUndurableCount,     // DBSIZE does not wait.
  kShowUndurableSwap,      // Nobody waits for a swap.
  kReuseEpoch,             // Opening keeps the epoch.
  kReuseSeq,               // Revisions restart after the surviving prefix.
  kIgnoreEvidence,         // Damage of durable groups passes as a torn tail.
  kIgnoreNextSegment,      // A full live segment's end passes as a hole.
  kUseUnnamedSegment,      // Groups enter a segment before the MANIFEST has it.
  kSkipRecordChecksum,     // Records are believed.
  kSealWithoutSync,        // A full segment is not flushed in lazy modes.
  kTailNotRewritten,       // The surviving tail is believed to be on disk.
  kCompactedNotSynced,     // A compacted segment is installed, never flushed.
  kCompactedNameNotSynced,  // Installed without a sync of the directory.
  kBelieveVictims,          // Compaction drops what it cannot read.
  kDropTombstones,          // Whatever an older segment may still hold.
  kInstallBeforeDurable,    // What made a record dead may not be durable yet.
  kRetireBeforeManifest,    // Victims go before the MANIFEST has dropped them.
  kRepointBlindly,          // Without a look at the sequence number.
  kForgetRetiredSeqs,       // The MANIFEST's next-seq stays behind.
  kScrubBelieves,           // It reads and does not compare.
  kForgetRemovals,          // Loading believes that segments come in order.
  kUnnamedOutputIds,        // Files are created under ids not given out.
  kTrustStaleHint,          // Whatever bytes a hint was made of.
  kEvictUnwritten,          // A value goes before it can be read from disk.
  kRetireUnderRead,         // Victims go while somebody reads in them.
  kRunWithoutValue,         // A parked command has an effect before its value.
  kForgetSwaps,             // The MANIFEST does not follow durable swaps.
  kHeadForgets,             // A head lacks what is not durable yet.
  kReplyLimitAfterChange,   // A reply's size is looked at when all is done.
  kJudgeUnreadInput,        // A half command's rest may be there, unread.
  kSwallowWord,             // An argument of a program is dropped.
  kBelieveStorage,          // Nobody minds that the data directory is gone.
  kUncountedQueue,          // What waits to be worked off costs no memory.
  kExpiryFromReserve,       // Expiry takes what is kept for removals.
  kStaysFull,               // A full disk's mark outlives its cause.
  kPassingIsFinal,          // What passes by itself is taken for the end.
  kStoppedApplies,          // What a stopped script has done stays done.
  kSpareNotSafe,            // What may be the durable MANIFEST is written over.
  kTransactionInParts,      // The records of one are in two groups.
  kUndoForgetsDeadline,     // A key that is put back never expires.
  kUndoForgetsCount,        // DBSIZE is wrong behind an undone removal.
  kWatchMissesExpiry,       // A watched key that expires touches nobody.
  kWaitingApplies,          // What ran before a command that waits stays done.
  kEffectBeforeCertain,     // Effects of an undone transaction stay.
  kTransactionLimitAfterChange,  // Its limits are looked at when all is done.
  kBackupMixesRevisions,    // Its segments are taken later than its revision.
  kRestoreReusesRevisions,  // A restored store goes on where the backup ends.
  kSalvageForgetsFlush,     // A flush in the log does not count.
  kMessageBeforeDurable,    // Subscribers hear of what is not on disk.
  kLoseSlowMessage,         // A message is not kept for who reads slowly.
  kLeakMessage,             // Somebody keeps what everybody has read.
  kWrongEventName,          // A renamed key passes for one that was set.
  kAnswerBeforeFence,       // A Txn without an answer passes for not done.
  kBarrierOfOldest,         // Reads wait for the oldest of the sequence keys.
  kRefusedKeepsReads,       // A refused batch is sent again, not run again.
  kForeignDeadline,         // Expiry does not wait for other hosts' clocks.
  kMixMoments,              // A reply is new for one key and old for another.
  kRemoveBlindly,           // Keys of a kvd go that may be there.
  kRemovalUnmarked,         // Reads do not wait for what a removed kvd wrote.
  kRemovedPassesForUndone,  // What a removed kvd has sent runs again.
  kBelieveHistory,          // A watch goes on in an etcd that was made anew.
};

#ifdef KVD_PLANTED_BUGS

struct PlantedBugSwitch {
  // By this a test tells a program that has the switch, stripped or not.
  char mark[23] = "kvd planted bug switch";
  std::atomic<PlantedBug> bug = PlantedBug::kNone;
};
inline constinit PlantedBugSwitch planted_bug_switch;

inline bool IsPlanted(PlantedBug bug) {
  return __builtin_expect(
      planted_bug_switch.bug.load(std::memory_order_relaxed) == bug, 0);
}

// Plants a bug for the rest of a scope. Thread: one at a time.
class ScopedPlantedBug {
 public:
  explicit ScopedPlantedBug(PlantedBug bug) { planted_bug_switch.bug = bug; }
  ~ScopedPlantedBug() { planted_bug_switch.bug = PlantedBug::kNone; }
  ScopedPlantedBug(const ScopedPlantedBug&) = delete;
  ScopedPlantedBug& operator=(const ScopedPlantedBug&) = delete;
};

#else

constexpr bool IsPlanted(PlantedBug) { return false; }

#endif

}  // namespace kvd
