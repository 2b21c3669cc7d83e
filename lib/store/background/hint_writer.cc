// SPDX-License-Identifier: MIT
#include "store/background/hint_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "store/store_impl.h"

namespace kvd {
namespace {

// What a step takes at once: compaction may be waiting for the thread.
constexpr size_t kRecordsPerStep = 4096;
// How soon the loop looks again whether a step has ended.
constexpr int64_t kStepLookMs = 5;

}  // namespace

HintWriter::HintWriter(Store::Impl& store, Directory& directory,
                       Executor& maintenance, Wake wake)
    : store_(store),
      directory_(directory),
      maintenance_(maintenance),
      wake_(std::move(wake)) {}

HintWriter::~HintWriter() {
  // A step holds references to the hint and to the mailbox.
  if (step_under_way_) results_.Wait();
}

void HintWriter::Step(std::function<Result<void>()> work,
                      std::function<void(const Result<void>&)> then) {
  KVD_CHECK(!step_under_way_);
  step_under_way_ = true;
  maintenance_.Post(
      [this, wake = wake_, work = std::move(work), then = std::move(then)] {
        Result<void> result = work();
        results_.Put([then, result = std::move(result)] { then(result); });
        wake();
      });
}

void HintWriter::Poll() {
  for (const std::function<void()>& result : results_.TakeAll()) {
    step_under_way_ = false;
    result();
  }
  Advance();
}

std::optional<int64_t> HintWriter::Tick() {
  Advance();
  // What follows a step may have to wait for its time, and nobody else may
  // come.
  if (step_under_way_) return kStepLookMs;
  if (making_ == nullptr) {
    if (missing_.empty() || !MayWork()) return std::nullopt;
    return std::max<int64_t>(DelayMs(), 1);
  }
  const int64_t wait_us = PaceUs() - store_.clock.MonotonicUs();
  return std::max<int64_t>(wait_us / 1000, 1);
}

bool HintWriter::MayWork() const {
  return store_.options.write_hints && !IsLate() && !store_.log->failure() &&
         HasRoom() && (stopping_ || !store_.compactor->status().running);
}

int64_t HintWriter::DelayMs() const {
  if (stopping_ || missing_.size() > kHintsBehindMax) return 0;
  const int64_t now_ms = store_.clock.MonotonicUs() / 1000;
  return looked_ms_ + store_.options.hint_delay_ms - now_ms;
}

bool HintWriter::IsLate() const {
  return stopping_ && store_.clock.MonotonicUs() / 1000 >= stop_by_ms_;
}

bool HintWriter::idle() const {
  if (step_under_way_ || making_ != nullptr) return false;
  return !MayWork() || (missing_.empty() && seen_ == Now());
}

// What is left of a disk in danger belongs to log and compaction.
bool HintWriter::HasRoom() const {
  const uint64_t free_bytes = store_.log->free_disk_bytes();
  const uint64_t danger_bytes = kDangerSegments * store_.options.segment_bytes;
  return !store_.log->disk_full() &&
         (free_bytes == 0 || free_bytes >= danger_bytes);
}

void HintWriter::Advance() {
  if (step_under_way_) return;
  if (!MayWork()) {
    missing_.clear();
    seen_.reset();
    if (making_ != nullptr) Drop();
    return;
  }
  if (making_ != nullptr) {
    if (store_.clock.MonotonicUs() >= PaceUs()) StepMaking();
  } else if (seen_ != Now()) {
    Look();
  } else if (DelayMs() <= 0) {
    StartNext();
    if (making_ != nullptr) StepMaking();
  }
}

// --- Which segments ---------------------------------------------------------

HintWriter::Seen HintWriter::Now() const {
  const Manifest& manifest = store_.log->manifest();
  return {manifest.sealed.size(), manifest.next_segment};
}

void HintWriter::Look() {
  seen_ = Now();
  looked_ms_ = store_.clock.MonotonicUs() / 1000;
  Step(
      [this]() -> Result<void> {
        listed_.clear();
        KVD_TRY_ASSIGN(const std::vector<std::string> names, directory_.List());
        for (const std::string& name : names) {
          if (const auto id = HintIdOf(name)) listed_.push_back(*id);
        }
        return {};
      },
      [this](const Result<void>& listed) {
        if (listed) TakeMissing(listed_);
      });
}

void HintWriter::TakeMissing(const std::vector<uint64_t>& with_hint) {
  missing_.clear();
  const std::set<uint64_t> there(with_hint.begin(), with_hint.end());
  const std::vector<SealedSegment>& sealed = store_.log->manifest().sealed;
  for (auto segment = sealed.rbegin(); segment != sealed.rend(); ++segment) {
    if (!there.contains(segment->id) && !given_up_.contains(segment->id)) {
      missing_.push_back(segment->id);
    }
  }
}

void HintWriter::StartNext() {
  const Manifest& manifest = store_.log->manifest();
  while (!missing_.empty() && making_ == nullptr) {
    const uint64_t id = missing_.back();
    missing_.pop_back();
    const auto segment =
        std::find_if(manifest.sealed.begin(), manifest.sealed.end(),
                     [id](const SealedSegment& s) { return s.id == id; });
    if (segment == manifest.sealed.end()) continue;
    making_.reset(new Making{
        directory_, manifest.uuid, *segment,
        SealedCursor(directory_, manifest.uuid, {*segment}, kRecordsPerStep),
        HintBuilder()});
    making_->builder.Expect(segment->records);
    pace_from_us_ = store_.clock.MonotonicUs();
    pace_bytes_ = 0;
  }
}

// --- One hint ---------------------------------------------------------------

int64_t HintWriter::PaceUs() const {
  const uint64_t rate = store_.options.compaction.rate_bytes_per_s;
  if (rate == 0 || stopping_) return 0;
  const double seconds =
      static_cast<double>(pace_bytes_) / static_cast<double>(rate);
  return pace_from_us_ + static_cast<int64_t>(seconds * 1e6);
}

void HintWriter::StepMaking() {
  Step([making = making_.get()] { return Make(making); },
       [this](const Result<void>& done) {
         if (!done) GiveUp(done.error());
         pace_bytes_ += making_->cursor.bytes_read();
         if (!done || making_->written) Drop();
       });
}

void HintWriter::GiveUp(const Error& error) {
  const uint64_t id = making_->segment.id;
  if (IsFinal(error)) given_up_.insert(id);
  store_.options.log(Severity::kWarning,
                     fmt::format("no hint for segment {}, nothing is lost: {}",
                                 id, error.message()));
}

// Freeing it takes longer than the loop may pause.
void HintWriter::Drop() {
  Step(
      [this]() -> Result<void> {
        making_.reset();
        return {};
      },
      [](const Result<void>&) {});
}

void HintWriter::Stop() {
  stopping_ = true;
  stop_by_ms_ = store_.clock.MonotonicUs() / 1000 + kHintsAtStopMs;
  Advance();
}

// A piece of the file, or some of its records; then the hint itself.
Result<void> HintWriter::Make(Making* making) {
  SealedCursor& cursor = making->cursor;
  if (cursor.done()) {
    making->written = true;
    return making->builder.Write(making->directory, making->uuid,
                                 making->segment);
  }
  size_t records = 0;
  do {
    KVD_TRY(cursor.Step());
    for (size_t i = 0; i < cursor.records().size(); ++i) {
      making->builder.Add(cursor.records()[i], cursor.offsets()[i]);
    }
    records += cursor.records().size();
  } while (!cursor.done() && cursor.bytes_read() == 0 &&
           records < kRecordsPerStep);
  return {};
}

}  // namespace kvd
