// SPDX-License-Identifier: MIT
#include "etcd/engine/own_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"
#include "etcd/engine/barrier.h"

namespace kvd::etcd {
namespace {

using What = OwnSequence::Told::What;

// A Txn that is not answered by then is asked after: a follower that has sent
// it to a leader which died says nothing for 7 s.
constexpr int64_t kTimeoutMsMax = 2000;
// How long etcd is left alone after a fence that failed …
constexpr int64_t kPauseMs = 200;
// … for want of space, which takes an operator to mend.
constexpr int64_t kNoSpacePauseMs = 1000;

int64_t RevisionOf(const std::vector<KeyValue>& found) {
  return found.empty() ? 0 : found.front().mod_revision;
}

// Of a key that IsOurs().
uint64_t NumberIn(const std::vector<KeyValue>& found) {
  return DecodeSequence(found.front().value)->number;
}

}  // namespace

// A fence and a second one have to fit into what clients wait.
int64_t OwnSequence::TimeoutMs() const {
  return std::clamp<int64_t>(options_.timeout_ms / 2, 1, kTimeoutMsMax);
}

void OwnSequence::Found(int64_t mod_revision) {
  found_ = true;
  if (is_own_ && mod_revision >= revision_) return;
  settled_ = false;
  revision_ = mod_revision;
}

bool OwnSequence::IsMissing(int64_t told, int64_t is_at) const {
  return revision() > is_at && revision() <= told &&
         !IsPlanted(PlantedBug::kBelieveHistory);
}

void OwnSequence::Doubt() {
  settled_ = found_ = false;
  SayThatItIsOther();
}

void OwnSequence::SayThatItIsOther() {
  trouble_ = fmt::format(
      "this kvd's key {} is not as it was: others have removed it, as etcd was "
      "out of reach for so long, or etcd was made anew",
      options_.key);
}

void OwnSequence::DoWhatIsDue() {
  if (!found_ || settled_ || fences_ || failure_ || NowMs() < due_ms_) return;
  Fence();
}

std::optional<OwnSequence::Told> OwnSequence::Take() {
  return std::exchange(told_, std::nullopt);
}

// Whoever moves the key first has it: of two Txns that know the same revision
// of it, one is done at the most.
void OwnSequence::Move(TxnRequest request, Api::Done<TxnResponse> done) {
  request.compares.push_back(
      {options_.key, Compare::Target::kModRevision, revision_, ""});
  request.then.push_back(
      {Op::Kind::kPut, options_.key,
       EncodeSequence({options_.nonce, ++number_, clock_.WallMs()})});
  request.otherwise.push_back({Op::Kind::kGet, options_.key, ""});
  api_.Txn(std::move(request), TimeoutMs(), std::move(done));
}

void OwnSequence::Send(TxnRequest request) {
  KVD_CHECK(settled_);
  sent_number_ = number_ + 1;
  Move(std::move(request),
       [this](Result<TxnResponse> answer) { OnTxn(std::move(answer)); });
}

void OwnSequence::Fence() {
  fences_ = true;
  fenced_at_ms_ = NowMs();
  Move({}, [this](Result<TxnResponse> answer) {
    fences_ = false;
    OnFence(std::move(answer));
  });
}

void OwnSequence::OnTxn(Result<TxnResponse> answer) {
  if (!answer && answer.error().code() == ErrorCode::kTimeout) {
    return Unknown(answer.error());
  }
  if (!answer && answer.error().code() == ErrorCode::kResources) {
    return LookWhetherDone(answer.error());
  }
  if (!answer) {
    told_ = {What::kFailed, 0, answer.error()};
    return;
  }
  if (answer->succeeded) {
    revision_ = answer->revision;
    told_ = {What::kCommitted, revision_, std::nullopt};
    return;
  }
  failure_ = WentBack(answer->revision, revision_);
  if (failure_) return;
  const std::vector<KeyValue>& found = answer->found;
  const bool is_newer = !IsAsLeft(found) && !IsOlder(found);
  if (is_newer && !IsOurs(found)) return Lost();
  told_ = {What::kRefused, 0, std::nullopt};
  if (!IsAsLeft(found)) BeginAnew(found);
}

void OwnSequence::Unknown(const Error& why) {
  settled_ = false;
  awaits_fence_ = true;
  trouble_ = why.message();
  told_ = {What::kUnknown, 0, why};
  if (IsPlanted(PlantedBug::kAnswerBeforeFence)) {
    awaits_fence_ = false;
    told_ = {What::kFailed, 0, Error(ErrorCode::kUnavailable, trouble_)};
  }
}

void OwnSequence::LookWhetherDone(const Error& why) {
  RangeRequest request;
  request.key = options_.key;
  api_.Range(std::move(request), TimeoutMs(),
             [this, why](Result<RangeResponse> answer) {
               if (!answer) return Unknown(why);
               const std::vector<KeyValue>& found = answer->found;
               if (IsAsLeft(found)) {
                 told_ = {What::kFailed, 0, why};
               } else if (!IsOlder(found) && !IsOurs(found)) {
                 Lost();
               } else if (!IsOlder(found) && NumberIn(found) == sent_number_) {
                 revision_ = RevisionOf(found);
                 told_ = {What::kCommitted, revision_, std::nullopt};
               } else {
                 BeginAnew(found);
                 told_ = {What::kNeverKnown, 0, std::nullopt};
               }
             });
}

void OwnSequence::OnFence(Result<TxnResponse> answer) {
  if (!answer) {
    // Whether that was done makes no difference to the next one.
    trouble_ = answer.error().message();
    no_space_ = answer.error().code() == ErrorCode::kResources;
    due_ms_ = fenced_at_ms_ + (no_space_ ? kNoSpacePauseMs : kPauseMs);
    return;
  }
  const bool was_awaited = awaits_fence_;
  if (answer->succeeded) {
    // So the Txn before was not done, and never will be.
    Settle(answer->revision);
    if (was_awaited) told_ = {What::kRefused, 0, std::nullopt};
    return;
  }
  failure_ = WentBack(answer->revision, revision_);
  if (failure_) return;
  const std::vector<KeyValue>& found = answer->found;
  // Sent before that was Found(), or is to be: the next one compares it.
  if (!found_ || IsAsLeft(found)) return;
  if (IsOlder(found)) {
    BeginAnew(found);
    if (was_awaited) told_ = {What::kNeverKnown, 0, std::nullopt};
    if (was_awaited && IsPlanted(PlantedBug::kRemovedPassesForUndone)) {
      told_ = {What::kRefused, 0, std::nullopt};
    }
    return;
  }
  if (!IsOurs(found)) {
    if (is_own_) return Lost();
    // An earlier life wrote once more.
    revision_ = RevisionOf(found);
    return;
  }
  const KeyValue& key = found.front();
  Settle(key.mod_revision);
  if (!was_awaited) return;
  const uint64_t number = NumberIn(found);
  if (number == sent_number_) {
    told_ = {What::kCommitted, key.mod_revision, std::nullopt};
  } else if (number > sent_number_) {
    // An earlier fence was done, and not the Txn.
    told_ = {What::kRefused, 0, std::nullopt};
  } else {
    // The key was removed, and a fence of long ago has made it again.
    told_ = {What::kNeverKnown, 0, std::nullopt};
  }
}

// None of this kvd's Txns that are under way is done any more: each compares a
// revision that the key had before.
void OwnSequence::BeginAnew(const std::vector<KeyValue>& found) {
  settled_ = false;
  began_anew_ = !IsPlanted(PlantedBug::kBelieveHistory);
  awaits_fence_ = false;
  revision_ = RevisionOf(found);
  SayThatItIsOther();
}

void OwnSequence::Settle(int64_t revision) {
  revision_ = revision;
  settled_ = true;
  is_own_ = true;
  awaits_fence_ = false;
  trouble_.clear();
  no_space_ = false;
}

bool OwnSequence::IsAsLeft(const std::vector<KeyValue>& found) const {
  return RevisionOf(found) == revision_;
}

bool OwnSequence::IsOlder(const std::vector<KeyValue>& found) const {
  return RevisionOf(found) < revision_;
}

bool OwnSequence::IsOurs(const std::vector<KeyValue>& found) const {
  if (found.empty()) return false;
  const auto sequence = DecodeSequence(found.front().value);
  return sequence && sequence->nonce == options_.nonce;
}

void OwnSequence::Lost() {
  failure_ = Error(
      ErrorCode::kHeld,
      fmt::format("another kvd writes to etcd under this one's id, {}: is its "
                  "data directory a copy of this one's? Each needs its own: "
                  "remove the file ID from one of them, and start both",
                  options_.id));
}

}  // namespace kvd::etcd
