// SPDX-License-Identifier: MIT
#include "salvage/standing.h"

#include <algorithm>
#include <map>

#include "log/format/segment_head.h"

namespace kvd {
namespace {

// Of a row of ids that are not there, the last ones are named: no more can be
// known of the others.
constexpr uint64_t kMissingInARowMax = 4096;

uint64_t Size(const IdRange& range) {
  return uint64_t{range.last} - range.first + 1;
}

// How many ids of `range` are in these.
uint64_t SizeWithin(const std::vector<IdRange>& ranges, const IdRange& range) {
  uint64_t size = 0;
  for (const IdRange& other : ranges) {
    const IdRange both = {std::max(other.first, range.first),
                          std::min(other.last, range.last)};
    if (both.first <= both.last) size += Size(both);
  }
  return size;
}

// As the MANIFEST has it.
Standings ByManifest(const Survey& survey) {
  const Manifest& manifest = *survey.manifest;
  Standings standings;
  for (const FoundSegment& segment : survey.segments) {
    const std::vector<LiveSegmentLine> live = manifest.Live();
    const bool is_live =
        segment.identity.epoch == manifest.epoch &&
        std::any_of(live.begin(), live.end(), [&](const LiveSegmentLine& line) {
          return line.id == segment.identity.id;
        });
    standings.of.push_back(segment.sealed || is_live ? Standing::kCounts
                                                     : Standing::kOut);
  }
  const auto is_there = [&](uint64_t id) {
    for (size_t i = 0; i < survey.segments.size(); ++i) {
      if (survey.segments[i].identity.id == id &&
          standings.of[i] == Standing::kCounts) {
        return true;
      }
    }
    return false;
  };
  for (const SealedSegment& s : manifest.sealed) {
    if (is_there(s.id)) continue;
    MissingSegment missing;
    missing.id = s.id;
    missing.sealed = s;
    missing.hint = survey.HintOf(s.id);
    missing.last_seq_max = s.last_seq;
    standings.missing.push_back(missing);
  }
  for (const LiveSegmentLine& line : manifest.Live()) {
    const bool blank = std::any_of(survey.strays.begin(), survey.strays.end(),
                                   [&](const StrayFile& s) {
                                     return s.kind == StrayFile::Kind::kBlank &&
                                            s.name == SegmentName(line.id);
                                   });
    if (blank || is_there(line.id)) continue;
    MissingSegment missing;
    missing.id = line.id;
    missing.live = true;
    standings.missing.push_back(missing);
  }
  return standings;
}

// As the heads have it.
class ByHeads {
 public:
  explicit ByHeads(const Survey& survey) : survey_(survey) {}

  Standings Run() {
    FindRetired();
    Standings standings;
    standings.retired = retired_;
    for (const FoundSegment& segment : survey_.segments) {
      const uint64_t id = segment.identity.id;
      standings.of.push_back(ContainsId(retired_, id)    ? Standing::kOut
                             : ContainsId(doubtful_, id) ? Standing::kDoubtful
                                                         : Standing::kCounts);
    }
    FindMissing(&standings);
    return standings;
  }

 private:
  // The newest head of a log segment knows all that were out of use before;
  // of what compactions that are complete have replaced since, it does not.
  void FindRetired() {
    for (const FoundSegment& segment : survey_.segments) {
      if (!segment.head || segment.identity.kind != SegmentKind::kLog) continue;
      const SegmentHead& head = *segment.head;
      if (newest_ != nullptr &&
          head.databases_as_of < newest_->databases_as_of) {
        continue;
      }
      newest_ = &head;
    }
    if (newest_ != nullptr) retired_ = newest_->retired;
    for (const FoundSegment& segment : survey_.segments) {
      if (!segment.head || segment.identity.kind != SegmentKind::kCompacted ||
          ContainsId(retired_, segment.identity.id) ||
          !IsComplete(segment.head->job)) {
        continue;
      }
      doubtful_.insert(doubtful_.end(), segment.head->retired.begin(),
                       segment.head->retired.end());
    }
  }

  // Whether all that a compaction wrote is there, or was replaced itself.
  bool IsComplete(uint64_t job) const {
    for (uint64_t id = job;; ++id) {
      if (ContainsId(retired_, id)) continue;
      const FoundSegment* output = survey_.Find(id);
      if (output == nullptr || !output->head || output->head->job != job ||
          !output->ends_job) {
        return false;
      }
      if (*output->ends_job) return true;
    }
  }

  // By the newest head of a log segment, which knows all that counted then, and
  // those of compactions since then. What was exchanged later misses its
  // victims, at least.
  void FindMissing(Standings* standings) const {
    if (newest_ == nullptr) FindGaps(standings);
    for (const FoundSegment& segment : survey_.segments) {
      if (!segment.head) continue;
      const SegmentHead& head = *segment.head;
      const bool is_log = segment.identity.kind == SegmentKind::kLog;
      if (is_log ? &head == newest_
                 : newest_ == nullptr ||
                       head.databases_as_of >= newest_->databases_as_of) {
        FindMissing(head, standings);
      }
    }
    // A hint goes with its segment.
    for (const auto& [id, hint] : survey_.hints) {
      if (survey_.Find(id) != nullptr || IsOut(id)) continue;
      AddMissing(id, LastSeqBelow(id), standings);
    }
  }

  void FindMissing(const SegmentHead& head, Standings* standings) const {
    // Of a log segment's the oldest ranges may have been left out.
    const bool is_cut =
        head.job == 0 &&
        head.retired.size() + head.counting.size() >= kHeadRangesMax;
    const uint64_t first =
        is_cut && !head.retired.empty() ? head.retired.front().first : 1;
    LookFor(head, {first, head.known_below}, standings);
    for (const IdRange& range : head.counting) {
      LookFor(head, {range.first, uint64_t{range.last} + 1}, standings);
    }
  }

  struct Ids {
    uint64_t first;
    uint64_t end;
  };

  void LookFor(const SegmentHead& head, Ids ids, Standings* standings) const {
    // One of a compaction counts the segment that was being written as well.
    const uint64_t head_up_to =
        head.job == 0 ? head.databases_as_of : UINT64_MAX;
    for (uint64_t id = LastOf(ids.first, ids.end); id < ids.end; ++id) {
      // That one may not have come to its first group.
      const bool may_be_blank = head.job != 0 && id >= head.known_below;
      if (survey_.Find(id) != nullptr || IsOut(id) ||
          ContainsId(head.retired, id) || (may_be_blank && IsBlank(id))) {
        continue;
      }
      AddMissing(id, std::min(head_up_to, LastSeqBelow(id)), standings);
    }
  }

  // Without such a head ids that are not there are all that is known.
  void FindGaps(Standings* standings) const {
    uint64_t id = 1;
    bool explained = false;
    for (const FoundSegment& segment : survey_.segments) {
      const uint64_t end = segment.identity.id;
      for (id = LastOf(id, end); id < end; ++id) {
        if (explained || IsBlank(id) || IsOut(id)) continue;
        AddMissing(id, LastSeqBelow(id), standings);
      }
      id = std::max(id, end + 1);
      // The ids behind what a compaction wrote were kept for it.
      explained = segment.head && segment.ends_job.value_or(false) &&
                  IsComplete(segment.head->job);
    }
  }

  // Where to begin in [first, end).
  static uint64_t LastOf(uint64_t first, uint64_t end) {
    return end > first + kMissingInARowMax ? end - kMissingInARowMax : first;
  }

  void AddMissing(uint64_t id, uint64_t last_seq_max,
                  Standings* standings) const {
    const bool known = std::any_of(
        standings->missing.begin(), standings->missing.end(),
        [id](const MissingSegment& missing) { return missing.id == id; });
    if (known) return;
    MissingSegment missing;
    missing.id = id;
    missing.hint = survey_.HintOf(id);
    missing.last_seq_max = last_seq_max;
    standings->missing.push_back(missing);
  }

  bool IsBlank(uint64_t id) const {
    return std::any_of(
        survey_.strays.begin(), survey_.strays.end(), [&](const StrayFile& s) {
          return s.kind == StrayFile::Kind::kBlank && s.name == SegmentName(id);
        });
  }
  bool IsOut(uint64_t id) const {
    return ContainsId(retired_, id) || ContainsId(doubtful_, id);
  }

  // Ids are given out one after the other, and a log segment is entered behind
  // all changes that segments of lower ids hold.
  uint64_t LastSeqBelow(uint64_t id) const {
    for (const FoundSegment& segment : survey_.segments) {
      if (segment.identity.id > id &&
          segment.identity.kind == SegmentKind::kLog && segment.head) {
        return segment.head->databases_as_of;
      }
    }
    return UINT64_MAX;
  }

  const Survey& survey_;
  std::vector<IdRange> retired_;
  const SegmentHead* newest_ = nullptr;  // Of a log segment.
  std::vector<IdRange> doubtful_;
};

}  // namespace

Standings JudgeSegments(const Survey& survey) {
  return survey.manifest_rules ? ByManifest(survey) : ByHeads(survey).Run();
}

bool StillHasVictims(const Survey& survey, const Standings& standings,
                     const FoundSegment& segment) {
  if (!segment.head || segment.sealed) return false;
  uint64_t wanted = 0;
  for (const IdRange& range : segment.head->retired) {
    wanted += Size(range) - SizeWithin(standings.retired, range);
  }
  uint64_t found = 0;
  for (const FoundSegment& other : survey.segments) {
    const uint64_t id = other.identity.id;
    if (!ContainsId(segment.head->retired, id)) continue;
    if (!ContainsId(standings.retired, id)) ++found;
  }
  return found > 0 && found == wanted;
}

}  // namespace kvd
