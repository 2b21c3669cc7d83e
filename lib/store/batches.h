// SPDX-License-Identifier: MIT
//
// How commands run on a store whose changes others may refuse: in batches.
// While one is on its way, commands wait; then all of them run in place, their
// replies are kept back, and what they have changed is sent as a whole. Either
// it stands, or all is undone and they run again.
#pragma once

#include <cstdint>
#include <string>

#include "log/write/room.h"
#include "store/memory/basics.h"

namespace kvd {

// Thread: loop.
class Batches {
 public:
  enum class Admission : uint8_t {
    kRun,
    kWait,    // A Poll() that said true follows.
    kRefuse,  // With refusal(): there is no store behind it now.
  };
  // Of the words that have come from a client; a new one when more have.
  struct Stamp {
    uint64_t number = 0;  // 0: none of them had to be up to date so far.
    // They have seen or made changes; there may be older ones of others that
    // this store has not been told of.
    bool is_ahead = false;
  };
  // Whether a command may run now that `reads` what it may not find out of
  // date. `stamp` is that of its words, and outlives the command.
  virtual Admission Admit(bool reads, Stamp* stamp) = 0;
  // The text of an error reply.
  virtual const std::string& refusal() const = 0;

  // Around a command that was admitted. With `ran` false it waits, or is
  // refused: what it did is undone.
  virtual void BeginCommand() = 0;
  struct Verdict {
    // Not kReady: what it did was undone; it waits, or can never run
    // (kTooLarge: Store::WhyTooLarge()).
    Room room = Room::kReady;
    // Its reply waits for the batch, and it runs again if that is refused.
    bool belongs_to_batch = false;
    // With kWait: it has changed nothing, so that nothing proves what it saw.
    // It has to be admitted as one that reads.
    bool reads = false;
  };
  // Within it: its reply shows the number of this change, which is not durable.
  // As all changes of a batch get one revision, the key takes no other one.
  virtual void ShowsRevision(Seq provisional) = 0;
  // `behind`: the client has a command in this batch already. `seen`: the
  // newest change that the reply shows.
  virtual Verdict EndCommand(bool ran, bool behind, Seq seen) = 0;

  enum class Outcome : uint8_t {
    kNone,       // Of a batch that ends since the last call.
    kCommitted,  // durable_seq() has grown.
    kRefused,    // Its commands have to run again.
    kFailed,     // Each of them is answered with refusal() instead.
  };
  virtual Outcome TakeOutcome() = 0;
  // What became of a change that had this number while it was not durable.
  virtual Seq RevisionOf(Seq provisional) const = 0;

 protected:
  ~Batches() = default;
};

// Changes whose revision is not known yet have numbers from here on.
inline constexpr Seq kProvisionalSeq = Seq{1} << 62;

}  // namespace kvd
