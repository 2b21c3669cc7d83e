// SPDX-License-Identifier: MIT
#include "log/write/manifest_keeper.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"
#include "log/format/segment.h"

namespace kvd {

ManifestKeeper::ManifestKeeper(Directory& directory, Manifest manifest)
    : directory_(directory),
      value_(std::move(manifest)),
      durable_seq_(value_.next_seq - 1) {}

// --- Segments ---------------------------------------------------------------

void ManifestKeeper::NamePrepared(uint64_t id, uint64_t bytes) {
  value_.prepared = {id, bytes};
  dirty_ = true;
}

void ManifestKeeper::Enter(const LiveSegment& segment) {
  value_.active = {segment.identity.id, segment.capacity};
  value_.prepared.reset();
}

void ManifestKeeper::Seal(LiveSegment segment) {
  dirty_ = true;
  if (segment.records == 0) return Discard(segment.identity.id);
  value_.sealed.push_back(SealedAtEnd(segment));
  sealed_files_.push_back({std::move(segment.file), segment.end});
}

void ManifestKeeper::Discard(uint64_t segment_id) {
  garbage_.push_back(SegmentName(segment_id));
}

void ManifestKeeper::Close(uint64_t next_seq) {
  value_.active.reset();
  value_.prepared.reset();
  value_.clean = true;
  value_.next_seq = next_seq;
  dirty_ = true;
  closed_ = true;
}

// --- Databases --------------------------------------------------------------

void ManifestKeeper::BecameDurable(uint64_t seq) {
  durable_seq_ = seq;
  database_changes_.ApplyUpTo(seq, &value_.databases);
}

DatabaseMap ManifestKeeper::DatabasesAsOf(uint64_t seq) const {
  DatabaseMap databases = value_.databases;
  DatabaseChanges changes = database_changes_;
  changes.ApplyUpTo(seq, &databases);
  return databases;
}

// --- Compaction -------------------------------------------------------------

uint64_t ManifestKeeper::NextTicket() {
  dirty_ = true;
  return ++changes_;
}

uint64_t ManifestKeeper::ReserveSegmentIds(uint64_t count, uint64_t* first_id) {
  *first_id = value_.next_segment;
  value_.next_segment += count;
  return NextTicket();
}

uint64_t ManifestKeeper::ReplaceSealed(
    const std::vector<SealedSegment>& victims,
    const std::vector<SealedSegment>& outputs) {
  std::vector<SealedSegment>& sealed = value_.sealed;
  for (const SealedSegment& victim : victims) {
    KVD_CHECK(std::erase(sealed, victim) == 1);
    value_.history_floor = std::max(value_.history_floor, victim.last_seq);
    AdvanceNextSeq(victim);
  }
  sealed.insert(sealed.end(), outputs.begin(), outputs.end());
  std::stable_sort(sealed.begin(), sealed.end(),
                   [](const SealedSegment& a, const SealedSegment& b) {
                     return a.first_seq < b.first_seq;
                   });
  return NextTicket();
}

// The live segments go on behind the sealed ones of this epoch, also when those
// are gone.
void ManifestKeeper::AdvanceNextSeq(const SealedSegment& victim) {
  if (victim.kind == SegmentKind::kLog && victim.epoch == value_.epoch &&
      !IsPlanted(PlantedBug::kForgetRetiredSeqs)) {
    value_.next_seq = std::max(value_.next_seq, victim.last_seq + 1);
  }
}

// --- The file ---------------------------------------------------------------

void ManifestKeeper::Write(SlowJobs& jobs, std::function<void()> first) {
  KVD_CHECK(wants_write());
  dirty_ = false;
  writing_ = true;
  written_changes_ = changes_;
  value_.databases_as_of = durable_seq_;
  std::vector<std::pair<File*, uint64_t>> cut;
  for (SealedFile& sealed : sealed_files_) {
    cut.emplace_back(sealed.file.get(), sealed.bytes);
  }
  closing_ = std::exchange(sealed_files_, {});
  removing_ = std::exchange(garbage_, {});
  const Spare spare = identity_ != 0 ? Spare::kIsSafe : Spare::kMayBeManifest;
  jobs.Post(/*answers=*/2, [&directory = directory_, first = std::move(first),
                            manifest = value_, cut = std::move(cut),
                            garbage = removing_,
                            spare](const SlowJobs::Answer& answer) {
    if (first) first();
    ManifestSaved done;
    done.result = SaveManifest(directory, manifest, &done.identity, spare);
    const bool saved = done.result.has_value();
    if (saved) {
      // Both only give space back; the next start makes up for a failure.
      for (const auto& [file, bytes] : cut) (void)file->Truncate(bytes);
      for (const std::string& name : garbage) (void)directory.Remove(name);
    }
    answer(std::move(done));
    if (saved) LeaveManifestSpare(directory, manifest);
    answer(SpareLeft());
  });
}

void ManifestKeeper::Take(const ManifestSaved& saved) {
  writing_ = false;
  // After an error it may be either.
  identity_ = saved.result ? saved.identity : 0;
  if (saved.result && !closed_) durable_changes_ = written_changes_;
  if (!saved.result && !closed_) {
    dirty_ = true;
    for (SealedFile& file : closing_) sealed_files_.push_back(std::move(file));
    for (std::string& name : removing_) garbage_.push_back(std::move(name));
  }
  closing_.clear();
}

ExpectedFile ManifestKeeper::expected_file() const {
  return {std::string(kManifestName), 1, identity_};
}

}  // namespace kvd
