// SPDX-License-Identifier: MIT
#include "etcd/engine/etcd_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"

namespace kvd::etcd {
namespace {

constexpr int64_t kTickMs = 100;

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
      clocks_(options_.id, options_.max_clock_skew_ms),
      index_(core_, names_, clocks_, options_.log),
      batch_(core_, index_, names_),
      barrier_(*api_, names_.SequencePrefix(),
               PrefixEnd(names_.SequencePrefix()), options_.timeout_ms,
               [this](const RangeResponse& sequences) {
                 return !loader_.loaded() || index_.Fits(sequences);
               }),
      cluster_(*api_, names_.SequencePrefix(), options_.status),
      loader_(*api_, names_, options_.timeout_ms, options_.log, clock_, core_,
              index_),
      sequence_(*api_, clock_,
                {names_.Sequence(options_.id), options_.id, options_.nonce,
                 options_.timeout_ms}),
      patience_(options_.timeout_ms),
      chores_(*api_, core_, index_, names_, clocks_,
              {options_.id, options_.nonce, options_.max_clock_skew_ms,
               options_.heartbeat_ms, options_.log}) {
  core_.reads = &batch_;
  core_.limit.ValuesStay();
  core_.removals.KeepBehind(0);
  loader_.Begin();
}

EtcdStore::~EtcdStore() {
  if (batch_open_) core_.changes.Undo();
}

std::optional<LoadProgress> EtcdStore::loading() const {
  if (loader_.loaded()) return std::nullopt;
  LoadProgress progress;
  progress.words = loader_.trouble();
  if (progress.words.empty()) {
    uint64_t keys = 0;
    for (const uint64_t count : StatsOfCore().keys) keys += count;
    progress.words = fmt::format("from etcd, {} keys so far", keys);
  }
  std::ranges::replace(progress.words, '\n', ' ');
  return progress;
}

void EtcdStore::Fail(const std::optional<Error>& error) {
  if (failure_ || !error) return;
  failure_ = error;
  has_news_ = true;
}

// --- Commands ---------------------------------------------------------------

Batches::Admission EtcdStore::Admit(bool reads, Stamp* stamp) {
  if (failure_) {
    refusal_ = fmt::format("IOERR {}", failure_->message());
    return Admission::kRefuse;
  }
  if (patience_.refuses()) {
    refusal_ = WhyRefused();
    return Admission::kRefuse;
  }
  // Before the outcome is taken a younger command would be told it, too.
  if (!loader_.loaded() || flight_ != Flight::kNone ||
      outcome_ != Outcome::kNone) {
    return Await(Patience::Of::kAll);
  }
  if (!sequence_.settled() && !reads) {
    if (!sequence_.no_space()) return Await(Patience::Of::kChangers);
    refusal_ = WhyRefused();
    return Admission::kRefuse;
  }
  if (!reads && batch_.full()) return Admission::kWait;
  const bool must_be_fresh = reads && options_.linearizable;
  // Others' reads may have brought the index so far already.
  uint64_t& number = stamp->number;
  const bool is_fresh = number != 0 && number <= barrier_.passed();
  command_.is_fresh = reads || is_fresh || !options_.linearizable;
  command_.stamp = stamp;
  if (must_be_fresh && number == 0) number = barrier_.next();
  const uint64_t wanted =
      std::max(barrier_.before_all(), must_be_fresh ? number : 0);
  if (wanted <= barrier_.passed()) return Admission::kRun;
  if (wanted <= barrier_.failed()) {
    has_news_ = true;  // For one that has been put off: it is not asked again.
    refusal_ = fmt::format(
        "TRYAGAIN etcd does not answer: {}. Nothing was changed; service "
        "resumes by itself",
        barrier_.why());
    return Admission::kRefuse;
  }
  barrier_.Want();
  if (!barrier_.holds_all()) return Admission::kWait;
  return Await(Patience::Of::kAll);
}

Batches::Admission EtcdStore::Await(Patience::Of of) {
  patience_.Wait(of, NowMs());
  return Admission::kWait;
}

std::string EtcdStore::WhyRefused() const {
  if (!loader_.loaded()) {
    const std::string& trouble = loader_.trouble();
    return fmt::format("{} kvd is loading its data from etcd{}{}",
                       sequence_.is_own() ? "TRYAGAIN" : "LOADING",
                       trouble.empty() ? "" : "; it ", trouble);
  }
  if (sequence_.no_space()) {
    return fmt::format(
        "DISKFULL etcd has no space left (NOSPACE): {}. Nothing "
        "was changed",
        sequence_.trouble());
  }
  return fmt::format(
      "TRYAGAIN etcd does not answer: {}. Nothing was changed; service resumes "
      "by itself",
      sequence_.settled() ? barrier_.why() : sequence_.trouble());
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
  Verdict verdict;
  Stamp& stamp = *command_.stamp;
  stamp.is_ahead &= batch_.is_watch_behind();
  if (ran) {
    verdict = batch_.Judge({.behind = behind,
                            .seen = seen,
                            .is_fresh = command_.is_fresh,
                            .is_ahead = stamp.is_ahead,
                            .may_mix = !options_.linearizable,
                            .readers_max = refusals_.readers_max(),
                            .no_writes = clocks_.no_writes()});
    // All wait: the next change would be ahead again.
    if (batch_.mixes()) barrier_.HoldAll();
  }
  command_.has_no_space = false;
  if (ran && !sequence_.settled() && batch_.has_changes()) {
    command_.has_no_space = sequence_.no_space();
    verdict = {command_.has_no_space ? Room::kTooLarge : Room::kWait, false};
    if (!command_.has_no_space) Await(Patience::Of::kChangers);
  }
  if (!ran || verdict.room != Room::kReady) {
    core_.changes.Undo();
    batch_.DropCommand();
    return verdict;
  }
  stamp.is_ahead |= verdict.belongs_to_batch || batch_.is_ahead();
  core_.changes.Keep();
  batch_.KeepCommand(verdict.belongs_to_batch);
  return verdict;
}

Batches::Outcome EtcdStore::TakeOutcome() {
  if (outcome_ == Outcome::kFailed) refusal_ = batch_refusal_;
  return std::exchange(outcome_, Outcome::kNone);
}

Seq EtcdStore::RevisionOf(Seq provisional) const {
  return provisional >= kProvisionalSeq ? static_cast<Seq>(committed_revision_)
                                        : provisional;
}

// --- A batch on its way -----------------------------------------------------

void EtcdStore::Pump() {
  if (failure_) return;
  patience_.EndTurn();
  DoWhatIsDue();
  if (batch_open_ && flight_ == Flight::kNone) {
    if (batch_.has_changes()) {
      Send();
    } else {
      CloseBatch(Outcome::kNone);
      has_news_ |= refusals_.WasEmpty();
    }
  }
  barrier_.Pump(NowMs());
  if (has_news_ || barrier_.has_news()) wake_();
}

void EtcdStore::Send() {
  flight_ = Flight::kTxn;
  sent_at_ms_ = NowMs();
  patience_.Wait(Patience::Of::kAll, sent_at_ms_);
  sequence_.Send(batch_.Request());
}

void EtcdStore::OnTold(const OwnSequence::Told& told) {
  using What = OwnSequence::Told::What;
  switch (told.what) {
    case What::kCommitted:
      return Committed(told.revision);
    case What::kRefused:
      return Refused();
    case What::kFailed:
      return NotDone(*told.error);
    case What::kUnknown:
      flight_ = Flight::kUnknown;
      if (stopping_) GiveUpBatch();
      return;
    case What::kNeverKnown:
      return GiveUpBatch();
  }
}

void EtcdStore::Committed(int64_t revision) {
  committed_revision_ = revision;
  batch_.Confirm(revision, &index_);
  refusals_.Committed(batch_.readers());
  CloseBatch(Outcome::kCommitted);
}

// The index has to catch up with whoever came first.
void EtcdStore::Refused() {
  if (IsPlanted(PlantedBug::kRefusedKeepsReads) && batch_open_) {
    batch_.ForgetConditions();
    return Send();
  }
  refusals_.Refused(batch_.readers());
  barrier_.HoldAll();
  CloseBatch(Outcome::kRefused);
}

void EtcdStore::NotDone(const Error& error) {
  refusals_.Failed();
  if (error.code() == ErrorCode::kResources) {
    batch_refusal_ = fmt::format(
        "DISKFULL etcd has no space left (NOSPACE): {}. Nothing was changed",
        error.message());
  } else if (error.code() == ErrorCode::kUnavailable) {
    batch_refusal_ = fmt::format(
        "TRYAGAIN etcd does not answer: {}. Nothing was changed; service "
        "resumes by itself",
        error.message());
  } else {
    batch_refusal_ = fmt::format(
        "ERR etcd refuses the change: {}. Nothing was "
        "changed",
        error.message());
  }
  CloseBatch(Outcome::kFailed);
}

// Its clients do not wait longer. Should the Txn be done all the same, the
// watch will tell as of another kvd's.
void EtcdStore::GiveUpBatch() {
  batch_refusal_ = fmt::format(
      "UNKNOWN etcd does not answer: {}. Nobody knows whether the change was "
      "made: look before you try again",
      sequence_.trouble());
  sequence_.Forget();
  refusals_.Failed();
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
  // Nobody waits for what was undone, either.
  journal_.Commit();
  flight_ = Flight::kNone;
  if (outcome == Outcome::kNone) return;
  outcome_ = outcome;
  has_news_ = true;
}

// --- Time and news ----------------------------------------------------------

bool EtcdStore::AllWait() const {
  return !loader_.loaded() || flight_ != Flight::kNone ||
         outcome_ != Outcome::kNone || barrier_.holds_all();
}

void EtcdStore::DoWhatIsDue() {
  const int64_t now_ms = NowMs();
  loader_.DoWhatIsDue();
  sequence_.DoWhatIsDue();
  if (flight_ == Flight::kUnknown &&
      now_ms - sent_at_ms_ >= options_.timeout_ms) {
    GiveUpBatch();
  }
  if (!AllWait()) patience_.Over(Patience::Of::kAll);
  if (sequence_.settled()) patience_.Over(Patience::Of::kChangers);
  // A Txn is answered in time, or its batch given up.
  const bool all_end =
      flight_ == Flight::kNone && patience_.Ends(Patience::Of::kAll, now_ms);
  const bool changers_end = patience_.Ends(Patience::Of::kChangers, now_ms);
  if (has_news_ || all_end || changers_end) wake_();
}

// The pages are as of several revisions: before the first command the watch has
// to come to the last.
void EtcdStore::OnLoaded() {
  barrier_.HoldAll();
  sequence_.Found(index_.SequenceOf(options_.id));
  has_news_ = true;
}

// The index stands still while what was made of it may be undone.
void EtcdStore::ApplyUpdates() {
  if (batch_open_ || flight_ != Flight::kNone) return;
  if (sequence_.TakeBeganAnew()) loader_.LoadAnew(sequence_.trouble());
  if (barrier_.TakeIsAnother()) {
    sequence_.Doubt();
    loader_.LoadAnew(
        "etcd has other keys than it had: it was made anew, as from a backup");
  }
  loader_.Apply();
  const bool misses_own =
      loader_.loaded() &&
      sequence_.IsMissing(index_.revision(), index_.SequenceOf(options_.id));
  if (misses_own) {
    sequence_.Doubt();
    loader_.LoadAnew(sequence_.trouble());
    loader_.Apply();
  }
  if (!loader_.loaded()) return;
  chores_.Poll();
  core_.removals.KeepBehind(static_cast<Seq>(index_.revision()));
  core_.removals.DropSlice(static_cast<Seq>(index_.revision()));
}

// What all have to wait for: they wait for the next one then.
bool EtcdStore::BarrierFailed() {
  if (!barrier_.holds_all() || barrier_.before_all() > barrier_.failed()) {
    return false;
  }
  barrier_.HoldAll();
  patience_.Over(Patience::Of::kAll);
  return true;
}

bool EtcdStore::Poll() {
  KVD_CHECK(core_.transaction == nullptr);
  const bool asks_again = std::exchange(core_.asks_again, false);
  const bool was_settled = sequence_.settled();
  api_->Poll();
  if (const auto told = sequence_.Take()) OnTold(*told);
  if (sequence_.settled() && !was_settled) has_news_ = true;
  if (loader_.TakeLoaded()) OnLoaded();
  Fail(loader_.failure());
  Fail(sequence_.failure());
  Fail(barrier_.failure());
  Fail(chores_.failure());
  ApplyUpdates();
  // The watch may not have told yet what this kvd has written.
  barrier_.Advance(index_.revision(),
                   std::max(index_.newest_sequence(), sequence_.revision()));
  const bool barrier_news = barrier_.TakeNews();
  const bool refuses = patience_.BeginTurn() || BarrierFailed();
  if (refuses) patience_.RefuseNow();
  barrier_.Pump(NowMs());
  const bool memory_news = core_.limit.TakeNews();
  return std::exchange(has_news_, false) || refuses || barrier_news ||
         memory_news || asks_again;
}

std::optional<int64_t> EtcdStore::Tick() {
  if (!failure_) DoWhatIsDue();
  cluster_.Tick(NowMs(), index_.revision());
  if (!failure_ && !stopping_ && loader_.loaded()) chores_.Tick();
  core_.cleared.FreeSlice();
  core_.limit.NoteRoom();
  if (core_.limit.HasNews()) wake_();
  return kTickMs;
}

void EtcdStore::Stop() {
  stopping_ = true;
  if (flight_ == Flight::kUnknown) GiveUpBatch();
}

void EtcdStore::Read(ColdValues* /*values*/,
                     std::function<void()> /*on_read*/) {
  KVD_CHECK(false);  // All values are in memory.
}

uint64_t EtcdStore::CompactSegments(std::vector<uint64_t> /*ids*/) { return 0; }

void EtcdStore::Tune(const StoreTuning& tuning) {
  core_.limit.set_bytes(tuning.memory_limit_bytes);
}

BackingStatus EtcdStore::Backing() const {
  const int64_t now_ms = NowMs();
  const int64_t wall_ms = clock_.WallMs();
  std::map<std::string, int64_t> heard_ms_ago;
  // By its own clock when it wrote to etcd last, or, if it was heard not long
  // ago, by this one.
  for (const auto& [id, peer] : index_.peers()) {
    heard_ms_ago[id] = std::max<int64_t>(wall_ms - peer.clock_ms, 0);
  }
  for (const auto& [id, peer] : clocks_.peers()) {
    heard_ms_ago[id] = now_ms - peer.heard_at_ms;
  }
  return cluster_.Describe({.id = options_.id,
                            .now_ms = now_ms,
                            .revision = index_.revision(),
                            .warning = chores_.memory_warning()},
                           heard_ms_ago);
}

StoreStats EtcdStore::Stats() const {
  StoreStats stats = StatsOfCore();
  stats.last_seq = static_cast<Seq>(index_.revision());
  stats.durable_seq = stats.last_seq;
  stats.expired_keys += chores_.expired_keys();
  return stats;
}

}  // namespace kvd::etcd
