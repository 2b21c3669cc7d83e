// SPDX-License-Identifier: MIT
//
// How much a transaction may take, and why it is refused: one for all of its
// commands.
#pragma once

#include <cstdint>
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
  std::string refusal_;
};

}  // namespace kvd
