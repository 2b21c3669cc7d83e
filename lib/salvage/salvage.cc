// SPDX-License-Identifier: MIT
#include "salvage/salvage.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "salvage/new_store.h"
#include "salvage/readable_file.h"
#include "salvage/segment_walk.h"
#include "salvage/verdict.h"

namespace kvd {
namespace {

// No number is given twice: none can have been given so far beyond those that
// are left.
constexpr uint64_t kSeqsSkipped = uint64_t{1} << 40;

class Salvager {
 public:
  Salvager(Directory& from, Directory& to, const SalvageOptions& options)
      : from_(from), to_(to), options_(options) {}

  Result<SalvageReport> Run() {
    KVD_TRY_ASSIGN(survey_, SurveyDirectory(from_));
    standings_ = JudgeSegments(survey_);
    KVD_TRY(ReadAll());
    FindKnownDatabases();
    LookForLosses();
    KVD_TRY(Rescue());
    const DatabaseMap databases =
        keys_.DatabasesBehind(known_databases_, databases_as_of_);
    Verdict verdict = JudgeKeys(keys_, losses_, databases, options_);
    KVD_TRY_ASSIGN(const uint64_t next_seq, NextSeq());
    KVD_TRY(Write(verdict, databases, next_seq));
    return Report(std::move(verdict), next_seq);
  }

 private:
  Result<void> ReadAll() {
    const uint64_t seq_max = SeqBound(survey_);
    tallies_.resize(survey_.segments.size());
    for (size_t i = 0; i < survey_.segments.size(); ++i) {
      const Standing standing = standings_.of[i];
      if (standing == Standing::kOut) continue;
      const auto visit = [&](const Record& record, const RecordPlace& place) {
        if (standing == Standing::kCounts) {
          keys_.Take(record, place);
        } else {
          keys_.TakeDoubtful(record, place);
        }
      };
      KVD_TRY_ASSIGN(tallies_[i],
                     ReadSegment(from_, survey_, i, seq_max, visit));
    }
    return {};
  }

  // The newest of what the MANIFEST and heads say, all of which was true.
  void FindKnownDatabases() {
    if (survey_.manifest) {
      known_databases_ = survey_.manifest->databases;
      databases_as_of_ = survey_.manifest->databases_as_of;
    }
    for (const FoundSegment& segment : survey_.segments) {
      if (!segment.head || segment.head->databases_as_of < databases_as_of_) {
        continue;
      }
      known_databases_ = segment.head->databases;
      databases_as_of_ = segment.head->databases_as_of;
    }
  }

  void LookForLosses() {
    losses_ = FindLosses(
        from_, {survey_, standings_, tallies_, rescued_, databases_as_of_});
  }

  // A change that cannot be read where it counts may stand in a segment that
  // does not: what compaction copies stays what it was.
  Result<void> Rescue() {
    if (losses_.seqs.empty()) return {};
    for (size_t i = 0; i < survey_.segments.size(); ++i) {
      if (standings_.of[i] == Standing::kCounts) continue;
      const auto visit = [&](const Record& record, const RecordPlace& place) {
        if (!losses_.seqs.Contains(record.seq)) return;
        keys_.Take(record, place);
        rescued_.Add(record.seq);
      };
      KVD_TRY(ReadSegment(from_, survey_, i, SeqBound(survey_), visit));
    }
    if (!rescued_.empty()) LookForLosses();
    return {};
  }

  Result<uint64_t> NextSeq() const {
    uint64_t seen = std::max(keys_.last_seq(), databases_as_of_);
    if (survey_.manifest) seen = std::max(seen, survey_.manifest->next_seq);
    for (const SegmentTally& tally : tallies_) {
      seen = std::max({seen, tally.last_seq, tally.durable_seq});
    }
    if (seen > kSeqMax - 2 * kSeqsSkipped) {
      return Fail(ErrorCode::kFormat,
                  "{}: revision {} is so high that no new store can go on "
                  "behind it",
                  from_.path(), seen);
    }
    return seen + kSeqsSkipped;
  }

  Result<void> Write(const Verdict& verdict, const DatabaseMap& databases,
                     uint64_t next_seq) {
    NewStore store(to_, databases, next_seq, options_.segment_bytes);
    std::optional<ReadableFile> file;
    RecordPlace open;
    for (const Version& version : verdict.kept) {
      const RecordPlace& place = version.place;
      const bool same =
          file && place.segment == open.segment && place.file == open.file;
      if (!same) {
        KVD_TRY_ASSIGN(file, ReadableFile::Open(from_, FileOf(place)));
        open = place;
      }
      KVD_TRY_ASSIGN(const Record record, ReadAgain(*file, version));
      KVD_TRY(store.Add(record));
    }
    return store.Finish();
  }

  const std::string& FileOf(const RecordPlace& place) const {
    return survey_.segments[place.segment].files[place.file];
  }

  Result<Record> ReadAgain(ReadableFile& file, const Version& version) const {
    const RecordPlace& place = version.place;
    KVD_TRY_ASSIGN(const std::string_view header,
                   file.At(place.offset, kRecordHeaderBytes));
    std::optional<Record> record;
    if (header.size() == kRecordHeaderBytes) {
      KVD_TRY_ASSIGN(const std::string_view bytes,
                     file.At(place.offset, ClaimedRecordBytes(header)));
      record =
          DecodeRecord(bytes, survey_.segments[place.segment].identity.Seed());
    }
    if (record && record->seq == version.seq) return *record;
    return Fail(ErrorCode::kIo, "{}/{}: changed between two readings at {}",
                from_.path(), FileOf(place), place.offset);
  }

  SalvageReport Report(Verdict verdict, uint64_t next_seq) {
    SalvageReport report;
    report.manifest_trouble = survey_.manifest_trouble;
    for (size_t i = 0; i < survey_.segments.size(); ++i) {
      report.files += survey_.segments[i].files.size();
      if (standings_.of[i] != Standing::kCounts) continue;
      ++report.segments;
      report.records += tallies_[i].records;
    }
    report.files += survey_.strays.size();
    report.keys = verdict.kept.size();
    report.expired = verdict.expired;
    report.next_seq = next_seq;
    report.losses = std::move(losses_.list);
    report.strays = std::move(survey_.strays);
    report.doubtful = std::move(verdict.doubtful);
    report.unknown_last_seq = losses_.unknown_last_seq;
    report.databases_unknown = losses_.databases_unknown;
    return report;
  }

  Directory& from_;
  Directory& to_;
  SalvageOptions options_;
  Survey survey_;
  Standings standings_;
  std::vector<SegmentTally> tallies_;
  Keys keys_;
  DatabaseMap known_databases_;
  uint64_t databases_as_of_ = 0;
  SeqSet rescued_;
  Losses losses_;
};

}  // namespace

bool SalvageReport::complete() const {
  return doubtful.empty() && !databases_unknown &&
         std::all_of(losses.begin(), losses.end(), [](const Loss& loss) {
           return loss.kind == Loss::Kind::kTorn || loss.is_harmless();
         });
}

Result<SalvageReport> Salvage(Directory& from, Directory& to,
                              const SalvageOptions& options) {
  return Salvager(from, to, options).Run();
}

}  // namespace kvd
