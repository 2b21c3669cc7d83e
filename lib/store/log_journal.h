// SPDX-License-Identifier: MIT
//
// The log as a store's journal.
#pragma once

#include "log/log_writer.h"
#include "store/journal.h"

namespace kvd {

// Thread: loop. The log outlives it.
class LogJournal final : public Journal {
 public:
  explicit LogJournal(LogWriter& log) : log_(log) {}

  Room RoomFor(uint64_t bytes, Purpose purpose) override {
    return log_.RoomFor(bytes, purpose);
  }
  Appended Append(RecordKind kind, uint16_t database, std::string_view key,
                  std::string_view value, uint64_t deadline_ms) override {
    const auto [seq, place] =
        log_.Append(kind, database, key, value, deadline_ms);
    return {seq, place};
  }

  void Mark() override { mark_ = log_.MarkEnd(); }
  Room RoomBehind(uint64_t bytes, Purpose purpose) override {
    return log_.RoomBehind(bytes, purpose);
  }
  uint64_t BytesSinceMark() const override { return log_.BytesSince(mark_); }
  void CutBack() override { log_.CutBack(mark_); }

  uint64_t group_bytes_max() const override { return kGroupBodyBytesMax; }
  Seq durable_seq() const override { return log_.durable_seq(); }
  bool abandoned() const override { return log_.abandoned(); }

 private:
  LogWriter& log_;
  LogWriter::Mark mark_;
};

}  // namespace kvd
