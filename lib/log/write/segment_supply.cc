// SPDX-License-Identifier: MIT
#include "log/write/segment_supply.h"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/coding.h"
#include "base/planted_bug.h"
#include "log/format/manifest.h"
#include "log/format/segment.h"

namespace kvd {
namespace {

// What a segment holds beside its head and the records of its only group:
// headers, padding, and a group that declares it durable.
constexpr uint64_t kSegmentOverheadBytes =
    kSegmentHeaderBytes + 2 * (kGroupHeaderBytes + kGroupAlignment);

void KeepNewest(size_t count, std::vector<IdRange>* ranges) {
  if (ranges->size() <= count) return;
  ranges->erase(ranges->begin(), ranges->end() - static_cast<ptrdiff_t>(count));
}

}  // namespace

SegmentSupply::SegmentSupply(Directory& directory,
                             const LogWriterOptions& options,
                             std::function<void()> give_space_back,
                             ManifestKeeper& manifest, LogState& state,
                             Executor& slow_work, Clock& clock, Wake wake)
    : directory_(directory),
      options_(options),
      give_space_back_(std::move(give_space_back)),
      manifest_(manifest),
      state_(state),
      clock_(clock),
      wake_(wake),
      zeroing_choice_(options.sync),
      trouble_(options.log),
      jobs_(slow_work, std::move(wake)) {}

// --- The active segment -----------------------------------------------------

bool SegmentSupply::FitsActive(uint64_t end, uint64_t bytes,
                               Purpose purpose) const {
  if (!active_) return false;
  const bool uses_reserve =
      purpose == Purpose::kRemoval || IsPlanted(PlantedBug::kExpiryFromReserve);
  if (active_->removals_only && !uses_reserve) return false;
  uint64_t kept = kGroupHeaderBytes;  // For the group that declares this one.
  if (!uses_reserve && !prepared_) {
    kept += std::min(kRemovalReserveBytes, active_->capacity / 16);
  }
  return AlignUp(end + bytes, kGroupAlignment) + kept <= active_->capacity;
}

// With what FitsActive() keeps for removals, a sixteenth of the whole, so that
// the group may enter before another segment is prepared.
uint64_t SegmentSupply::SegmentBytesFor(uint64_t bytes) const {
  // Between two sealed segments that are told there is at most one range, and
  // those above have one each.
  const size_t ranges =
      std::min(manifest_.value().sealed.size() + 2, kHeadRangesMax);
  const uint64_t used =
      bytes + kSegmentOverheadBytes + SegmentHeadBytesMax(ranges);
  const uint64_t reserve = std::min(kRemovalReserveBytes, used / 15 + 1);
  return AlignUp(used + reserve, kBlockBytes);
}

std::vector<uint64_t> SegmentSupply::CountingIds() const {
  std::vector<uint64_t> ids;
  for (const SealedSegment& segment : manifest_.value().sealed) {
    ids.push_back(segment.id);
  }
  if (retiring_) ids.push_back(retiring_->identity.id);
  return ids;
}

uint64_t SegmentSupply::KnownBelow() const {
  uint64_t below = UINT64_MAX;
  for (const auto* segment :
       {&active_, &prepared_, &candidate_, &displaced_, &zeroing_}) {
    if (*segment) below = std::min(below, (*segment)->identity.id);
  }
  if (below == UINT64_MAX) return 0;
  // What a compaction writes now will count.
  return reserved_from_ ? std::min(below, *reserved_from_) : below;
}

std::vector<IdRange> SegmentSupply::Retired() const {
  const uint64_t below = KnownBelow();
  if (below == 0) return {};
  return IdsWithout(CountingIds(), below);
}

SegmentHead SegmentSupply::HeadWith(std::vector<uint64_t> counting) const {
  SegmentHead head;
  head.known_below = static_cast<uint32_t>(KnownBelow());
  head.retired = Retired();
  std::vector<uint64_t> beyond = std::move(counting);
  std::erase_if(beyond, [&](uint64_t id) { return id < head.known_below; });
  head.counting = JoinRanges({}, beyond);
  return head;
}

SegmentHead SegmentSupply::HeadOfActive(uint64_t seq) const {
  SegmentHead head = HeadWith(CountingIds());
  head.databases_as_of = seq;
  head.databases = IsPlanted(PlantedBug::kHeadForgets)
                       ? manifest_.value().databases
                       : manifest_.DatabasesAsOf(seq);
  KeepNewest(kHeadRangesMax, &head.counting);
  KeepNewest(kHeadRangesMax - head.counting.size(), &head.retired);
  return head;
}

SegmentHead SegmentSupply::HeadBehind(
    const std::vector<SealedSegment>& victims) const {
  std::vector<uint64_t> ids;
  for (const SealedSegment& victim : victims) ids.push_back(victim.id);
  std::vector<uint64_t> counting = CountingIds();
  if (active_) counting.push_back(active_->identity.id);
  SegmentHead head = HeadWith(std::move(counting));
  head.databases_as_of = manifest_.durable_seq();
  head.databases = manifest_.value().databases;
  head.retired = JoinRanges(std::move(head.retired), ids);
  return head;
}

bool SegmentSupply::FitsPrepared(uint64_t bytes) const {
  return prepared_ && SegmentBytesFor(bytes) <= prepared_->capacity;
}

void SegmentSupply::Roll() {
  KVD_CHECK(prepared_ && !retiring_);
  retiring_ = std::exchange(active_, std::nullopt);
  active_ = std::exchange(prepared_, std::nullopt);
  manifest_.Enter(*active_);
  PrepareAhead();
}

Room SegmentSupply::WantSegment(uint64_t bytes) {
  if (preparing_ || manifest_.writing() || retiring_ || zeroing_) {
    return Room::kWait;
  }
  const bool retry_later = NowMs() < trouble_.retry_at_ms();
  if (candidate_) {
    return retry_later && trouble_.ManifestNeedsRoom() ? Room::kDiskFull
                                                       : Room::kWait;
  }
  const uint64_t needed =
      std::max(SegmentBytesFor(bytes), SmallestSegmentBytes());
  if (trouble_.IsFullFor(needed) && retry_later) return Room::kDiskFull;
  if (trouble_.HasShortage()) return Room::kWait;
  // What is prepared is too small. It stays named until the larger one is, but
  // must not be entered any more.
  displaced_ = std::exchange(prepared_, std::nullopt);
  StartPreparing(std::max(needed, options_.segment_bytes), needed,
                 std::max(bytes, zeroing_choice_.usual_group_bytes()));
  return Room::kWait;
}

void SegmentSupply::SealRetiring() {
  manifest_.Seal(*std::exchange(retiring_, std::nullopt));
  WriteManifestIfNeeded();
}

void SegmentSupply::SealAll(uint64_t next_seq) {
  if (state_.stopped() || state_.failure() || !jobs_.idle()) return;
  if (active_) manifest_.Seal(*std::exchange(active_, std::nullopt));
  Discard(&prepared_);
  Discard(&candidate_);
  Discard(&displaced_);
  manifest_.Close(next_seq);
  WriteManifestIfNeeded();
}

// --- Preparing --------------------------------------------------------------

uint64_t SegmentSupply::SmallestSegmentBytes() const {
  return std::min(options_.segment_bytes, kSmallSegmentBytes);
}

void SegmentSupply::PrepareAhead() {
  // Writers wait for the first one.
  const uint64_t bytes =
      active_ ? options_.segment_bytes : options_.first_segment_bytes;
  StartPreparing(bytes, std::min(bytes, SmallestSegmentBytes()),
                 zeroing_choice_.usual_group_bytes());
}

void SegmentSupply::StartPreparing(uint64_t bytes, uint64_t bytes_min,
                                   uint64_t group_bytes) {
  if (preparing_ || candidate_ || state_.stopping()) return;
  preparing_ = true;
  SegmentOrder order;
  order.id = manifest_.TakeSegmentId();
  order.bytes = bytes;
  order.bytes_min = bytes_min;
  order.bytes_from_reserve = active_ ? 0 : SmallestSegmentBytes();
  order.zeroed = zeroing_choice_.PaysFor(group_bytes);
  // Behind a whole segment nobody waits for the next.
  order.tries_zeros = active_ && active_->capacity >= options_.segment_bytes &&
                      zeroing_choice_.TakeTrial();
  jobs_.Post(/*answers=*/1, [&directory = directory_, order,
                             give_space_back = SpaceToGiveBack(bytes)](
                                const SlowJobs::Answer& answer) {
    if (give_space_back) give_space_back();
    answer(SegmentPrepared{order.bytes_min, PrepareSegment(directory, order)});
  });
}

std::function<void()> SegmentSupply::SpaceToGiveBack(uint64_t bytes_next) {
  if (!give_space_back_) return {};
  // Writers wait for the first segment. Where the next ones have room, too, the
  // space is not missed meanwhile, whoever else takes some.
  const uint64_t ample =
      bytes_next + 2 * options_.segment_bytes + kDiskReserveBytes;
  const bool can_wait =
      !active_ && !disk_full() && directory_.FreeBytes().value_or(0) >= ample;
  if (can_wait) return {};
  return std::exchange(give_space_back_, {});
}

void SegmentSupply::OnPrepared(SegmentPrepared prepared) {
  preparing_ = false;
  if (!prepared.result) {
    return OnNotPrepared(prepared.result.error(), prepared.bytes_min);
  }
  trouble_.SegmentMade();
  if (prepared.result->from_reserve) {
    trouble_.NoRoomFor(prepared.bytes_min, NowMs());
  } else {
    trouble_.FoundRoom();
  }
  MakeCandidate(std::move(*prepared.result));
  if (IsPlanted(PlantedBug::kUseUnnamedSegment)) {
    prepared_ = std::exchange(candidate_, std::nullopt);
    if (!active_) Roll();
  }
  WriteManifestIfNeeded();
}

void SegmentSupply::OnNotPrepared(const Error& error, uint64_t bytes_min) {
  // Back to what there was before, however small.
  if (displaced_) prepared_ = std::exchange(displaced_, std::nullopt);
  if (IsFinal(error)) return state_.Fail(error);
  trouble_.SegmentFailed(error, bytes_min, NowMs());
  // The MANIFEST waits for no segment that does not come: what it is about to
  // name may be compaction's, which makes room.
  WriteManifestIfNeeded();
}

void SegmentSupply::MakeCandidate(PreparedSegment made) {
  free_disk_bytes_ = made.free_disk_bytes;
  if (made.zeroing_limit) zeroing_choice_.set_limit(*made.zeroing_limit);
  candidate_.emplace();
  candidate_->identity = manifest_.value().IdentityOfLive(made.id);
  candidate_->capacity = made.capacity;
  candidate_->zeroed = made.zeroed;
  candidate_->removals_only = made.from_reserve;
  candidate_->file = std::move(made.file);
  Discard(&displaced_);
  manifest_.NamePrepared(made.id, made.capacity);
}

void SegmentSupply::Discard(std::optional<LiveSegment>* segment) {
  if (!*segment) return;
  manifest_.Discard((*segment)->identity.id);
  segment->reset();
}

// --- Zeros ------------------------------------------------------------------

// Roll() would not get there for a whole segment or two; the first write to
// each block of those would make a small flush commit changed metadata. What is
// left of the active one is given back when it is sealed.
void SegmentSupply::LeaveUnzeroed(bool open_is_empty) {
  // By half, so that groups about the limit do not leave one after the other.
  if (!prepared_ || retiring_ || state_.stopping() || state_.failure() ||
      !zeroing_choice_.PaysFor(2 * zeroing_choice_.usual_group_bytes())) {
    return;
  }
  // A larger one is for a large group that is about to enter; with a smaller
  // one the disk becomes full, and no room is given up.
  if (prepared_->capacity != options_.segment_bytes) return;
  if (!prepared_->zeroed) return ZeroPrepared();
  if (!active_->zeroed && open_is_empty) Roll();
}

void SegmentSupply::ZeroPrepared() {
  zeroing_ = std::exchange(prepared_, std::nullopt);
  jobs_.Post(/*answers=*/1,
             [file = zeroing_->file.get(),
              bytes = zeroing_->capacity](const SlowJobs::Answer& answer) {
               Result<void> done = file->ZeroReserved(bytes);
               if (done) done = file->Sync();
               answer(SegmentZeroed{std::move(done)});
             });
}

void SegmentSupply::OnZeroed(const SegmentZeroed& zeroed, bool open_is_empty) {
  if (!zeroed.result && IsFinal(zeroed.result.error())) {
    return state_.Fail(zeroed.result.error());
  }
  // A file system that has no room to write what it has reserved is not asked
  // for that again.
  prepared_ = std::exchange(zeroing_, std::nullopt);
  prepared_->zeroed = true;
  LeaveUnzeroed(open_is_empty);
}

// --- The MANIFEST -----------------------------------------------------------

void SegmentSupply::WriteManifestIfNeeded() {
  // A retiring segment is neither live nor sealed in the value: without it the
  // MANIFEST would disown durable groups. While a segment is being prepared one
  // write will do for both.
  if (!manifest_.wants_write() || retiring_ || state_.failure()) return;
  if (preparing_ && !state_.stopping()) return;
  naming_ = candidate_.has_value();
  // Room that was ample may not be for this user, or not any more.
  manifest_.Write(jobs_, SpaceToGiveBack(0));
}

void SegmentSupply::OnManifest(const ManifestSaved& saved) {
  manifest_.Take(saved);
  if (manifest_.closed()) return EndStop(saved.result);
  if (!saved.result) {
    const Error& error = saved.result.error();
    if (IsFinal(error)) return state_.Fail(error);
    return trouble_.ManifestFailed(error, NowMs());
  }
  if (!IsPlanted(PlantedBug::kStaysFull)) trouble_.ManifestSaved();
  if (naming_ && candidate_) EnterCandidate();
  WriteManifestIfNeeded();
}

void SegmentSupply::EnterCandidate() {
  prepared_ = std::exchange(candidate_, std::nullopt);
  if (!prepared_->removals_only) trouble_.FoundRoom();
  if (!active_ && !state_.stopping() && !state_.failure()) Roll();
}

void SegmentSupply::EndStop(const Result<void>& saved) {
  if (!saved) {
    options_.log(Severity::kWarning,
                 "the clean stop could not be recorded, the next start reads "
                 "the log's tail instead: " +
                     saved.error().message());
  }
  state_.EndStop();
}

uint64_t SegmentSupply::ReserveSegmentIds(uint64_t count, uint64_t* first_id) {
  const uint64_t ticket = manifest_.ReserveSegmentIds(count, first_id);
  reserved_from_ = *first_id;
  WriteManifestIfNeeded();
  return ticket;
}

uint64_t SegmentSupply::ReplaceSealed(
    const std::vector<SealedSegment>& victims,
    const std::vector<SealedSegment>& outputs) {
  const uint64_t ticket = manifest_.ReplaceSealed(victims, outputs);
  reserved_from_.reset();
  WriteManifestIfNeeded();
  return ticket;
}

// --- What was done, and what is tried again ---------------------------------

bool SegmentSupply::TakeAnswers(bool open_is_empty) {
  std::deque<SlowAnswer> answers = jobs_.TakeAnswers();
  for (SlowAnswer& answer : answers) {
    if (auto* prepared = std::get_if<SegmentPrepared>(&answer)) {
      OnPrepared(std::move(*prepared));
    } else if (auto* zeroed = std::get_if<SegmentZeroed>(&answer)) {
      OnZeroed(*zeroed, open_is_empty);
    } else if (auto* saved = std::get_if<ManifestSaved>(&answer)) {
      OnManifest(*saved);
    }
  }
  return !answers.empty();
}

void SegmentSupply::Retry(int64_t now_ms) {
  if (now_ms < trouble_.retry_at_ms() || state_.stopping()) return;
  if (WantsRetry()) PrepareAhead();
  if (WantsLook()) LookAgain(now_ms);
  WriteManifestIfNeeded();
}

int64_t SegmentSupply::RetryAtMs(int64_t now_ms) const {
  if (!WantsRetry() && !WantsLook() && !manifest_.wants_write()) {
    return INT64_MAX;
  }
  return std::max(trouble_.retry_at_ms(), now_ms + 1);
}

bool SegmentSupply::WantsRetry() const {
  return (FullForSegments() || trouble_.HasShortage()) && !preparing_ &&
         !candidate_ && !prepared_ && !zeroing_;
}

bool SegmentSupply::WantsLook() const {
  return (FullForSegments() || trouble_.HasShortage()) && prepared_;
}

// What is prepared is too small for somebody, who was told of a full disk, or
// waits.
void SegmentSupply::LookAgain(int64_t now_ms) {
  if (trouble_.ForgetShortage()) {
    has_news_ = true;
    wake_();
  }
  const uint64_t free = directory_.FreeBytes().value_or(0);
  if (FullForSegments() && trouble_.WouldFit(free)) trouble_.FoundRoom();
  trouble_.RetryLater(now_ms);
}

std::vector<ExpectedFile> SegmentSupply::LiveFiles() const {
  std::vector<ExpectedFile> files;
  // One that is being replaced may be either.
  if (!manifest_.writing()) files.push_back(manifest_.expected_file());
  for (const auto* segment : {&active_, &retiring_, &prepared_, &candidate_,
                              &displaced_, &zeroing_}) {
    if (!*segment) continue;
    const LiveSegment& live = **segment;
    // What is behind the end may be cut off soon.
    files.push_back(
        {SegmentName(live.identity.id), live.end, live.file->identity()});
  }
  return files;
}

}  // namespace kvd
