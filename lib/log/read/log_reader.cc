// SPDX-License-Identifier: MIT
#include "log/read/log_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/planted_bug.h"
#include "log/read/segment_reader.h"
#include "log/read/sparse_bytes.h"
#include "log/read/tail.h"

namespace kvd {
namespace {

std::string PathOf(const Directory& directory, uint64_t id) {
  return fmt::format("{}/{}", directory.path(), SegmentName(id));
}

tl::unexpected<Error> Damaged(const Directory& directory,
                              std::string_view what) {
  return Fail(ErrorCode::kCorruption,
              "{}\n  Nothing was changed. List all damage:  kvd verify {}\n  "
              "Then copy the directory and restore it from a backup.",
              what, directory.path());
}

tl::unexpected<Error> UnknownFormat(const std::string& path) {
  return Fail(ErrorCode::kFormat,
              "{}: written in a newer format or with features that this "
              "version does not know\n  Use the version of kvd that wrote it; "
              "nothing was changed.",
              path);
}

// Whether the bytes begin like the segment that `identity` names. kBroken also
// for the intact header of another one.
HeaderOutcome CheckHeader(std::string_view bytes,
                          const SegmentIdentity& identity) {
  SegmentHeader header;
  const HeaderOutcome outcome = DecodeSegmentHeader(bytes, &header);
  if (outcome != HeaderOutcome::kHeader) return outcome;
  return header.identity == identity ? HeaderOutcome::kHeader
                                     : HeaderOutcome::kBroken;
}

// Whether the bytes are the intact beginning of a segment that `identity` does
// not name. No crash puts one there.
bool IsForeign(std::string_view bytes, const SegmentIdentity& identity) {
  SegmentHeader header;
  return DecodeSegmentHeader(bytes, &header) == HeaderOutcome::kHeader &&
         header.identity != identity;
}

// The bytes of the live segments, one after the other, with the questions that
// the decision on the tail asks.
class LiveLog {
 public:
  LiveLog(Directory& directory, const Manifest& manifest)
      : directory_(directory), manifest_(manifest) {}

  Result<void> Load() {
    for (const LiveSegmentLine& line : manifest_.Live()) {
      Result<SparseBytes> content =
          SparseBytes::Read(directory_, SegmentName(line.id));
      if (!content && content.error().code() == ErrorCode::kNotFound) {
        return Damaged(directory_,
                       fmt::format("{}: missing, and the MANIFEST names it",
                                   PathOf(directory_, line.id)));
      }
      if (!content) return Unexpected(content.error());
      segments_.push_back({line, std::move(*content)});
    }
    return {};
  }

  // Reads as far as the log is whole. `next_seq` is that of the first group.
  Result<LogTail> Read(uint64_t next_seq, const GroupVisitor& visit,
                       const SegmentDone& done) {
    LogTail tail;
    tail.last_seq = next_seq - 1;
    for (size_t i = 0; i < segments_.size(); ++i) {
      KVD_TRY_ASSIGN(const bool whole, ReadSegment(i, visit, &tail));
      done(segments_[i].content.bytes().size());
      if (!whole) break;
    }
    return tail;
  }

 private:
  struct Segment {
    LiveSegmentLine line;
    SparseBytes content;
  };

  SegmentReader ReaderOf(size_t i) const {
    const SparseBytes& content = segments_[i].content;
    SegmentReader reader(content.bytes(),
                         manifest_.IdentityOfLive(segments_[i].line.id));
    reader.set_written_end(content.written_end());
    return reader;
  }

  // True when the log may go on in the next live segment.
  Result<bool> ReadSegment(size_t i, const GroupVisitor& visit, LogTail* tail) {
    const Segment& segment = segments_[i];
    const SegmentIdentity identity = manifest_.IdentityOfLive(segment.line.id);
    const HeaderOutcome header = CheckHeader(segment.content.bytes(), identity);
    if (header == HeaderOutcome::kUnknownFormat) {
      return UnknownFormat(PathOf(directory_, segment.line.id));
    }
    if (IsForeign(segment.content.bytes(), identity)) {
      return Damaged(directory_,
                     fmt::format("{}: is not the segment which the MANIFEST "
                                 "names: its header belongs to another store, "
                                 "place or time",
                                 PathOf(directory_, segment.line.id)));
    }
    SealedSegment survivor{segment.line.id, identity.epoch};
    SegmentReader reader = ReaderOf(i);
    if (header != HeaderOutcome::kHeader) reader.Seek(0);
    Group group;
    while (true) {
      TailFacts facts;
      facts.found = reader.Next(&group);
      facts.continues = group.header.first_seq == tail->last_seq + 1;
      const bool whole = facts.found == Found::kGroup && facts.continues;
      const uint64_t at =
          facts.found == Found::kGroup ? group.header.offset : reader.offset();
      facts.goes_on =
          facts.found == Found::kNothing && GoesOnAfter(i, tail->last_seq + 1);
      facts.evidence = !whole && HasEvidence(i, at, tail->last_seq + 1);
      switch (DecideTail(facts)) {
        case Verdict::kAccept:
          Accept(group, visit, &survivor, tail);
          break;
        case Verdict::kEnd:
          KeepSurvivor(segment, reader.offset(), survivor, tail);
          CountMissing(i, tail);
          return true;
        case Verdict::kTorn:
          KeepSurvivor(segment, at, survivor, tail);
          CountTorn(i, at, tail);
          CountMissing(i, tail);
          return false;
        case Verdict::kDamaged:
          return DamagedAt(i, at, tail->last_seq + 1);
      }
    }
  }

  // Whether the next live segment begins with the change `next_seq`.
  bool GoesOnAfter(size_t i, uint64_t next_seq) const {
    if (i + 1 == segments_.size()) return false;
    if (IsPlanted(PlantedBug::kIgnoreNextSegment)) return false;
    const Segment& next = segments_[i + 1];
    if (CheckHeader(next.content.bytes(),
                    manifest_.IdentityOfLive(next.line.id)) !=
        HeaderOutcome::kHeader) {
      return false;
    }
    SegmentReader reader = ReaderOf(i + 1);
    Group group;
    return reader.Next(&group) == Found::kGroup &&
           group.header.first_seq == next_seq;
  }

  void Accept(const Group& group, const GroupVisitor& visit,
              SealedSegment* survivor, LogTail* tail) const {
    visit(group, static_cast<uint32_t>(survivor->id));
    if (survivor->first_seq == 0) survivor->first_seq = group.header.first_seq;
    survivor->records += group.records.size();
    survivor->last_seq = group.header.first_seq + group.records.size() - 1;
    tail->last_seq = survivor->last_seq;
  }

  static void KeepSurvivor(const Segment& segment, uint64_t end,
                           SealedSegment survivor, LogTail* tail) {
    if (survivor.records == 0) return;
    survivor.bytes = end;
    survivor.checksum = Checksum(segment.content.bytes().substr(0, end), 0);
    tail->survivors.push_back(survivor);
  }

  // Proof that the change `next_seq` had been durable: FORMAT.md, "Torn or
  // damaged".
  bool HasEvidence(size_t i, uint64_t from, uint64_t next_seq) const {
    if (IsPlanted(PlantedBug::kIgnoreEvidence)) return false;
    return LastDeclared(i, from) >= next_seq;
  }

  // The highest durable_seq of the intact headers from a place on; 0 for none.
  uint64_t LastDeclared(size_t i, uint64_t from) const {
    uint64_t declared = 0;
    ForEachHeader(i, from, [&](const GroupHeader& header) {
      declared = std::max(declared, header.durable_seq);
    });
    return declared;
  }

  template <typename Each>
  void ForEachHeader(size_t i, uint64_t from, Each each) const {
    for (; i < segments_.size(); ++i, from = 0) {
      const SegmentReader reader = ReaderOf(i);
      while (auto header = reader.FindHeader(from)) {
        each(*header);
        // Not behind its body: what stands there may be damaged, too.
        from = header->offset + kGroupAlignment;
      }
    }
  }

  // Live segments were made at their full size: no crash shortens them.
  void CountMissing(size_t i, LogTail* tail) const {
    const Segment& segment = segments_[i];
    if (segment.content.file_bytes() >= segment.line.bytes) return;
    tail->torn_bytes += segment.line.bytes - segment.content.file_bytes();
    if (tail->torn_at.empty()) {
      tail->torn_at =
          fmt::format("{} at offset {}", PathOf(directory_, segment.line.id),
                      segment.content.file_bytes());
    }
  }

  void CountTorn(size_t i, uint64_t at, LogTail* tail) const {
    tail->torn_at = fmt::format("{} at offset {}",
                                PathOf(directory_, segments_[i].line.id), at);
    ForEachHeader(i, at, [&](const GroupHeader& header) {
      tail->torn_records += header.records;
    });
    for (uint64_t from = at; i < segments_.size(); ++i, from = 0) {
      SegmentReader reader = ReaderOf(i);
      reader.Seek(from);
      tail->torn_bytes += reader.LastWrittenByte() - from;
    }
  }

  tl::unexpected<Error> DamagedAt(size_t i, uint64_t at,
                                  uint64_t next_seq) const {
    return Damaged(
        directory_,
        fmt::format(
            "{}: damaged at offset {}: changes {} to {}, which had been "
            "durable, cannot be read",
            PathOf(directory_, segments_[i].line.id), at, next_seq,
            LastDeclared(i, at)));
  }

  Directory& directory_;
  const Manifest& manifest_;
  std::vector<Segment> segments_;
};

// Walks a sealed segment whose bytes were read.
class SealedWalk {
 public:
  SealedWalk(Directory& directory, const SegmentIdentity& identity,
             const SealedSegment& segment, const GroupVisitor& visit,
             const std::function<void(const std::string&)>& report)
      : path_(PathOf(directory, segment.id)),
        identity_(identity),
        segment_(segment),
        visit_(visit),
        report_(report) {}

  bool Walk(std::string_view bytes) {
    if (CheckHeader(bytes, identity_) != HeaderOutcome::kHeader) {
      Report(
          "its header is not that of the segment which the MANIFEST names; "
          "up to {} records are affected",
          segment_.records);
      return false;
    }
    WalkGroups(bytes);
    if (clean_ &&
        (records_ != segment_.records || first_ != segment_.first_seq ||
         last_ != segment_.last_seq)) {
      Report("holds {} records, {} to {}; the MANIFEST says {}, {} to {}",
             records_, first_, last_, segment_.records, segment_.first_seq,
             segment_.last_seq);
    }
    if (clean_ && Checksum(bytes, 0) != segment_.checksum) {
      Report("wrong checksum of the whole, although each record is intact");
    }
    return clean_;
  }

 private:
  template <typename... Args>
  void Report(fmt::format_string<Args...> format, Args&&... args) {
    clean_ = false;
    report_(path_ + ": " + fmt::format(format, std::forward<Args>(args)...));
  }

  void WalkGroups(std::string_view bytes) {
    SegmentReader reader(bytes, identity_);
    Group group;
    while (true) {
      TailFacts facts;
      facts.sealed = true;
      facts.at_sealed_end = reader.offset() == segment_.bytes;
      const uint64_t at = reader.offset();
      facts.found = reader.Next(&group);
      facts.continues = Continues(group.header);
      const Verdict verdict = DecideTail(facts);
      if (verdict == Verdict::kEnd) return;
      if (verdict == Verdict::kAccept) {
        Accept(group);
      } else if (!SkipDamage(&reader, at)) {
        return;
      }
    }
  }

  bool Continues(const GroupHeader& header) const {
    return identity_.kind == SegmentKind::kCompacted || last_ == 0 ||
           header.first_seq == last_ + 1;
  }

  void Accept(const Group& group) {
    visit_(group, static_cast<uint32_t>(segment_.id));
    for (const Record& record : group.records) {
      first_ = first_ == 0 ? record.seq : std::min(first_, record.seq);
      last_ = std::max(last_, record.seq);
    }
    records_ += group.records.size();
  }

  // Goes on at the next intact header; false when there is none.
  bool SkipDamage(SegmentReader* reader, uint64_t at) {
    const auto next = reader->FindHeader(at + kGroupAlignment);
    if (!next || next->offset >= segment_.bytes) {
      Report("damaged at offset {}: {} of {} records cannot be read", at,
             segment_.records - std::min(segment_.records, records_),
             segment_.records);
      return false;
    }
    Report("damaged from offset {} to {}: changes {} to {} cannot be read", at,
           next->offset, std::max(last_ + 1, segment_.first_seq),
           next->first_seq - 1);
    last_ = next->first_seq - 1;
    reader->Seek(next->offset);
    return true;
  }

  std::string path_;
  SegmentIdentity identity_;
  const SealedSegment& segment_;
  const GroupVisitor& visit_;
  const std::function<void(const std::string&)>& report_;
  bool clean_ = true;
  uint64_t records_ = 0;
  uint64_t first_ = 0;
  uint64_t last_ = 0;
};

}  // namespace

namespace {

using Report = std::function<void(const std::string&)>;

constexpr uint64_t kScanReadBytes = uint64_t{64} << 10;

// Reads a file as far as the device gives it. For what it does not give there
// are zeros, and a report of each place.
class ReadableBytes {
 public:
  ReadableBytes(File& file, const std::string& path, const Report& report)
      : file_(file), path_(path), report_(report) {}

  Result<std::string> Read() {
    KVD_TRY_ASSIGN(const uint64_t size, file_.Size());
    bytes_.assign(size, '\0');
    for (uint64_t at = 0; at < size; at += kScanReadBytes) {
      if (ReadBlocks(at, kScanReadBytes)) continue;
      for (uint64_t block = at; block < std::min(size, at + kScanReadBytes);
           block += kBlockBytes) {
        const Result<void> read = ReadBlocks(block, kBlockBytes);
        if (read) continue;
        if (read.error().code() != ErrorCode::kIo) {
          return Unexpected(read.error());
        }
        NoteGap(block, read.error());
      }
    }
    ReportGap();
    return std::move(bytes_);
  }

 private:
  Result<void> ReadBlocks(uint64_t at, uint64_t size) {
    const std::span<char> out(bytes_.data() + at,
                              std::min(size, bytes_.size() - at));
    KVD_TRY_ASSIGN(const size_t got, file_.ReadAt(at, out));
    std::fill(out.begin() + static_cast<ptrdiff_t>(got), out.end(), '\0');
    return {};
  }

  void NoteGap(uint64_t block, const Error& error) {
    if (gap_end_ == 0 || gap_end_ != block) {
      ReportGap();
      gap_begin_ = block;
      why_ = std::generic_category().message(error.sys_errno());
    }
    gap_end_ = block + kBlockBytes;
  }

  void ReportGap() {
    if (gap_end_ == 0) return;
    report_(fmt::format("{}: bytes {} to {} cannot be read: {}", path_,
                        gap_begin_,
                        std::min<uint64_t>(gap_end_, bytes_.size()) - 1, why_));
    gap_end_ = 0;
  }

  File& file_;
  const std::string& path_;
  const Report& report_;
  std::string bytes_;
  uint64_t gap_begin_ = 0;
  uint64_t gap_end_ = 0;  // 0: there is none.
  std::string why_;
};

Result<std::string> ReadReadable(Directory& directory, std::string_view name,
                                 const std::string& path,
                                 const Report& report) {
  KVD_TRY_ASSIGN(const std::unique_ptr<File> file,
                 directory.Open(name, Directory::OpenMode::kRead));
  return ReadableBytes(*file, path, report).Read();
}

}  // namespace

Result<bool> ReadSealedSegment(
    Directory& directory, const Manifest& manifest,
    const SealedSegment& segment, const GroupVisitor& visit,
    const std::function<void(const std::string&)>& report) {
  const std::string path = PathOf(directory, segment.id);
  const Result<std::string> bytes =
      ReadReadable(directory, SegmentName(segment.id), path, report);
  if (!bytes && bytes.error().code() == ErrorCode::kNotFound) {
    report(fmt::format("{}: missing; {} records are affected", path,
                       segment.records));
    return false;
  }
  if (!bytes && bytes.error().code() == ErrorCode::kIo) {
    report(fmt::format("{}; {} records are affected", bytes.error().message(),
                       segment.records));
    return false;
  }
  if (!bytes) return Unexpected(bytes.error());
  SegmentHeader header;
  if (DecodeSegmentHeader(*bytes, &header) == HeaderOutcome::kUnknownFormat) {
    return UnknownFormat(path);
  }
  if (bytes->size() < segment.bytes) {
    report(fmt::format("{}: {} bytes long, the MANIFEST says {}", path,
                       bytes->size(), segment.bytes));
    return false;
  }
  return SealedWalk(directory, manifest.IdentityOf(segment), segment, visit,
                    report)
      .Walk(std::string_view(*bytes).substr(0, segment.bytes));
}

Result<void> CheckSealedSegment(Directory& directory, const Manifest& manifest,
                                const SealedSegment& segment,
                                const GroupVisitor& visit) {
  std::string first_damage;
  const auto report = [&](const std::string& damage) {
    if (first_damage.empty()) first_damage = damage;
  };
  KVD_TRY_ASSIGN(const bool clean, ReadSealedSegment(directory, manifest,
                                                     segment, visit, report));
  if (!clean) return Damaged(directory, first_damage);
  return {};
}

Result<LogTail> ReadLiveSegments(Directory& directory, const Manifest& manifest,
                                 const GroupVisitor& visit,
                                 const SegmentDone& done) {
  uint64_t last_seq = 0;
  uint64_t next_seq = manifest.next_seq;
  for (const SealedSegment& segment : manifest.sealed) {
    last_seq = std::max(last_seq, segment.last_seq);
    if (segment.epoch == manifest.epoch && segment.kind == SegmentKind::kLog) {
      next_seq = std::max(next_seq, segment.last_seq + 1);
    }
  }
  LiveLog live(directory, manifest);
  KVD_TRY(live.Load());
  KVD_TRY_ASSIGN(LogTail tail, live.Read(next_seq, visit, done));
  if (tail.survivors.empty()) tail.last_seq = last_seq;
  return tail;
}

namespace {

constexpr uint64_t kSurvivorReadBytes = uint64_t{64} << 10;

// Reads a survivor piece by piece and hands each piece to `use`. What its file
// lacks of the last group's padding is zeros. An error if it is not what was
// replayed.
template <typename Use>
Result<void> ReadSurvivor(Directory& directory, const SealedSegment& survivor,
                          File& file, Use use) {
  StreamingChecksum checksum(0);
  for (uint64_t offset = 0; offset < survivor.bytes;
       offset += kSurvivorReadBytes) {
    std::string piece(std::min(kSurvivorReadBytes, survivor.bytes - offset),
                      '\0');
    KVD_TRY(file.ReadAt(offset, piece));
    checksum.Update(piece);
    KVD_TRY(use(offset, piece));
  }
  if (checksum.Digest() == survivor.checksum) return {};
  return Damaged(directory, fmt::format("{}: changed between two readings",
                                        PathOf(directory, survivor.id)));
}

}  // namespace

// Nothing is written before all of a survivor has been read as it was.
Result<void> RewriteSurvivors(Directory& directory, const LogTail& tail) {
  for (const SealedSegment& survivor : tail.survivors) {
    KVD_TRY_ASSIGN(const std::unique_ptr<File> file,
                   directory.Open(SegmentName(survivor.id),
                                  Directory::OpenMode::kReadWrite));
    KVD_TRY(ReadSurvivor(
        directory, survivor, *file,
        [](uint64_t, const std::string&) { return Result<void>(); }));
    KVD_TRY(ReadSurvivor(directory, survivor, *file,
                         [&](uint64_t offset, const std::string& piece) {
                           return file->WriteAt(offset, piece);
                         }));
    KVD_TRY(file->Sync());
  }
  return {};
}

Result<bool> HasSegments(Directory& directory) {
  KVD_TRY_ASSIGN(const std::vector<std::string> names, directory.List());
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return SegmentIdOf(name).has_value();
  });
}

namespace {

// The first bytes of a file, or all if it has fewer.
Result<std::string> ReadFront(File& file, uint64_t bytes) {
  KVD_TRY_ASSIGN(const uint64_t file_bytes, file.Size());
  std::string front(std::min(bytes, file_bytes), '\0');
  KVD_TRY_ASSIGN(const size_t got, file.ReadAt(0, front));
  front.resize(got);
  return front;
}

// Whether a whole group stands at the beginning of a segment.
Result<bool> BeginsWithGroup(File& file, const SegmentIdentity& identity) {
  KVD_TRY_ASSIGN(const std::string front,
                 ReadFront(file, kSegmentHeaderBytes + kGroupHeaderBytes));
  const auto header =
      DecodeGroupHeader(front, kSegmentHeaderBytes, identity.Seed());
  if (!header) return false;
  KVD_TRY_ASSIGN(const std::string bytes, ReadFront(file, header->End()));
  SegmentReader reader(bytes, identity);
  Group group;
  return reader.Next(&group) == Found::kGroup;
}

// Whether a segment that the MANIFEST does not name may go. Most are prepared
// ones, so that only what tells is read.
Result<void> CheckLeftover(Directory& directory, const Manifest& manifest,
                           const std::string& name, uint64_t id) {
  KVD_TRY_ASSIGN(const std::unique_ptr<File> file,
                 directory.Open(name, Directory::OpenMode::kRead));
  KVD_TRY_ASSIGN(const std::string front,
                 ReadFront(*file, kSegmentHeaderBytes));
  const std::string path = PathOf(directory, id);
  SegmentHeader header;
  const HeaderOutcome outcome = DecodeSegmentHeader(front, &header);
  if (outcome == HeaderOutcome::kBlank) return {};
  if (outcome == HeaderOutcome::kUnknownFormat) return UnknownFormat(path);
  if (outcome == HeaderOutcome::kHeader &&
      (header.identity.uuid != manifest.uuid || header.identity.id != id)) {
    return Damaged(directory,
                   fmt::format("{}: belongs to another store or place; move it "
                               "out of the directory",
                               path));
  }
  // The MANIFEST knew it and has dropped it.
  if (id < manifest.next_segment) return {};
  if (outcome == HeaderOutcome::kBroken) {
    return Damaged(directory,
                   fmt::format("{}: not named in the MANIFEST, and neither "
                               "empty nor a segment of this store; move it "
                               "out of the directory if it is not needed",
                               path));
  }
  if (header.identity.kind == SegmentKind::kCompacted) return {};
  KVD_TRY_ASSIGN(const bool holds_changes,
                 BeginsWithGroup(*file, header.identity));
  if (!holds_changes) return {};
  return Damaged(directory,
                 fmt::format("{}: holds changes from {} on, and the MANIFEST "
                             "does not name it: the MANIFEST is older than the "
                             "log",
                             path, header.first_seq));
}

}  // namespace

Result<std::vector<std::string>> FindLeftovers(Directory& directory,
                                               const Manifest& manifest) {
  KVD_TRY_ASSIGN(const std::vector<std::string> names, directory.List());
  std::vector<std::string> leftovers;
  for (const std::string& name : names) {
    if (const auto hint = HintIdOf(name); hint && !manifest.Names(*hint)) {
      leftovers.push_back(name);
    }
    const std::optional<uint64_t> id = SegmentIdOf(name);
    if (!id || manifest.Names(*id)) continue;
    KVD_TRY(CheckLeftover(directory, manifest, name, *id));
    leftovers.push_back(name);
  }
  return leftovers;
}

}  // namespace kvd
