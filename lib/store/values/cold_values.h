// SPDX-License-Identifier: MIT
//
// The values that one command needs and that are not in memory. An Operation
// asks for them; those that cannot be had without waiting are wanted, and the
// command is parked whole, before any effect, until the store has read them.
// They stay here, whatever the cache does, until the command has run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "log/format/place.h"

namespace kvd {

class ValueReader;

// Records that may be read on the loop for one command, and their bytes
// together: about a millisecond.
inline constexpr size_t kReadsAtOnceMax = 512;
inline constexpr uint64_t kReadsAtOnceBytesMax = 2 << 20;

// Which value: that of one change of one key.
struct ColdValue {
  uint64_t seq = 0;
  uint16_t database = 0;  // Internal.
  uint64_t hash = 0;
  std::string key;
  uint32_t value_size = 0;
  Place place;
};

// Thread: loop. One command's at a time; stays where it is while the store
// reads for it.
class ColdValues {
 public:
  ColdValues() = default;
  // Abandon(): a store that reads for it must still be there.
  ~ColdValues() { Abandon(); }
  ColdValues(const ColdValues&) = delete;
  ColdValues& operator=(const ColdValues&) = delete;

  // Forgets all, also what the store is reading.
  void Abandon();

  // Whether the command that asked has to be run again after Store::Read().
  bool wanted() const { return !wanted_.empty(); }
  // Why it cannot be run: a value is damaged, or there are too many.
  const std::optional<Error>& error() const { return error_; }
  // What was read takes, with what is still wanted.
  uint64_t bytes() const { return bytes_; }
  bool empty() const { return values_.empty() && !wanted() && !error_; }

 private:
  friend class Operation;
  friend class Store;
  friend class ValueReader;

  // A record as it was read, or why it was not.
  struct Read {
    ColdValue of;
    Result<std::string> record;

    std::string_view value() const {
      return std::string_view(*record).substr(record->size() - of.value_size);
    }
  };

  // Nothing of the value of that change was asked for yet when it is null.
  const Read* Find(uint64_t seq) const {
    const auto found = values_.find(seq);
    return found == values_.end() ? nullptr : &found->second;
  }
  const Read& Add(Read read) {
    const uint64_t seq = read.of.seq;
    return values_.insert_or_assign(seq, std::move(read)).first->second;
  }
  // Clear(), but what was read stays until nobody holds it any more.
  std::shared_ptr<const void> Take() {
    auto values = std::make_shared<decltype(values_)>(std::move(values_));
    Clear();
    return values;
  }
  // Forgets what the command that has run asked for.
  void Clear() {
    values_.clear();
    wanted_.clear();
    error_.reset();
    bytes_ = 0;
    reads_at_once_ = 0;
  }

  // By sequence number, so that a key that is named twice is read once.
  std::unordered_map<uint64_t, Read> values_;
  std::map<uint64_t, ColdValue> wanted_;  // About in the order on disk.
  std::optional<Error> error_;
  uint64_t bytes_ = 0;  // Of all values, read or wanted.
  size_t reads_at_once_ = 0;

  // While the store reads.
  ValueReader* reader_ = nullptr;
  uint64_t request_ = 0;
  size_t missing_ = 0;
  std::function<void()> on_read_;
};

}  // namespace kvd
