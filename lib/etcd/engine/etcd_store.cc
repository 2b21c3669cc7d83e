// SPDX-License-Identifier: MIT
#include "etcd/engine/etcd_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace kvd::etcd {
namespace {

// Keys of one answer while all of them are loaded.
constexpr int64_t kPageKeys = 1000;
// A Txn that is not answered by then is asked after: a follower that has sent
// it to a leader which died says nothing for 7 s.
constexpr int64_t kTxnTimeoutMs = 2000;
constexpr int64_t kTickMs = 100;

std::string After(const std::string& key) { return key + '\0'; }

}  // namespace

EtcdStore::EtcdStore(std::unique_ptr<Api> api, EtcdStoreOptions options,
                     Clock& clock, Wake wake)
    : Store(core_),
      options_(std::move(options)),
      clock_(clock),
      wake_(std::move(wake)),
      names_(options_.prefix),
      api_(std::move(api)),
      core_(journal_, std::make_unique<Databases>(),
            options_.memory_limit_bytes, SyncMode::kAlways, options_.log, clock,
            wake_),
      index_(core_, names_),
      batch_(core_, index_, names_),
      barrier_(*api_, names_.SequencePrefix(),
               PrefixEnd(names_.SequencePrefix()), options_.timeout_ms) {
  core_.reads = &batch_;
  core_.removes_expired = false;
  LoadGenerations();
}

EtcdStore::~EtcdStore() {
  watch_.reset();
  if (batch_open_) core_.changes.Undo();
}

// --- Loading ----------------------------------------------------------------

void EtcdStore::LoadGenerations() {
  RangeRequest request;
  request.key = names_.GenerationPrefix();
  request.range_end = PrefixEnd(request.key);
  api_->Range(std::move(request), options_.timeout_ms,
              [this](Result<RangeResponse> answer) {
                if (!answer) return LoadAgain(answer.error());
                load_revision_ = answer->revision;
                for (const KeyValue& kv : answer->found) index_.Load(kv);
                LoadPage(names_.prefix());
              });
}

void EtcdStore::LoadPage(std::string from) {
  RangeRequest request;
  request.key = std::move(from);
  request.range_end = PrefixEnd(names_.prefix());
  request.limit = kPageKeys;
  request.revision = load_revision_;
  api_->Range(std::move(request), options_.timeout_ms,
              [this](Result<RangeResponse> page) { OnPage(std::move(page)); });
}

void EtcdStore::OnPage(Result<RangeResponse> page) {
  if (!page) return LoadAgain(page.error());
  for (const KeyValue& kv : page->found) index_.Load(kv);
  if (core_.limit.IsFull()) {
    return Fail(Error(
        ErrorCode::kResources,
        fmt::format("the keys under \"{}\" take more than memory.limit, {} "
                    "bytes, and all have to be in memory. Raise it, or have "
                    "less in there",
                    options_.prefix, core_.limit.bytes())));
  }
  if (page->more) return LoadPage(After(page->found.back().key));
  index_.set_revision(load_revision_);
  BeginWatch();
  TakeOver();
}

void EtcdStore::LoadAgain(const Error& why) {
  options_.log(Severity::kWarning,
               fmt::format("loading from etcd: {}; trying again",
                           why.message()));
  LoadGenerations();
}

void EtcdStore::BeginWatch() {
  watch_ = api_->StartWatch(
      names_.prefix(), PrefixEnd(names_.prefix()), load_revision_ + 1,
      [this](WatchUpdate update) { updates_.push_back(std::move(update)); },
      [this](Error why) { OnWatchEnd(why); });
}

// What was told is in order, but what follows is not there any more.
void EtcdStore::OnWatchEnd(const Error& why) {
  options_.log(Severity::kWarning,
               fmt::format("the watch on etcd has ended: {}; loading all anew",
                           why.message()));
  reloads_ = true;
}

void EtcdStore::Reload() {
  reloads_ = false;
  watch_.reset();
  updates_.clear();
  loaded_ = false;
  index_.Clear();
  LoadGenerations();
}

// From now on Txns of an earlier life, which may be under way, are refused.
void EtcdStore::TakeOver() {
  const auto peer = index_.peers().find(options_.id);
  sequence_revision_ =
      peer == index_.peers().end() ? 0 : peer->second.mod_revision;
  flight_ = Flight::kFence;
  Fence();
}

void EtcdStore::Fail(Error error) {
  if (failure_) return;
  failure_ = std::move(error);
  has_news_ = true;
}

// --- Commands ---------------------------------------------------------------

Batches::Admission EtcdStore::Admit(bool reads, uint64_t* stamp) {
  if (failure_) {
    refusal_ = fmt::format("IOERR {}", failure_->message());
    return Admission::kRefuse;
  }
  if (!loaded_ || flight_ != Flight::kNone) return Admission::kWait;
  if (batch_.commands() >= commands_max_) return Admission::kWait;
  const bool must_be_fresh = reads && options_.linearizable;
  admitted_fresh_ = reads || !options_.linearizable;
  if (must_be_fresh && *stamp == 0) *stamp = barrier_.next();
  const uint64_t wanted =
      std::max(barrier_before_all_, must_be_fresh ? *stamp : 0);
  if (wanted <= barrier_.passed()) return Admission::kRun;
  if (wanted <= barrier_.failed()) {
    refusal_ = fmt::format(
        "TRYAGAIN etcd does not answer: {}. Nothing was changed; service "
        "resumes by itself",
        barrier_.why());
    return Admission::kRefuse;
  }
  barrier_.Want();
  return Admission::kWait;
}

void EtcdStore::OpenBatch() {
  if (std::exchange(batch_open_, true)) return;
  core_.changes.BeginUndoable();
}

void EtcdStore::BeginCommand() {
  OpenBatch();
  core_.changes.BeginUndoable();
  batch_.BeginCommand();
}

Batches::Verdict EtcdStore::EndCommand(bool ran, bool behind, Seq seen) {
  const Verdict verdict =
      ran ? batch_.Judge(behind, seen, admitted_fresh_) : Verdict{Room::kReady, false};
  if (!ran || verdict.room != Room::kReady) {
    core_.changes.Undo();
    return verdict;
  }
  core_.changes.Keep();
  batch_.KeepCommand(verdict.belongs_to_batch);
  return verdict;
}

Batches::Outcome EtcdStore::TakeOutcome() {
  return std::exchange(outcome_, Outcome::kNone);
}

Seq EtcdStore::RevisionOf(Seq provisional) const {
  return provisional >= kProvisionalSeq ? static_cast<Seq>(committed_revision_)
                                        : provisional;
}

// --- A batch on its way -----------------------------------------------------

void EtcdStore::Pump() {
  if (failure_) return;
  if (batch_open_ && flight_ == Flight::kNone) {
    if (batch_.has_changes()) {
      Send();
    } else {
      CloseBatch(Outcome::kNone);
    }
  }
  barrier_.Pump();
}

void EtcdStore::Send() {
  sent_at_ms_ = NowMs();
  told_unknown_ = false;
  TxnRequest request = batch_.Request();
  batch_number_ = number_ + 1;
  MoveSequence(std::move(request), Flight::kTxn);
}

void EtcdStore::Fence() { MoveSequence({}, Flight::kFence); }

// Whoever moves the sequence key first has it: of two Txns that know the same
// revision of it, one is done at the most.
void EtcdStore::MoveSequence(TxnRequest request, Flight flight) {
  flight_ = flight;
  const std::string key = names_.Sequence(options_.id);
  request.compares.push_back(
      {key, Compare::Target::kModRevision, sequence_revision_, ""});
  request.then.push_back(
      {Op::Kind::kPut, key,
       EncodeSequence({options_.nonce, ++number_, clock_.WallMs()})});
  request.otherwise.push_back({Op::Kind::kGet, key, ""});
  api_->Txn(std::move(request), std::min(kTxnTimeoutMs, options_.timeout_ms),
            [this, flight](Result<TxnResponse> answer) {
              if (flight == Flight::kTxn) {
                OnTxn(std::move(answer));
              } else {
                OnFence(std::move(answer));
              }
            });
}

void EtcdStore::OnTxn(Result<TxnResponse> answer) {
  if (!answer) {
    if (answer.error().code() == ErrorCode::kTimeout) return Fence();
    return NotDone(answer.error());
  }
  if (answer->succeeded) return Committed(answer->revision);
  KeyValue sequence_key;
  if (!IsOurs(*answer, &sequence_key)) return;
  Refused();
}

bool EtcdStore::IsOurs(const TxnResponse& answer, KeyValue* sequence_key) {
  if (answer.found.empty()) {
    Fail(Error(ErrorCode::kHeld,
               fmt::format("somebody has removed the key {} from etcd, which "
                           "is this kvd's",
                           names_.Sequence(options_.id))));
    return false;
  }
  *sequence_key = answer.found.front();
  const auto sequence = DecodeSequence(sequence_key->value);
  if (sequence && sequence->nonce == options_.nonce) return true;
  Fail(Error(ErrorCode::kHeld,
             fmt::format("another kvd writes to etcd as \"{}\", which is this "
                         "one's name. Each needs one of its own",
                         options_.id)));
  return false;
}

void EtcdStore::OnFence(Result<TxnResponse> answer) {
  if (!answer) {
    // Whether that was done makes no difference to the next one.
    if (answer.error().code() != ErrorCode::kTimeout &&
        answer.error().code() != ErrorCode::kUnavailable) {
      return Fail(answer.error());
    }
    return Fence();
  }
  if (answer->succeeded) {
    // So the Txn before was not done, and never will be.
    sequence_revision_ = answer->revision;
    if (!loaded_) {
      loaded_ = true;
      flight_ = Flight::kNone;
      has_news_ = true;
      return;
    }
    return Refused();
  }
  KeyValue sequence_key;
  if (!loaded_ && !answer->found.empty()) {
    // Of an earlier life, which wrote once more; or of this one's first fence.
    sequence_revision_ = answer->found.front().mod_revision;
    return Fence();
  }
  if (!IsOurs(*answer, &sequence_key)) return;
  const auto sequence = DecodeSequence(sequence_key.value);
  sequence_revision_ = sequence_key.mod_revision;
  if (sequence->number == batch_number_) {
    return Committed(sequence_key.mod_revision);
  }
  Refused();  // An earlier fence was done, and not the Txn.
}

void EtcdStore::Committed(int64_t revision) {
  sequence_revision_ = revision;
  committed_revision_ = revision;
  batch_.Confirm(revision, &index_);
  commands_max_ = SIZE_MAX;
  journal_.Commit();
  CloseBatch(Outcome::kCommitted);
}

// The index has to catch up with whoever came first; then fewer commands at a
// time run again, so that one at least is done.
void EtcdStore::Refused() {
  commands_max_ = std::max<size_t>(batch_.commands() / 2, 1);
  NeedBarrier();
  CloseBatch(Outcome::kRefused);
}

void EtcdStore::NotDone(const Error& error) {
  if (error.code() == ErrorCode::kResources) {
    refusal_ = fmt::format(
        "DISKFULL etcd has no space left (NOSPACE): {}. Nothing was changed",
        error.message());
  } else if (error.code() == ErrorCode::kUnavailable) {
    refusal_ = fmt::format(
        "TRYAGAIN etcd does not answer: {}. Nothing was changed; service "
        "resumes by itself",
        error.message());
  } else {
    refusal_ = fmt::format("ERR etcd refuses the change: {}. Nothing was "
                           "changed",
                           error.message());
  }
  CloseBatch(Outcome::kFailed);
}

void EtcdStore::CloseBatch(Outcome outcome) {
  if (std::exchange(batch_open_, false)) {
    const bool stands =
        outcome == Outcome::kCommitted || outcome == Outcome::kNone;
    if (stands) {
      core_.changes.Keep();
    } else {
      core_.changes.Undo();
    }
  }
  batch_.Clear();
  flight_ = Flight::kNone;
  if (outcome == Outcome::kNone) return;
  // Its clients have heard already that nobody knows.
  if (!std::exchange(told_unknown_, false)) outcome_ = outcome;
  has_news_ = true;
}

void EtcdStore::NeedBarrier() {
  barrier_before_all_ = barrier_.next();
  barrier_.Want();
}

// --- Time and news ----------------------------------------------------------

// The index stands still while what was made of it may be undone.
void EtcdStore::ApplyUpdates() {
  if (batch_open_ || flight_ != Flight::kNone || !loaded_) return;
  if (reloads_) return Reload();
  for (; !updates_.empty(); updates_.pop_front()) {
    index_.Apply(updates_.front());
  }
  core_.removals.DropSlice(static_cast<Seq>(index_.revision()));
}

bool EtcdStore::Poll() {
  KVD_CHECK(core_.transaction == nullptr);
  const bool asks_again = std::exchange(core_.asks_again, false);
  api_->Poll();
  ApplyUpdates();
  barrier_.Advance(index_.revision());
  barrier_.Pump();
  const bool barrier_news = barrier_.TakeNews();
  const bool memory_news = core_.limit.TakeNews();
  return std::exchange(has_news_, false) || barrier_news || memory_news ||
         asks_again;
}

std::optional<int64_t> EtcdStore::Tick() {
  const int64_t now_ms = NowMs();
  if (flight_ == Flight::kFence && loaded_ && !told_unknown_ &&
      now_ms - sent_at_ms_ >= options_.timeout_ms) {
    told_unknown_ = true;
    refusal_ =
        "UNKNOWN etcd does not answer: nobody knows whether the change was "
        "made. Look before you try again";
    outcome_ = Outcome::kFailed;
    has_news_ = true;
    wake_();
  }
  core_.cleared.FreeSlice();
  core_.limit.NoteRoom();
  return kTickMs;
}

void EtcdStore::Read(ColdValues* /*values*/,
                     std::function<void()> /*on_read*/) {
  KVD_CHECK(false);  // All values are in memory.
}

uint64_t EtcdStore::CompactSegments(std::vector<uint64_t> /*ids*/) { return 0; }

void EtcdStore::Tune(const StoreTuning& tuning) {
  core_.limit.set_bytes(tuning.memory_limit_bytes);
}

StoreStats EtcdStore::Stats() const {
  StoreStats stats = StatsOfCore();
  stats.last_seq = static_cast<Seq>(index_.revision());
  stats.durable_seq = stats.last_seq;
  return stats;
}

}  // namespace kvd::etcd
