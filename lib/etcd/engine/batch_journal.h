// SPDX-License-Identifier: MIT
//
// The journal of a store on etcd: it numbers changes for as long as they have
// no revision. What they are is in the list by which they are undone, and what
// one Txn takes of them in the batch.
#pragma once

#include "store/batches.h"
#include "store/journal.h"

namespace kvd::etcd {

// What commands may write while they run, each change of a key counted: bounds
// the memory of what may have to be undone.
inline constexpr uint64_t kChangedBytesMax = uint64_t{64} << 20;

// Thread: loop.
class BatchJournal final : public Journal {
 public:
  Room RoomFor(uint64_t bytes, Purpose purpose) override {
    // Nobody asked: expired keys go by themselves, once all clocks agree.
    if (purpose == Purpose::kExpiry) return Room::kWait;
    return bytes > kChangedBytesMax ? Room::kTooLarge : Room::kReady;
  }
  Appended Append(RecordKind /*kind*/, uint16_t /*database*/,
                  std::string_view key, std::string_view value,
                  uint64_t /*deadline_ms*/) override {
    bytes_ += key.size() + value.size();
    return {++last_seq_, Place()};
  }

  void Mark() override {}
  Room RoomBehind(uint64_t bytes, Purpose purpose) override {
    return RoomFor(bytes, purpose);
  }
  uint64_t BytesSinceMark() const override { return bytes_; }
  void CutBack() override { bytes_ = 0; }
  uint64_t group_bytes_max() const override { return kChangedBytesMax; }

  Seq durable_seq() const override { return durable_seq_; }
  bool abandoned() const override { return false; }

  // The batch stands, or is undone: what there is is durable.
  void Commit() {
    durable_seq_ = last_seq_;
    bytes_ = 0;
  }
  Seq last_seq() const { return last_seq_; }

 private:
  Seq last_seq_ = kProvisionalSeq;
  Seq durable_seq_ = kProvisionalSeq;
  uint64_t bytes_ = 0;  // Of the open batch.
};

}  // namespace kvd::etcd
