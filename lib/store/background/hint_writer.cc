// SPDX-License-Identifier: MIT
#include "store/background/hint_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace kvd {
namespace {

// What a step takes at once: compaction may be waiting for the thread.
constexpr size_t kRecordsPerStep = 4096;
// How soon the loop looks again whether a step has ended.
constexpr int64_t kStepLookMs = 5;

}  // namespace

HintWriter::HintWriter(const Maintenance& with, const HintOptions& options,
                       const Compactor& compactor)
    : options_(options),
      directory_(with.directory),
      log_(with.log),
      report_(with.report),
      compactor_(compactor),
      worker_(with) {}

void HintWriter::Poll() {
  worker_.Poll();
  Advance();
}

std::optional<int64_t> HintWriter::Tick() {
  Advance();
  // What follows a step may have to wait for its time, and nobody else may
  // come.
  if (worker_.under_way()) return kStepLookMs;
  if (making_ == nullptr) {
    if (missing_.empty() || !MayWork()) return std::nullopt;
    return std::max<int64_t>(DelayMs(), 1);
  }
  return std::max<int64_t>(worker_.WaitMs(Rate()), 1);
}

bool HintWriter::MayWork() const {
  return options_.write && !IsLate() && !log_.failure() && HasRoom() &&
         (stopping_ || !compactor_.status().running);
}

int64_t HintWriter::DelayMs() const {
  if (stopping_ || missing_.size() > kHintsBehindMax) return 0;
  return looked_ms_ + options_.delay_ms - worker_.NowMs();
}

bool HintWriter::IsLate() const {
  return stopping_ && worker_.NowMs() >= stop_by_ms_;
}

bool HintWriter::idle() const {
  if (worker_.under_way() || making_ != nullptr) return false;
  return !MayWork() || (missing_.empty() && seen_ == Now());
}

// What is left of a disk in danger belongs to log and compaction.
bool HintWriter::HasRoom() const {
  const uint64_t free_bytes = log_.free_disk_bytes();
  const uint64_t danger_bytes = kDangerSegments * options_.segment_bytes;
  return !log_.disk_full() && (free_bytes == 0 || free_bytes >= danger_bytes);
}

void HintWriter::Advance() {
  if (worker_.under_way()) return;
  if (!MayWork()) {
    missing_.clear();
    seen_.reset();
    if (making_ != nullptr) Drop();
    return;
  }
  if (making_ != nullptr) {
    if (worker_.WaitMs(Rate()) == 0) StepMaking();
  } else if (seen_ != Now()) {
    Look();
  } else if (DelayMs() <= 0) {
    StartNext();
    if (making_ != nullptr) StepMaking();
  }
}

// --- Which segments ---------------------------------------------------------

HintWriter::Seen HintWriter::Now() const {
  const Manifest& manifest = log_.manifest();
  return {manifest.sealed.size(), manifest.next_segment};
}

void HintWriter::Look() {
  seen_ = Now();
  looked_ms_ = worker_.NowMs();
  worker_.Step(
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
  const std::vector<SealedSegment>& sealed = log_.manifest().sealed;
  for (auto segment = sealed.rbegin(); segment != sealed.rend(); ++segment) {
    if (!there.contains(segment->id) && !given_up_.contains(segment->id)) {
      missing_.push_back(segment->id);
    }
  }
}

void HintWriter::StartNext() {
  const Manifest& manifest = log_.manifest();
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
    worker_.BeginPace();
  }
}

// --- One hint ---------------------------------------------------------------

double HintWriter::Rate() const {
  if (stopping_) return 0;
  return static_cast<double>(options_.rate_bytes_per_s);
}

void HintWriter::StepMaking() {
  worker_.Step([making = making_.get()] { return Make(making); },
               [this](const Result<void>& done) {
                 if (!done) GiveUp(done.error());
                 worker_.CountBytes(making_->cursor.bytes_read());
                 if (!done || making_->written) Drop();
               });
}

void HintWriter::GiveUp(const Error& error) {
  const uint64_t id = making_->segment.id;
  if (IsFinal(error)) given_up_.insert(id);
  report_(Severity::kWarning,
          fmt::format("no hint for segment {}, nothing is lost: {}", id,
                      error.message()));
}

// Freeing it takes longer than the loop may pause.
void HintWriter::Drop() {
  worker_.Step(
      [this]() -> Result<void> {
        making_.reset();
        return {};
      },
      [](const Result<void>&) {});
}

void HintWriter::Stop() {
  stopping_ = true;
  stop_by_ms_ = worker_.NowMs() + kHintsAtStopMs;
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
