// SPDX-License-Identifier: MIT
#include "store/background/scrubber.h"

#include <algorithm>
#include <utility>

#include "store/store_impl.h"

namespace kvd {
namespace {

// How soon a round looks again whether its step has ended …
constexpr int64_t kStepLookMs = 1;
// … or compaction.
constexpr int64_t kPauseLookMs = 50;

}  // namespace

Scrubber::Scrubber(Store::Impl& store, Directory& directory,
                   Executor& maintenance, Wake wake)
    : store_(store),
      directory_(directory),
      maintenance_(maintenance),
      wake_(std::move(wake)) {
  next_round_ms_ = NowMs() + store_.options.scrub.interval_ms;
}

Scrubber::~Scrubber() {
  if (step_under_way_) results_.Wait();
}

int64_t Scrubber::NowMs() const { return store_.clock.MonotonicUs() / 1000; }

void Scrubber::Poll() {
  for (const Result<void>& result : results_.TakeAll()) {
    step_under_way_ = false;
    if (!stopping_) TakeResult(result);
  }
}

std::optional<int64_t> Scrubber::Tick() {
  if (stopping_ || store_.log->failure() ||
      store_.options.scrub.interval_ms == 0) {
    return std::nullopt;
  }
  const int64_t now = NowMs();
  if (!status_.running) {
    if (now < next_round_ms_) return next_round_ms_ - now;
    BeginRound(now);
  }
  if (step_under_way_) return kStepLookMs;
  if (store_.compactor->status().running) {
    Interrupt();
    return kPauseLookMs;
  }
  if (now < next_step_ms_) return next_step_ms_ - now;
  if (verifier_ == nullptr && !NextSegment()) {
    EndRound();
    return std::max<int64_t>(next_round_ms_ - now, kPauseLookMs);
  }
  Step();
  return kStepLookMs;
}

// Compaction may retire what is being read: an open file would keep its space.
void Scrubber::Interrupt() {
  if (verifier_ == nullptr) return;
  status_.bytes_done -= verifier_->bytes_verified();
  to_read_.push_back(verifier_->segment());
  verifier_.reset();
}

void Scrubber::BeginRound(int64_t now_ms) {
  next_round_ms_ = now_ms + store_.options.scrub.interval_ms;
  const std::vector<SealedSegment>& sealed = store_.log->manifest().sealed;
  to_read_.assign(sealed.rbegin(), sealed.rend());
  status_.running = true;
  status_.bytes_done = 0;
  status_.bytes_all = 0;
  for (const SealedSegment& segment : to_read_) {
    status_.bytes_all += segment.bytes;
  }
}

void Scrubber::EndRound() {
  status_.running = false;
  ++status_.rounds;
  status_.last_ended_ms = store_.clock.WallMs();
}

bool Scrubber::NextSegment() {
  while (!to_read_.empty()) {
    const SealedSegment segment = to_read_.back();
    to_read_.pop_back();
    if (!IsSealed(segment.id) || store_.damaged.Contains(segment.id)) {
      status_.bytes_done += segment.bytes;
      continue;
    }
    verifier_ = std::make_unique<SealedVerifier>(
        directory_, store_.log->manifest().uuid, segment);
    return true;
  }
  return false;
}

void Scrubber::Step() {
  step_under_way_ = true;
  maintenance_.Post([this, wake = wake_, verifier = verifier_.get()] {
    results_.Put(verifier->Step());
    wake();
  });
}

void Scrubber::TakeResult(const Result<void>& result) {
  const uint64_t bytes = verifier_->bytes_read();
  const uint64_t id = verifier_->segment().id;
  status_.bytes_done += bytes;
  const uint64_t rate = store_.options.scrub.rate_bytes_per_s;
  next_step_ms_ =
      NowMs() + (rate == 0 ? 0 : static_cast<int64_t>(bytes * 1000 / rate));
  // What compaction has removed meanwhile is not missing.
  if (!result && IsSealed(id)) NoteFailure(result.error());
  if (verifier_ && verifier_->done()) verifier_.reset();
}

void Scrubber::NoteFailure(const Error& error) {
  switch (store_.damaged.Judge(verifier_->segment().id, error)) {
    case ReadFault::kDamage:
      ++status_.errors;
      store_.options.log(
          Severity::kError,
          "damage found by the scrub: " + error.message() +
              "\n  Copy the data directory before anything else, then list all "
              "damage with \"kvd verify\" while kvd is stopped.");
      return;
    case ReadFault::kDoubt:
      // Once more, before it is believed.
      return Interrupt();
    case ReadFault::kNone:
      store_.options.log(Severity::kWarning,
                         "the scrub skips a segment: " + error.message());
      return;
  }
}

bool Scrubber::IsSealed(uint64_t id) const {
  const std::vector<SealedSegment>& sealed = store_.log->manifest().sealed;
  return std::any_of(sealed.begin(), sealed.end(),
                     [id](const SealedSegment& s) { return s.id == id; });
}

}  // namespace kvd
