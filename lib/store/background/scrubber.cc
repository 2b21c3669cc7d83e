// SPDX-License-Identifier: MIT
#include "store/background/scrubber.h"

#include <algorithm>
#include <utility>

#include "log/format/advice.h"

namespace kvd {
namespace {

// How soon a round looks again whether its step has ended …
constexpr int64_t kStepLookMs = 1;
// … or compaction.
constexpr int64_t kPauseLookMs = 50;

}  // namespace

Scrubber::Scrubber(const Maintenance& with, const ScrubOptions& options,
                   DamagedSegments& damaged, const Compactor& compactor)
    : options_(options),
      directory_(with.directory),
      log_(with.log),
      report_(with.report),
      damaged_(damaged),
      compactor_(compactor),
      worker_(with) {
  next_round_ms_ = worker_.NowMs() + options_.interval_ms;
}

void Scrubber::Tune(const ScrubOptions& options) {
  if (options == options_) return;
  options_ = options;
  next_round_ms_ = worker_.NowMs() + options_.interval_ms;
}

void Scrubber::Poll() { worker_.Poll(); }

double Scrubber::Rate() const {
  return static_cast<double>(options_.rate_bytes_per_s);
}

std::optional<int64_t> Scrubber::Tick() {
  if (stopping_ || log_.failure() || options_.interval_ms == 0) {
    return std::nullopt;
  }
  const int64_t now = worker_.NowMs();
  if (!status_.running) {
    if (now < next_round_ms_) return next_round_ms_ - now;
    BeginRound(now);
  }
  if (worker_.under_way()) return kStepLookMs;
  if (compactor_.status().running) {
    Interrupt();
    return kPauseLookMs;
  }
  if (const int64_t wait = worker_.WaitMs(Rate()); wait > 0) return wait;
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
  next_round_ms_ = now_ms + options_.interval_ms;
  const std::vector<SealedSegment>& sealed = log_.manifest().sealed;
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
  status_.last_ended_ms = worker_.clock().WallMs();
}

bool Scrubber::NextSegment() {
  while (!to_read_.empty()) {
    const SealedSegment segment = to_read_.back();
    to_read_.pop_back();
    if (!IsSealed(segment.id) || damaged_.Contains(segment.id)) {
      status_.bytes_done += segment.bytes;
      continue;
    }
    verifier_ = std::make_unique<SealedVerifier>(directory_,
                                                 log_.manifest().uuid, segment);
    return true;
  }
  return false;
}

void Scrubber::Step() {
  worker_.Step([verifier = verifier_.get()] { return verifier->Step(); },
               [this](const Result<void>& done) {
                 if (!stopping_) TakeResult(done);
               });
}

void Scrubber::TakeResult(const Result<void>& result) {
  const uint64_t bytes = verifier_->bytes_read();
  const uint64_t id = verifier_->segment().id;
  status_.bytes_done += bytes;
  // A pause for compaction is not made up for.
  worker_.BeginPace();
  worker_.CountBytes(bytes);
  // What compaction has removed meanwhile is not missing.
  if (!result && IsSealed(id)) NoteFailure(result.error());
  if (verifier_ && verifier_->done()) verifier_.reset();
}

void Scrubber::NoteFailure(const Error& error) {
  switch (damaged_.Judge(verifier_->segment().id, error)) {
    case ReadFault::kDamage:
      ++status_.errors;
      report_(Severity::kError,
              "damage found by the scrub: " + error.message() + "\n" +
                  DamageAdvice(directory_.path()));
      return;
    case ReadFault::kDoubt:
      // Once more, before it is believed.
      return Interrupt();
    case ReadFault::kNone:
      report_(Severity::kWarning,
              "the scrub skips a segment: " + error.message());
      return;
  }
}

bool Scrubber::IsSealed(uint64_t id) const {
  const std::vector<SealedSegment>& sealed = log_.manifest().sealed;
  return std::any_of(sealed.begin(), sealed.end(),
                     [id](const SealedSegment& s) { return s.id == id; });
}

}  // namespace kvd
