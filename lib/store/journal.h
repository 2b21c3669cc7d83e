// SPDX-License-Identifier: MIT
//
// Where the changes of a store go to become durable, and who numbers them: the
// log of this machine, or whatever takes its place. A change is made in memory
// once its record was accepted here.
#pragma once

#include <cstdint>
#include <string_view>

#include "log/format/place.h"
#include "log/format/record.h"
#include "log/write/room.h"
#include "store/memory/basics.h"

namespace kvd {

// Thread: loop.
class Journal {
 public:
  // Whether records of `bytes` together can be appended now, as one atomic
  // group.
  virtual Room RoomFor(uint64_t bytes, Purpose purpose) = 0;

  struct Appended {
    Seq seq = 0;
    Place place;
  };
  // Appends within what RoomFor() granted.
  virtual Appended Append(RecordKind kind, uint16_t database,
                          std::string_view key, std::string_view value,
                          uint64_t deadline_ms) = 0;

  // For changes that are undone together if not all of them can be made. They
  // stay in one group, and go no further than that, as long as only these
  // functions and Append() are called between the first of them and the last.

  // Before the first, when RoomFor() has found room for it.
  virtual void Mark() = 0;
  // Whether `bytes` more fit behind those before, whatever the group's size.
  // kWait calls for CutBack(), and for RoomFor() all of them the next time.
  virtual Room RoomBehind(uint64_t bytes, Purpose purpose) = 0;
  virtual uint64_t BytesSinceMark() const = 0;
  // Takes back all that was appended since. Its numbers are given again, so
  // nobody may have seen them.
  virtual void CutBack() = 0;

  // What one atomic group may take.
  virtual uint64_t group_bytes_max() const = 0;

  // Every change up to this one survives a crash.
  virtual Seq durable_seq() const = 0;
  // Nothing can be written any more, and nobody waits for it.
  virtual bool abandoned() const = 0;

 protected:
  ~Journal() = default;
};

}  // namespace kvd
