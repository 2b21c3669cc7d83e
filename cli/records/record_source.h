// SPDX-License-Identifier: MIT
//
// What records come from, and what they go to.
#pragma once

#include <cstdint>
#include <vector>

#include "cli/failure.h"
#include "cli/records/checkpoint.h"
#include "cli/records/record.h"

namespace kvctl {

class RecordSource {
 public:
  virtual ~RecordSource() = default;

  // Appends the next records, each with its database; false when there are no
  // more. May append none, as when kvctl is interrupted.
  virtual Attempt<bool> Next(std::vector<Record>* page) = 0;

  // How far it is, in a unit of its own; `all` is 0 when nobody knows.
  struct Progress {
    int64_t done;
    int64_t all;
  };
  virtual Progress progress() const = 0;

  // Whether one could go on from here: then Save() says how, and after
  // Resume() a new source does so. What is another source is refused.
  virtual bool CanPause() const { return true; }
  virtual void Save(Checkpoint* checkpoint) const = 0;
  virtual Attempt<void> Resume(const Checkpoint& checkpoint) = 0;
};

class RecordSink {
 public:
  virtual ~RecordSink() = default;

  // Takes a page of records. Some may be on their way until Settle().
  virtual Attempt<void> Put(const std::vector<Record>& page) = 0;
  // What was put is there, or the Failure says which record is not.
  virtual Attempt<void> Settle() = 0;
  // Once, at the end.
  virtual Attempt<void> Finish() { return Settle(); }

  // Whether what was put stays if Finish() is never reached.
  virtual bool KeepsParts() const { return true; }

  // After Settle().
  virtual void Save(Checkpoint* checkpoint) = 0;
  virtual Attempt<void> Resume(const Checkpoint& checkpoint) = 0;
};

}  // namespace kvctl
