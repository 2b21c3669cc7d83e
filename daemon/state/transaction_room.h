// SPDX-License-Identifier: MIT
//
// How much a transaction may take, and why it is refused: one for all of its
// commands.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/planted_bug.h"

namespace kvd {

// Thread: loop.
class TransactionRoom {
 public:
  // `used` are the bytes of its words.
  TransactionRoom(uint64_t bytes_max, uint64_t used)
      : bytes_max_(bytes_max), used_(used) {}

  // Whether new values and replies may take `bytes` more. If not, the
  // transaction is refused. Asked before anything of that size is made.
  bool Has(uint64_t bytes) {
    if (bytes <= left()) return true;
    RefuseAsTooLarge();
    return false;
  }
  // The same, and counts them.
  bool Take(uint64_t bytes) {
    const bool has = Has(bytes);
    used_ += bytes;
    return has;
  }
  uint64_t left() const {
    if (IsPlanted(PlantedBug::kTransactionLimitAfterChange)) return UINT64_MAX;
    return used_ < bytes_max_ ? bytes_max_ - used_ : 0;
  }
  bool exceeded() const { return used_ > bytes_max_; }
  // Whether one more of its commands gets into SLOWLOG, which has `most`.
  bool LogsOneMore(size_t most) { return logged_++ < most; }

  // Of a script's, which has so much time and no more: `why` says why it is up,
  // or nothing yet. Null: there is no limit.
  void set_time_limit(std::function<std::string()> why) {
    time_is_up_ = std::move(why);
  }
  // What a command that works for long asks between two steps. If not, the
  // transaction is refused.
  bool HasTime() {
    if (time_is_up_) Refuse(time_is_up_());
    return refusal_.empty();
  }

  // Nothing of it may happen. The first reason counts; it is the text of an
  // error reply, with its code.
  void Refuse(std::string why) {
    if (refusal_.empty()) refusal_ = std::move(why);
  }
  void RefuseAsTooLarge();
  // Empty if it is not refused.
  const std::string& refusal() const { return refusal_; }

 private:
  const uint64_t bytes_max_;
  uint64_t used_;
  size_t logged_ = 0;
  std::function<std::string()> time_is_up_ = nullptr;
  std::string refusal_;
};

}  // namespace kvd
