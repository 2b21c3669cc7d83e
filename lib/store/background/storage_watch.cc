// SPDX-License-Identifier: MIT
#include "store/background/storage_watch.h"

#include <algorithm>
#include <utility>

#include "base/planted_bug.h"

namespace kvd {

StorageWatch::StorageWatch(const Maintenance& with, int64_t interval_ms,
                           Compactor& compactor, const Scrubber& scrubber,
                           const HintWriter& hint_writer)
    : interval_ms_(interval_ms),
      directory_(with.directory),
      log_(with.log),
      compactor_(compactor),
      scrubber_(scrubber),
      hint_writer_(hint_writer),
      worker_(with) {
  look_at_ms_ = worker_.NowMs() + interval_ms_;
}

bool StorageWatch::Poll() {
  NoticeFailure();
  worker_.Poll();
  const bool others_ended = log_.stopped() && compactor_.idle() &&
                            scrubber_.idle() && hint_writer_.idle();
  if (stopping_ && others_ended && !worker_.under_way() &&
      last_look_ == LastLook::kNone) {
    last_look_ = LastLook::kUnderWay;
    Look(Expected(SIZE_MAX));
  }
  return lost_ && !std::exchange(told_, true);
}

std::optional<int64_t> StorageWatch::Tick() {
  if (stopping_ || lost_ || interval_ms_ == 0) return std::nullopt;
  const int64_t now = worker_.NowMs();
  if (now >= look_at_ms_) {
    look_at_ms_ = now + interval_ms_;
    if (!worker_.under_way()) Look(Expected(kSealedPerLook));
  }
  return look_at_ms_ - now;
}

void StorageWatch::Stop() {
  stopping_ = true;
  Poll();
}

void StorageWatch::Look(std::vector<ExpectedFile> files) {
  expected_ = std::move(files);
  worker_.Step(
      [this]() -> Result<void> {
        missing_ = directory_.FindMissing(expected_);
        return {};
      },
      [this](const Result<void>&) { TakeResult(); });
}

std::vector<ExpectedFile> StorageWatch::Expected(size_t sealed_max) {
  std::vector<ExpectedFile> files = log_.LiveFiles();
  const std::vector<SealedSegment>& sealed = log_.manifest().sealed;
  const size_t count = std::min(sealed_max, sealed.size());
  for (size_t i = 0; i < count; ++i) {
    const SealedSegment& segment = sealed[next_sealed_++ % sealed.size()];
    files.push_back({SegmentName(segment.id), segment.bytes});
  }
  return files;
}

void StorageWatch::TakeResult() {
  const auto loss =
      std::find_if(missing_.begin(), missing_.end(),
                   [this](const Missing& one) { return IsExpected(one.name); });
  const bool confirmed = std::exchange(confirms_, false);
  if (loss == missing_.end() || confirmed) {
    if (loss != missing_.end()) Lose(loss->what);
    if (last_look_ == LastLook::kUnderWay) last_look_ = LastLook::kDone;
    return;
  }
  confirms_ = true;
  std::vector<ExpectedFile> again = std::move(expected_);
  std::erase_if(
      again, [&](const ExpectedFile& file) { return file.name != loss->name; });
  Look(std::move(again));
}

// Whether it should have been there all the time since the look began: kvd
// itself replaces and removes files.
bool StorageWatch::IsExpected(const std::string& name) const {
  if (name.empty()) return true;
  const auto has_name = [&](const ExpectedFile& file) {
    return file.name == name;
  };
  const auto before =
      std::find_if(expected_.begin(), expected_.end(), has_name);
  const std::vector<ExpectedFile> live = log_.LiveFiles();
  const auto now = std::find_if(live.begin(), live.end(), has_name);
  if (now != live.end()) return now->identity == before->identity;
  const std::optional<uint64_t> id = SegmentIdOf(name);
  const std::vector<SealedSegment>& sealed = log_.manifest().sealed;
  return std::any_of(
      sealed.begin(), sealed.end(),
      [&](const SealedSegment& segment) { return segment.id == id; });
}

// A new file or a write may be the first to meet the loss.
void StorageWatch::NoticeFailure() {
  const std::optional<Error>& failure = log_.failure();
  if (!failure || lost_ || !IsLostStorage(failure->sys_errno())) return;
  Lose(failure->message());
}

void StorageWatch::Lose(std::string what) {
  if (lost_ || IsPlanted(PlantedBug::kBelieveStorage)) return;
  lost_ = Error(ErrorCode::kUnavailable, std::move(what));
  log_.Abandon(*lost_);
  compactor_.Abandon(*lost_);
}

}  // namespace kvd
