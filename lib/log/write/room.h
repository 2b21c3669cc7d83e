// SPDX-License-Identifier: MIT
//
// The question that precedes every change, and its answers.
#pragma once

namespace kvd {

// Whether there is room for what a command is about to write.
enum class Room {
  kReady,
  kWait,        // Not now: ask again after a Poll() that said true.
  kDiskFull,    // Not before somebody frees space.
  kTooLarge,    // Never: larger than a commit group may be.
  kMemoryFull,  // Not before keys go. Not the log's answer: the store's.
  kLost,        // Never again: what is on disk is not there any more.
};

enum class Purpose {
  kWrite,    // May add bytes to the store.
  kRemoval,  // Frees some: may use a reserve, so that deletes work on a full
             // disk.
  kExpiry,   // Frees some, too, but nobody asked: it leaves the reserve alone.
};

}  // namespace kvd
