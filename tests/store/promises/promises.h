// SPDX-License-Identifier: MIT
//
// Promises as functions that say what is wrong, or "": for the tests that they
// hold, and for the tests that a planted bug breaks them.
#pragma once

#include <string>

namespace kvd {

// A reply that shows the absence of a key whose removal is not durable waits.
std::string CheckAbsenceWaits();
// So does one that shows a count.
std::string CheckCountWaits();
// So does one about either of two databases that changed places, whatever it
// shows; and nobody else.
std::string CheckSwapWaits();
// Every opening takes a new epoch, durable before a segment carries it.
std::string CheckEpochIsNew();
// Every bit of a store that was declared durable, or stopped cleanly, flipped:
// the next start refuses, or everything is there; never a wrong value, and
// nothing vanishes unreported.
std::string CheckFlipsAreFound();
// A flush fails, the process dies, the next one reads the log out of the page
// cache and serves it; then power is lost. What was served is still there.
std::string CheckFailedFlushBeforeCrash();
// A compaction that meets damage leaves the segment, and all that is in it.
std::string CheckDamagedVictimStays();
// A bit that rots in a sealed segment is found before anybody needs it.
std::string CheckScrubFindsDamage();
// A removal that compaction moved into a segment which is read before the one
// with the older put still hides that.
std::string CheckRemovalHidesWhatIsReadLater();
// What is live and what is dead is known exactly, also after keys changed while
// they were being moved: as exactly as after reading the whole log anew.
std::string CheckUsageIsExact();
// No file has a segment's id before the MANIFEST says that it was given out.
std::string CheckOutputIdsAreGivenOut();
// Each segment's head says what was flushed, swapped and exchanged before it,
// and a compaction's segments that they are complete.
std::string CheckHeadsAreRight();
// A hint of other bytes than the segment's, under its name, does not bring a
// removed key back.
std::string CheckStaleHintIsNotBelieved();
// A value leaves memory when it can be read from disk, not before.
std::string CheckValuesStayUntilWritten();
// A segment whose values somebody reads outlives its compaction until they are
// read.
std::string CheckVictimsStayWhileTheyAreRead();
// On a full disk expiry leaves what is kept for removals to those.
std::string CheckExpiryLeavesTheReserve();
// Nothing says "full" once a MANIFEST that found no room has been written.
std::string CheckFullEnds();
// Whatever passes by itself, met once in any call, ends neither the store nor
// its service.
std::string CheckPassingErrorsPass();
// A start that was killed and a power loss in the next one leave a MANIFEST.
std::string CheckSpareIsSafe();
// A command whose value has to be read first has no effect before.
std::string CheckNoEffectBeforeTheValue();
// A data directory that is gone is noticed while the store runs and when it
// stops; nobody is told of durability any more.
std::string CheckLossIsNoticed();
// What removals leave to be worked off counts as memory while it waits.
std::string CheckQueuesAreCounted();
// After an undone transaction the store is what it was, field by field.
std::string CheckUndoLeavesNothing();
// Whoever watches a key hears that it has expired, whoever removes it.
std::string CheckWatchSeesExpiry();
// A backup has what was there at its revision, whatever is written while it is
// read.
std::string CheckBackupIsOfOneRevision();
// A restored store gives no revision that its source gave after the backup.
std::string CheckRestoreTakesNewRevisions();

}  // namespace kvd
