// SPDX-License-Identifier: MIT
#include "salvage/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/coding.h"
#include "log/read/damage.h"
#include "salvage/readable_file.h"

namespace kvd {
namespace {

constexpr std::string_view kSegmentEnding = ".seg";
constexpr uint64_t kEndGroupBytes =
    kGroupHeaderBytes + 16;  // FORMAT.md, "Head and end".
// Group headers that are tried to tell whose file it is that lost its own.
constexpr int kHeadersTried = 64;

// Names the stores and segments that a file without a header may be part of.
struct Candidates {
  std::set<StoreUuid> uuids;
  std::set<uint64_t> ids;
};

// What the file tells about itself.
struct FileFacts {
  enum class Kind { kSegment, kBlank, kUnreadable };
  Kind kind = Kind::kUnreadable;
  SegmentIdentity identity;
  std::optional<uint64_t> first_seq;  // With an intact header alone.
  uint64_t bytes = 0;
  std::optional<SegmentHead> head;
  std::optional<bool> ends_job;
};

std::optional<GroupHeader> GroupIn(std::string_view bytes, uint64_t at,
                                   const SegmentIdentity& identity) {
  auto header = DecodeGroupHeader(bytes, at, identity.Seed(), at);
  if (header && header->epoch != identity.epoch) header.reset();
  return header;
}

Result<void> ReadHead(ReadableFile& file, FileFacts* facts) {
  KVD_TRY_ASSIGN(std::string_view bytes,
                 file.At(kSegmentHeaderBytes, kGroupHeaderBytes));
  const auto header = GroupIn(bytes, kSegmentHeaderBytes, facts->identity);
  if (!header || header->kind != GroupKind::kHead) return {};
  KVD_TRY_ASSIGN(bytes, file.At(kSegmentHeaderBytes + kGroupHeaderBytes,
                                header->body_bytes));
  facts->head = DecodeSegmentHead(bytes, facts->identity.Seed());
  return {};
}

Result<void> ReadEnd(ReadableFile& file, FileFacts* facts) {
  if (file.size() < kSegmentHeaderBytes + kEndGroupBytes) return {};
  const uint64_t at = file.size() - kEndGroupBytes;
  KVD_TRY_ASSIGN(const std::string_view bytes, file.At(at, kEndGroupBytes));
  const auto header = GroupIn(bytes, at, facts->identity);
  if (!header || header->kind != GroupKind::kEnd) return {};
  facts->ends_job =
      DecodeSegmentEnd(bytes.substr(kGroupHeaderBytes), facts->identity.Seed());
  return {};
}

// Whose group this is, if it is one.
std::optional<SegmentIdentity> OwnerOf(std::string_view bytes, uint64_t at,
                                       const Candidates& candidates) {
  SegmentIdentity identity;
  identity.epoch = LoadLe<uint64_t>(bytes.data() + 16);
  for (const StoreUuid& uuid : candidates.uuids) {
    for (const uint64_t id : candidates.ids) {
      identity.uuid = uuid;
      identity.id = id;
      const auto group = DecodeGroupHeader(bytes, at, identity.Seed(), at);
      if (!group) continue;
      // Nothing else is known of the kind here; nothing in a compacted one is
      // declared durable.
      identity.kind =
          group->durable_seq == 0 ? SegmentKind::kCompacted : SegmentKind::kLog;
      return identity;
    }
  }
  return std::nullopt;
}

// By its groups, whose headers tell place and epoch; id and store are tried.
Result<std::optional<SegmentIdentity>> FindOwner(ReadableFile& file,
                                                 const Candidates& candidates) {
  constexpr std::string_view kMagic = "KVDG";
  int tried = 0;
  for (uint64_t at = 0; at + kGroupHeaderBytes <= file.size();
       at += kGroupAlignment) {
    KVD_TRY_ASSIGN(const std::string_view bytes,
                   file.At(at, kGroupHeaderBytes));
    if (!bytes.starts_with(kMagic) ||
        LoadLe<uint64_t>(bytes.data() + 8) != at) {
      continue;
    }
    const auto owner = OwnerOf(bytes, at, candidates);
    if (owner || ++tried == kHeadersTried) return owner;
  }
  return std::nullopt;
}

// Reads a file's own header. kFormat for that of another version.
Result<FileFacts> ReadFacts(const Directory& directory, const std::string& name,
                            ReadableFile& file) {
  FileFacts facts;
  facts.bytes = file.size();
  KVD_TRY_ASSIGN(const std::string_view bytes, file.At(0, kSegmentHeaderBytes));
  SegmentHeader header;
  switch (DecodeSegmentHeader(bytes, &header)) {
    case HeaderOutcome::kHeader:
      facts.kind = FileFacts::Kind::kSegment;
      facts.identity = header.identity;
      facts.first_seq = header.first_seq;
      break;
    case HeaderOutcome::kUnknownFormat:
      return FailNewerFormat(fmt::format("{}/{}", directory.path(), name));
    case HeaderOutcome::kBlank: {
      KVD_TRY_ASSIGN(const uint64_t written, file.SkipZeros(0, file.size()));
      if (written == file.size()) facts.kind = FileFacts::Kind::kBlank;
      break;
    }
    case HeaderOutcome::kBroken:
      break;
  }
  return facts;
}

class Surveyor {
 public:
  explicit Surveyor(Directory& directory) : directory_(directory) {}

  Result<Survey> Run() {
    KVD_TRY_ASSIGN(names_, directory_.List());
    std::sort(names_.begin(), names_.end());
    KVD_TRY(ReadManifest());
    KVD_TRY(ReadHints());
    KVD_TRY(ReadFiles());
    ChooseStore();
    KVD_TRY(IdentifyRest());
    for (auto& [name, facts] : files_) Place(name, std::move(facts));
    if (survey_.segments.empty() && !survey_.manifest) {
      return Fail(ErrorCode::kCorruption,
                  "{}: no trace of a store: neither a MANIFEST nor a segment "
                  "in which anything can be read",
                  directory_.path());
    }
    for (FoundSegment& segment : survey_.segments) AddFacts(&segment);
    JudgeManifest();
    return std::move(survey_);
  }

 private:
  Result<void> ReadManifest() {
    const Result<std::string> text = ReadWholeFile(directory_, kManifestName);
    if (!text && text.error().code() == ErrorCode::kNotFound) {
      survey_.manifest_trouble = "missing";
      return {};
    }
    if (!text && text.error().code() != ErrorCode::kIo) {
      return Unexpected(text.error());
    }
    if (!text) {
      survey_.manifest_trouble = "cannot be read";
      return {};
    }
    const LooseManifest loose = ReadManifestLoosely(*text);
    if (loose.has_uuid) candidates_.uuids.insert(loose.manifest.uuid);
    Result<Manifest> manifest = DecodeManifest(
        *text, fmt::format("{}/{}", directory_.path(), kManifestName));
    if (manifest) {
      survey_.manifest = std::move(*manifest);
      for (const SealedSegment& s : survey_.manifest->sealed) {
        candidates_.ids.insert(s.id);
      }
    } else if (manifest.error().code() == ErrorCode::kFormat) {
      // One bit makes it so. Segments of another format are refused later.
      survey_.manifest_trouble = "of another format";
    } else {
      survey_.manifest_trouble = "damaged";
    }
    return {};
  }

  Result<void> ReadHints() {
    for (const std::string& name : names_) {
      const auto id = HintIdOf(name);
      if (!id) continue;
      const Result<HintOrigin> origin = ReadHintOrigin(directory_, *id);
      if (!origin) continue;
      candidates_.uuids.insert(origin->identity.uuid);
      survey_.hints.emplace(*id, *origin);
    }
    return {};
  }

  Result<void> ReadFiles() {
    for (const std::string& name : names_) {
      if (!name.ends_with(kSegmentEnding)) continue;
      if (const auto id = SegmentIdOf(name)) candidates_.ids.insert(*id);
      auto file = ReadableFile::Open(directory_, name);
      if (!file && file.error().code() == ErrorCode::kIo) {
        files_.emplace_back(name, FileFacts{});
        continue;
      }
      // Not a regular file, say; or a running kvd has removed it.
      if (!file && (file.error().code() == ErrorCode::kInvalid ||
                    file.error().code() == ErrorCode::kNotFound)) {
        continue;
      }
      if (!file) return Unexpected(file.error());
      KVD_TRY_ASSIGN(FileFacts facts, ReadFacts(directory_, name, *file));
      if (facts.kind == FileFacts::Kind::kSegment) {
        candidates_.uuids.insert(facts.identity.uuid);
        candidates_.ids.insert(facts.identity.id);
        ++stores_[facts.identity.uuid];
      }
      files_.emplace_back(name, std::move(facts));
    }
    return {};
  }

  // The MANIFEST's store; without one, that of most segments.
  void ChooseStore() {
    if (survey_.manifest) {
      survey_.uuid = survey_.manifest->uuid;
      return;
    }
    int most = 0;
    if (!candidates_.uuids.empty()) survey_.uuid = *candidates_.uuids.begin();
    for (const auto& [uuid, segments] : stores_) {
      if (segments <= most) continue;
      most = segments;
      survey_.uuid = uuid;
    }
  }

  // Of files whose header says nothing; and what stands in all of them.
  Result<void> IdentifyRest() {
    for (auto& [name, facts] : files_) {
      if (facts.kind == FileFacts::Kind::kBlank || facts.bytes == 0) continue;
      auto file = ReadableFile::Open(directory_, name);
      if (!file) continue;
      if (facts.kind == FileFacts::Kind::kUnreadable) {
        KVD_TRY_ASSIGN(const auto owner, FindOwner(*file, candidates_));
        if (!owner) continue;
        facts.kind = FileFacts::Kind::kSegment;
        facts.identity = *owner;
      }
      KVD_TRY(ReadHead(*file, &facts));
      KVD_TRY(ReadEnd(*file, &facts));
      if (!facts.first_seq && facts.head) {
        facts.identity.kind =
            facts.head->job != 0 ? SegmentKind::kCompacted : SegmentKind::kLog;
      }
    }
    return {};
  }

  void Place(const std::string& name, FileFacts facts) {
    if (facts.kind != FileFacts::Kind::kSegment) {
      const bool blank = facts.kind == FileFacts::Kind::kBlank;
      survey_.strays.push_back({name, blank ? StrayFile::Kind::kBlank
                                            : StrayFile::Kind::kUnreadable});
      return;
    }
    if (facts.identity.uuid != survey_.uuid) {
      survey_.strays.push_back({name, StrayFile::Kind::kForeign});
      return;
    }
    FoundSegment& segment = SegmentOf(facts.identity);
    const bool named = name == SegmentName(facts.identity.id);
    if (segment.files.empty() || named) segment.file_bytes = facts.bytes;
    segment.files.insert(named ? segment.files.begin() : segment.files.end(),
                         name);
    if (facts.first_seq) {
      segment.header_intact = true;
      segment.first_seq = facts.first_seq;
      segment.identity.kind = facts.identity.kind;
    }
    if (facts.head) segment.head = std::move(facts.head);
    if (facts.ends_job) segment.ends_job = facts.ends_job;
  }

  FoundSegment& SegmentOf(const SegmentIdentity& identity) {
    const auto place = std::lower_bound(
        survey_.segments.begin(), survey_.segments.end(), identity,
        [](const FoundSegment& segment, const SegmentIdentity& than) {
          return std::tie(segment.identity.id, segment.identity.epoch) <
                 std::tie(than.id, than.epoch);
        });
    if (place != survey_.segments.end() && place->identity.id == identity.id &&
        place->identity.epoch == identity.epoch) {
      return *place;
    }
    FoundSegment segment;
    segment.identity = identity;
    return *survey_.segments.insert(place, std::move(segment));
  }

  void AddFacts(FoundSegment* segment) {
    SegmentIdentity& identity = segment->identity;
    if (survey_.manifest) {
      for (const SealedSegment& s : survey_.manifest->sealed) {
        if (s.id != identity.id || s.epoch != identity.epoch) continue;
        segment->sealed = s;
        identity.kind = s.kind;
      }
    }
    const auto hint = survey_.HintOf(identity.id);
    if (!hint || hint->identity.epoch != identity.epoch) return;
    segment->hint = hint;
    if (!segment->header_intact) identity.kind = hint->identity.kind;
  }

  void JudgeManifest() {
    if (!survey_.manifest) return;
    for (const FoundSegment& segment : survey_.segments) {
      if (segment.identity.id < survey_.manifest->next_segment &&
          segment.identity.epoch <= survey_.manifest->epoch) {
        continue;
      }
      survey_.manifest_trouble = fmt::format(
          "older than {}, which it does not know", segment.files.front());
      return;
    }
    survey_.manifest_rules = true;
  }

  Directory& directory_;
  Survey survey_;
  std::vector<std::string> names_;
  Candidates candidates_;
  std::map<StoreUuid, int> stores_;
  std::vector<std::pair<std::string, FileFacts>> files_;
};

}  // namespace

std::optional<uint64_t> FoundSegment::KnownBytes() const {
  if (sealed) return sealed->bytes;
  if (hint) return hint->segment_bytes;
  return std::nullopt;
}

std::optional<HintOrigin> Survey::HintOf(uint64_t id) const {
  const auto hint = hints.find(id);
  if (hint == hints.end() || hint->second.identity.uuid != uuid) {
    return std::nullopt;
  }
  return hint->second;
}

const FoundSegment* Survey::Find(uint64_t id) const {
  for (const FoundSegment& segment : segments) {
    if (segment.identity.id == id) return &segment;
  }
  return nullptr;
}

bool VisitHint(Directory& directory, const HintOrigin& origin,
               const HintVisitor& visit) {
  SealedSegment segment;
  segment.id = origin.identity.id;
  segment.epoch = origin.identity.epoch;
  segment.kind = origin.identity.kind;
  segment.bytes = origin.segment_bytes;
  segment.checksum = origin.segment_checksum;
  segment.records = origin.entries;
  segment.last_seq = kSeqMax;
  Result<HintReader> hint =
      HintReader::Open(directory, origin.identity.uuid, segment);
  if (!hint) return false;
  for (size_t block = 0; block < hint->blocks(); ++block) {
    if (!hint->ReadBlock(block, visit)) return false;
  }
  return true;
}

Result<Survey> SurveyDirectory(Directory& directory) {
  return Surveyor(directory).Run();
}

}  // namespace kvd
