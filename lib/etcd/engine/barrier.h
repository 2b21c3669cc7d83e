// SPDX-License-Identifier: MIT
//
// How reads are kept from being out of date: every Txn of any kvd moves a key
// of its own, so that the newest of these keys, by etcd's word, is as new as
// the newest change. A read that came before etcd was asked may be answered
// once the watch has told that revision. One question serves all reads that
// wait.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "etcd/api.h"

namespace kvd::etcd {

// Why a kvd cannot go on whose etcd is at revision `is`, by an answer, and was
// at `was` when it was asked; nothing if it can. Revisions only grow, but where
// somebody makes etcd anew, from a backup or empty, under kvds that run: what
// those have in memory is not what is there.
std::optional<Error> WentBack(int64_t is, int64_t was);

// Thread: loop.
class Barrier {
 public:
  // Whether the keys, as etcd has them, go with what the watch has told.
  using Fits = std::function<bool(const RangeResponse&)>;
  // `key` to `range_end`: the keys that Txns move.
  Barrier(Api& api, std::string key, std::string range_end, int64_t timeout_ms,
          Fits fits)
      : api_(api),
        key_(std::move(key)),
        range_end_(std::move(range_end)),
        timeout_ms_(timeout_ms),
        fits_(std::move(fits)) {}

  // The number of the next one that is asked for: what comes now waits for it.
  uint64_t next() const { return asked_ + 1; }
  // That one is wanted.
  void Want() { wanted_ = true; }
  // Whatever a command does, it waits for the next one.
  void HoldAll() {
    before_all_ = next();
    Want();
  }
  uint64_t before_all() const { return before_all_; }
  // Why this kvd cannot go on.
  const std::optional<Error>& failure() const { return failure_; }
  bool holds_all() const { return before_all_ > passed_; }
  // Asks, if one is wanted and none is under way. Gives up what the watch has
  // not come to in time.
  void Pump(int64_t now_ms);

  // The watch has told all up to this revision, where the newest of the keys is
  // as of `newest`: true if that passes one.
  bool Advance(int64_t revision, int64_t newest);
  // Whether etcd has shown since the last call that it was made anew and has
  // come as far again: its keys are older than they were, or others. Those that
  // wait go on to wait.
  bool TakeIsAnother() { return std::exchange(is_another_, false); }
  // The newest one that nobody answered; all before it were, or were given up,
  // too. Why.
  uint64_t failed() const { return failed_; }
  const std::string& why() const { return why_; }
  bool has_news() const { return has_news_; }
  bool TakeNews() { return std::exchange(has_news_, false); }
  uint64_t passed() const { return passed_; }

 private:
  // What the watch has told.
  struct Told {
    int64_t revision = 0;
    int64_t newest = 0;  // Of the keys.
  };
  void OnAnswer(Result<RangeResponse> answer, Told told);
  void GiveUp(std::string why);

  Api& api_;
  const std::string key_;
  const std::string range_end_;
  const int64_t timeout_ms_;
  const Fits fits_;
  bool wanted_ = false;
  bool under_way_ = false;
  uint64_t asked_ = 0;
  int64_t asked_at_ms_ = 0;
  uint64_t answered_ = 0;
  uint64_t passed_ = 0;
  uint64_t before_all_ = 0;
  int64_t target_ = 0;  // Of the newest that was answered.
  Told told_;           // So far.
  std::optional<Error> failure_;
  uint64_t failed_ = 0;
  std::string why_;
  bool is_another_ = false;
  bool has_news_ = false;
};

}  // namespace kvd::etcd
