// SPDX-License-Identifier: MIT
//
// This kvd's sequence key, which each of its Txns compares and moves: so each
// is done once at the most, and of one whose answer does not come a fence, a
// Txn that does nothing but move the key on, finds out whether it was.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "etcd/api.h"
#include "etcd/engine/names.h"

namespace kvd::etcd {

// Thread: loop.
class OwnSequence {
 public:
  struct Options {
    std::string key;
    std::string id;          // For people.
    std::string nonce;       // Of this life.
    int64_t timeout_ms = 0;  // What clients wait.
  };
  // References outlive it.
  OwnSequence(Api& api, const Clock& clock, Options options)
      : api_(api), clock_(clock), options_(std::move(options)) {}

  // What the key was when it was loaded, 0 if there was none. Fences begin, if
  // it is not as this kvd has left it.
  void Found(int64_t mod_revision);
  // Sends a fence, when one is wanted and due.
  void DoWhatIsDue();

  // Whether it is certain what became of every Txn so far: only then another
  // one is sent. At first it is not: an earlier life may have sent one.
  bool settled() const { return settled_; }
  // Of the key, as this kvd has left it, or older if it is not settled(); 0:
  // that is not known.
  int64_t revision() const { return is_own_ && found_ ? revision_ : 0; }
  // Whether the watch has told all up to `told`, with the key as of `is_at`,
  // and not what this kvd wrote last.
  bool IsMissing(int64_t told, int64_t is_at) const;
  // etcd was made anew: what the key is like is to be Found().
  void Doubt();
  // Whether the key was found to be older since the last call: what this kvd
  // has written may not be there either. Why is the trouble.
  bool TakeBeganAnew() { return std::exchange(began_anew_, false); }
  // Whether the key is this life's.
  bool is_own() const { return is_own_; }
  // Why it is not settled, and whether that is for want of space.
  const std::string& trouble() const { return trouble_; }
  bool no_space() const { return no_space_; }
  // Somebody else has the key, or etcd was made anew.
  const std::optional<Error>& failure() const { return failure_; }

  // With settled(). What becomes of it is told once, or twice if the first is
  // kUnknown.
  void Send(TxnRequest request);
  struct Told {
    enum class What : uint8_t {
      kCommitted,
      kRefused,     // Its conditions do not hold, or a fence came before it.
      kFailed,      // Not done, and never will be.
      kUnknown,     // Nobody knows yet …
      kNeverKnown,  // … or ever will: the key is older, or not there.
    };
    What what = What::kCommitted;
    int64_t revision = 0;        // kCommitted.
    std::optional<Error> error;  // kFailed and kUnknown.
  };
  std::optional<Told> Take();
  // Nobody wants to know what becomes of the Txn.
  void Forget() { awaits_fence_ = false; }

 private:
  void Fence();
  void OnTxn(Result<TxnResponse> answer);
  void OnFence(Result<TxnResponse> answer);
  void Move(TxnRequest request, Api::Done<TxnResponse> done);
  void Settle(int64_t revision);
  // Nobody knows what became of the Txn: a fence will tell.
  void Unknown(const Error& why);
  // etcd looks at its space before a Txn and behind it, and says the same.
  void LookWhetherDone(const Error& why);
  void BeginAnew(const std::vector<KeyValue>& found);
  void SayThatItIsOther();
  // Of the key:
  bool IsAsLeft(const std::vector<KeyValue>& found) const;
  // Than this kvd has left it, or not there: it was removed, or etcd was made
  // anew. Whose it is says nothing then.
  bool IsOlder(const std::vector<KeyValue>& found) const;
  bool IsOurs(const std::vector<KeyValue>& found) const;
  void Lost();
  int64_t TimeoutMs() const;
  int64_t NowMs() const { return clock_.MonotonicUs() / 1000; }

  Api& api_;
  const Clock& clock_;
  const Options options_;

  uint64_t number_ = 0;       // Of the newest Txn.
  uint64_t sent_number_ = 0;  // Of the newest that was no fence.
  int64_t revision_ = 0;      // Of the key, as this kvd knows.
  bool found_ = false;
  bool is_own_ = false;
  bool settled_ = false;
  bool began_anew_ = false;
  bool awaits_fence_ = false;  // Somebody, to know of the Txn before it.
  bool fences_ = false;        // One is under way.
  int64_t fenced_at_ms_ = 0;   // When the newest one was sent.
  int64_t due_ms_ = 0;         // The next one, at the earliest.
  std::string trouble_;
  bool no_space_ = false;
  std::optional<Told> told_;
  std::optional<Error> failure_;
};

}  // namespace kvd::etcd
