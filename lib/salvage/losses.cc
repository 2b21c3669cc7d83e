// SPDX-License-Identifier: MIT
#include "salvage/losses.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace kvd {
namespace {

// Log segments of one epoch, in the order of their changes.
struct EpochLog {
  std::vector<size_t> segments;
  uint64_t durable_seq = 0;  // As far as anything proves it.
};

class LossFinder {
 public:
  LossFinder(Directory& directory, const LossFacts& facts)
      : directory_(directory), facts_(facts) {}

  Losses Run() {
    CollectEpochs();
    for (auto epoch = epochs_.begin(); epoch != epochs_.end(); ++epoch) {
      for (size_t i = 0; i < epoch->second.segments.size(); ++i) {
        CheckLog(epoch, i);
      }
    }
    for (size_t i = 0; i < facts_.survey.segments.size(); ++i) {
      if (Counts(i) && IsCompacted(i)) CheckCompacted(i);
    }
    for (const MissingSegment& missing : facts_.standings.missing) {
      CheckMissing(missing);
    }
    return std::move(losses_);
  }

 private:
  using Epochs = std::map<uint64_t, EpochLog>;

  const FoundSegment& Segment(size_t i) const {
    return facts_.survey.segments[i];
  }
  const SegmentTally& Tally(size_t i) const { return facts_.tallies[i]; }
  bool Counts(size_t i) const {
    return facts_.standings.of[i] == Standing::kCounts;
  }
  bool IsCompacted(size_t i) const {
    return Segment(i).identity.kind == SegmentKind::kCompacted;
  }
  bool IsLive(size_t i) const {
    return facts_.survey.manifest_rules && !Segment(i).sealed;
  }

  void CollectEpochs() {
    for (size_t i = 0; i < facts_.survey.segments.size(); ++i) {
      if (!Counts(i) || IsCompacted(i)) continue;
      EpochLog& log = epochs_[Segment(i).identity.epoch];
      log.segments.push_back(i);
      log.durable_seq = std::max(log.durable_seq, Tally(i).durable_seq);
      if (Segment(i).sealed) {
        log.durable_seq =
            std::max(log.durable_seq, Segment(i).sealed->last_seq);
      }
    }
    for (auto& [epoch, log] : epochs_) {
      std::stable_sort(log.segments.begin(), log.segments.end(),
                       [&](size_t a, size_t b) { return First(a) < First(b); });
    }
  }

  // The first change of a log segment.
  uint64_t First(size_t i) const {
    const FoundSegment& segment = Segment(i);
    if (segment.sealed) return segment.sealed->first_seq;
    if (segment.first_seq) return *segment.first_seq;
    if (segment.head) return segment.head->databases_as_of + 1;
    const uint64_t read =
        Tally(i).read.empty() ? UINT64_MAX : Tally(i).read.first();
    return std::min(Tally(i).first_seq, read);
  }

  uint64_t LastRead(size_t i) const {
    const uint64_t read = Tally(i).read.empty() ? 0 : Tally(i).read.last();
    return std::max(Tally(i).last_seq, read);
  }

  // Whether a log segment that is gone may have stood between two.
  bool OthersBetween(size_t i, size_t next) const {
    const uint64_t from = Segment(i).identity.id;
    const uint64_t to = Segment(next).identity.id;
    for (uint64_t id = from + 1; id < to; ++id) {
      const FoundSegment* between = facts_.survey.Find(id);
      if (between == nullptr) return true;
      const auto index =
          static_cast<size_t>(between - facts_.survey.segments.data());
      if (!Counts(index)) return true;
    }
    return false;
  }

  // What is known of where a log segment ended.
  struct End {
    uint64_t last = 0;
    // More may have followed, up to here.
    uint64_t open_to = 0;
  };

  End EndOf(Epochs::const_iterator epoch, size_t place) const {
    const std::vector<size_t>& segments = epoch->second.segments;
    const size_t i = segments[place];
    if (Segment(i).sealed) return {Segment(i).sealed->last_seq, 0};
    End end{std::max(LastRead(i), First(i) - 1), 0};
    if (place + 1 < segments.size()) {
      const size_t next = segments[place + 1];
      if (!Tally(i).whole || !OthersBetween(i, next)) {
        end.last = std::max(end.last, First(next) - 1);
      }
      return end;
    }
    end.last = std::max(end.last, epoch->second.durable_seq);
    if (WasCut(i)) {
      const auto after = std::next(epoch);
      end.open_to = after == epochs_.end()
                        ? UINT64_MAX
                        : First(after->second.segments.front()) - 1;
    }
    return end;
  }

  // Whether the file became shorter than it was, in the middle of something.
  bool WasCut(size_t i) const {
    if (Tally(i).has_room_left || Segment(i).KnownBytes()) return false;
    const uint64_t bytes = Segment(i).file_bytes;
    if (IsLive(i)) {
      for (const LiveSegmentLine& line : facts_.survey.manifest->Live()) {
        if (line.id == Segment(i).identity.id) return bytes < line.bytes;
      }
    }
    return !Tally(i).ends_with_group && bytes % kBlockBytes != 0;
  }

  void CheckLog(Epochs::const_iterator epoch, size_t place) {
    const size_t i = epoch->second.segments[place];
    const End end = EndOf(epoch, place);
    const uint64_t durable =
        Segment(i).sealed ? UINT64_MAX : epoch->second.durable_seq;
    Loss loss = LossOf(i);
    Loss torn = loss;
    torn.kind = Loss::Kind::kTorn;
    uint64_t first = First(i);
    // Where the beginning is damaged, it follows what came before.
    const bool follows =
        place > 0 && !OthersBetween(epoch->second.segments[place - 1], i);
    if (follows) first = std::min(first, EndOf(epoch, place - 1).last + 1);
    const bool first_live =
        IsLive(i) && (place == 0 || !IsLive(epoch->second.segments[place - 1]));
    if (first_live) first = std::min(first, FirstOfLive());
    for (const SeqRange& range : Unread(i, {first, end.last})) {
      if (range.first > durable) {
        torn.seqs.push_back(range);
      } else if (range.last > durable) {
        loss.seqs.push_back({range.first, durable});
        torn.seqs.push_back({durable + 1, range.last});
      } else {
        loss.seqs.push_back(range);
      }
    }
    loss.last_seq_max = end.open_to;
    if (!loss.seqs.empty() || loss.last_seq_max != 0) {
      Name(Segment(i).hint, &Tally(i), &loss);
      Add(std::move(loss));
    } else if (torn.seqs.empty()) {
      AddHarmless(std::move(loss));
    }
    if (!torn.seqs.empty()) losses_.list.push_back(std::move(torn));
  }

  // The number that the first live segment begins with.
  uint64_t FirstOfLive() const {
    const Manifest& manifest = *facts_.survey.manifest;
    uint64_t next = manifest.next_seq;
    for (const SealedSegment& s : manifest.sealed) {
      if (s.epoch == manifest.epoch && s.kind == SegmentKind::kLog) {
        next = std::max(next, s.last_seq + 1);
      }
    }
    return next;
  }

  std::vector<SeqRange> Unread(size_t i, SeqRange range) const {
    std::vector<SeqRange> unread;
    if (range.first > range.last) return unread;
    for (const SeqRange& missing : Tally(i).read.MissingIn(range)) {
      for (const SeqRange& rest : facts_.rescued.MissingIn(missing)) {
        unread.push_back(rest);
      }
    }
    return unread;
  }

  Loss LossOf(size_t i) const {
    Loss loss;
    loss.file = Segment(i).files.front();
    loss.parts = Tally(i).damaged;
    return loss;
  }

  void CheckCompacted(size_t i) {
    const SegmentTally& tally = Tally(i);
    const FoundSegment& segment = Segment(i);
    const bool holds_records =
        std::any_of(tally.damaged.begin(), tally.damaged.end(),
                    [](const DamagedPart& part) { return part.holds_records; });
    Loss loss = LossOf(i);
    // Copies are counted twice.
    const bool all_read = segment.sealed && segment.files.size() == 1 &&
                          tally.records >= segment.sealed->records;
    if (tally.whole || !holds_records || all_read) {
      return AddHarmless(std::move(loss));
    }
    if (StillHasVictims(facts_.survey, facts_.standings, segment)) return;
    loss.last_seq_max = segment.sealed ? segment.sealed->last_seq
                        : segment.head ? segment.head->databases_as_of
                                       : UINT64_MAX;
    Name(segment.hint, &tally, &loss);
    Add(std::move(loss));
  }

  void CheckMissing(const MissingSegment& missing) {
    Loss loss;
    loss.kind = Loss::Kind::kMissing;
    loss.file = SegmentName(missing.id);
    loss.last_seq_max = missing.last_seq_max;
    if (missing.sealed && missing.sealed->kind == SegmentKind::kLog) {
      loss.seqs = facts_.rescued.MissingIn(
          {missing.sealed->first_seq, missing.sealed->last_seq});
      loss.last_seq_max = 0;
      if (loss.seqs.empty()) return;
    }
    Name(missing.hint, nullptr, &loss);
    Add(std::move(loss));
  }

  // Names the keys of what is lost, if a hint lists them.
  void Name(const std::optional<HintOrigin>& hint, const SegmentTally* tally,
            Loss* loss) {
    if (!hint) return;
    Versions named;
    SeqSet listed;
    uint64_t keys = 0;
    const bool whole =
        VisitHint(directory_, *hint, [&](const HintEntry& entry) {
          listed.Add(entry.seq);
          const bool read =
              tally != nullptr &&
              std::binary_search(tally->offsets.begin(), tally->offsets.end(),
                                 entry.offset);
          if (read || facts_.rescued.Contains(entry.seq)) return;
          ++keys;
          Version version;
          version.seq = entry.seq;
          version.deadline_ms = entry.deadline_ms;
          version.kind = entry.kind;
          TakeNewer(&named, PlacedKey(entry.database, entry.key), version);
        });
    if (!whole) return;
    for (auto& [key, version] : named) {
      losses_.seqs.Add(version.seq);
      TakeNewer(&losses_.named, key, version);
    }
    loss->keys_known = true;
    loss->keys = keys;
    // What else a log held is unknown if its numbers are.
    if (hint->identity.kind == SegmentKind::kLog && loss->seqs.empty()) {
      NoteUnknown({1, loss->last_seq_max});
    }
    loss->last_seq_max = 0;
    // What a hint does not list of a log is a flush or a swap.
    for (const SeqRange& range : loss->seqs) {
      for (const SeqRange& rest : listed.MissingIn(range)) {
        NoteUnknown(rest);
      }
    }
  }

  // Some lost changes may be of any key, or of all.
  void NoteUnknown(const SeqRange& range) {
    if (range.last <= facts_.databases_as_of) return;
    losses_.databases_unknown = true;
    losses_.unknown_last_seq = std::max(losses_.unknown_last_seq, range.last);
  }

  // Damage that cost no change.
  void AddHarmless(Loss loss) {
    if (loss.parts.empty()) return;
    loss.keys_known = true;
    losses_.list.push_back(std::move(loss));
  }

  void Add(Loss loss) {
    for (const SeqRange& range : loss.seqs) losses_.seqs.Add(range);
    if (!loss.keys_known) {
      for (const SeqRange& range : loss.seqs) {
        loss.last_seq_max = std::max(loss.last_seq_max, range.last);
        NoteUnknown(range);
      }
      losses_.databases_unknown |= loss.last_seq_max > facts_.databases_as_of;
      losses_.unknown_last_seq =
          std::max(losses_.unknown_last_seq, loss.last_seq_max);
    }
    losses_.list.push_back(std::move(loss));
  }

  Directory& directory_;
  const LossFacts& facts_;
  Epochs epochs_;
  Losses losses_;
};

}  // namespace

Losses FindLosses(Directory& directory, const LossFacts& facts) {
  return LossFinder(directory, facts).Run();
}

}  // namespace kvd
