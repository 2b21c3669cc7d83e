// SPDX-License-Identifier: MIT
//
// Whether this host's clock agrees with those of the other kvds: deadlines mean
// the same everywhere only while they do.
//
// A beat says what its sender's clock was, and comes at some time later: by how
// much the clocks differ is known within bounds alone. This clock may be behind
// by at least what the beat is from the future. It is ahead for certain only by
// what a beat is older than one of this kvd that its sender had seen before:
// the beat came into being after that one. A beat that is merely old proves
// nothing: it may have been under way for long. Where that is the question, a
// beat of this kvd is sent at once, and the other one answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "etcd/engine/names.h"

namespace kvd::etcd {

// Thread: loop.
class PeerClocks {
 public:
  // A kvd that was not heard for so long counts no more.
  static constexpr int64_t kFreshMs = 10'000;
  // So long others have to say that this clock is off.
  static constexpr int64_t kTrustMs = 5000;

  // `id` is this kvd's.
  PeerClocks(std::string id, int64_t max_skew_ms)
      : id_(std::move(id)), max_skew_ms_(max_skew_ms) {}

  // There was a beat of this one once.
  void Found(std::string_view id) { has_others_ |= id != id_; }
  // A beat of this kvd, by its wall clock when it was sent, became that
  // revision.
  void Sent(int64_t revision, int64_t wall_ms);
  // One of another kvd has come. The times are of now; `now_ms` never goes
  // back.
  void Heard(std::string_view id, const Beat& beat, int64_t wall_ms,
             int64_t now_ms);
  // Forgets those that were not heard for long, and sees whether somebody has
  // set this clock.
  void Tick(int64_t wall_ms, int64_t now_ms);

  // The text of an error reply to who wants to change something; empty while
  // this clock agrees with half of the others at least.
  const std::string& no_writes() const { return no_writes_; }
  // Whether a deadline that has passed by this clock has passed: it agrees with
  // the others, and they have had the time to say so since it was set.
  bool MayExpire(int64_t now_ms) const {
    return no_writes_.empty() && now_ms >= trusted_from_ms_;
  }
  // Whether one that was heard may be behind this one: it answers a beat.
  bool asks() const { return asks_; }
  // Whether the others have to hear of this one at once: it was set, or one of
  // them is ahead for certain.
  bool owes_answer() const { return owes_answer_; }
  void BeatSent() { asks_ = owes_answer_ = false; }

  struct Peer {
    int64_t ahead_ms = 0;  // By so much this clock is for certain; or behind.
    int64_t heard_at_ms = 0;
  };
  // Others that were heard not long ago, by their ids.
  const std::map<std::string, Peer, std::less<>>& peers() const {
    return peers_;
  }

 private:
  struct OwnBeat {
    int64_t revision = 0;
    int64_t wall_ms = 0;
  };

  // This clock when the newest own beat was sent that is in `revision`.
  int64_t OwnClockBefore(int64_t revision) const;
  void Judge();

  const std::string id_;
  const int64_t max_skew_ms_;
  std::map<std::string, Peer, std::less<>> peers_;
  std::deque<OwnBeat> own_;  // The newest few.
  std::string no_writes_;
  bool has_others_ = false;
  int64_t trusted_from_ms_ = INT64_MAX;
  int64_t wall_less_now_ms_ = 0;  // The difference of this host's two clocks.
  bool asks_ = false;
  bool owes_answer_ = false;
};

}  // namespace kvd::etcd
