// SPDX-License-Identifier: MIT
#include "log/format/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/planted_bug.h"
#include "log/format/advice.h"

namespace kvd {
namespace {

constexpr std::string_view kFirstLine = "kvd-manifest 2";
constexpr std::string_view kFirstWord = "kvd-manifest ";
constexpr size_t kFirstWordsShown = 40;
constexpr std::string_view kChecksumWord = "checksum ";
constexpr size_t kChecksumLineBytes = kChecksumWord.size() + 16 + 1;

std::string_view FolderOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? "." : path.substr(0, slash);
}

std::string Hex(const StoreUuid& uuid) {
  std::string hex;
  for (uint8_t byte : uuid) hex += fmt::format("{:02x}", byte);
  return hex;
}

std::string_view NameOf(SegmentKind kind) {
  return kind == SegmentKind::kLog ? "log" : "compacted";
}

std::string ChecksumLine(std::string_view facts) {
  return fmt::format("{}{:016x}\n", kChecksumWord, Checksum(facts, 0));
}

// Reads one line's words: literals that must be there, and values.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) {}

  std::string_view Word() {
    const size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (word.empty()) ok_ = false;
    return word;
  }
  void Literal(std::string_view expected) {
    if (Word() != expected) ok_ = false;
  }
  uint64_t Number(int base = 10) {
    const std::string_view word = Word();
    uint64_t value = 0;
    const char* end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, value, base);
    if (error != std::errc() || stop != end) ok_ = false;
    return value;
  }
  uint64_t Number(uint64_t most) {
    const uint64_t value = Number();
    if (value > most) ok_ = false;
    return std::min(value, most);
  }
  void Uuid(StoreUuid* uuid) {
    const std::string_view word = Word();
    if (word.size() != 32) {
      ok_ = false;
      return;
    }
    for (size_t i = 0; i < uuid->size(); ++i) {
      const char* at = word.data() + 2 * i;
      const auto [stop, error] = std::from_chars(at, at + 2, (*uuid)[i], 16);
      if (error != std::errc() || stop != at + 2) ok_ = false;
    }
  }
  bool YesNo() {
    const std::string_view word = Word();
    if (word != "yes" && word != "no") ok_ = false;
    return word == "yes";
  }
  SegmentKind Kind() {
    const std::string_view word = Word();
    if (word != "log" && word != "compacted") ok_ = false;
    return word == "log" ? SegmentKind::kLog : SegmentKind::kCompacted;
  }
  bool Done() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

SealedSegment ReadSealed(Line* line) {
  SealedSegment segment;
  segment.id = line->Number();
  line->Literal("epoch");
  segment.epoch = line->Number();
  line->Literal("kind");
  segment.kind = line->Kind();
  line->Literal("bytes");
  segment.bytes = line->Number();
  line->Literal("records");
  segment.records = line->Number();
  line->Literal("first");
  segment.first_seq = line->Number();
  line->Literal("last");
  segment.last_seq = line->Number();
  line->Literal("checksum");
  segment.checksum = line->Number(16);
  return segment;
}

LiveSegmentLine ReadLive(Line* line) {
  LiveSegmentLine segment;
  segment.id = line->Number();
  line->Literal("bytes");
  segment.bytes = line->Number();
  return segment;
}

void ReadDatabase(Line* line, DatabaseMap* databases) {
  constexpr uint64_t kLast = kInternalDatabases - 1;
  const uint64_t client = line->Number(kLast);
  line->Literal("internal");
  const uint64_t internal = line->Number(kLast);
  line->Literal("flushed");
  databases->internal[client] = static_cast<uint8_t>(internal);
  databases->flushed[internal] = line->Number();
}

bool ReadLine(std::string_view text, Manifest* manifest) {
  Line line(text);
  const std::string_view word = line.Word();
  if (word == "features") {
    manifest->features = line.Number();
  } else if (word == "uuid") {
    line.Uuid(&manifest->uuid);
  } else if (word == "epoch") {
    manifest->epoch = line.Number();
  } else if (word == "next-segment") {
    manifest->next_segment = line.Number();
  } else if (word == "next-seq") {
    manifest->next_seq = line.Number(kSeqMax);
  } else if (word == "floor") {
    manifest->history_floor = line.Number();
  } else if (word == "clean") {
    manifest->clean = line.YesNo();
  } else if (word == "databases-as-of") {
    manifest->databases_as_of = line.Number();
  } else if (word == "database") {
    ReadDatabase(&line, &manifest->databases);
  } else if (word == "active") {
    manifest->active = ReadLive(&line);
  } else if (word == "prepared") {
    manifest->prepared = ReadLive(&line);
  } else if (word == "sealed") {
    manifest->sealed.push_back(ReadSealed(&line));
  } else {
    return false;
  }
  return line.Done();
}

}  // namespace

void DatabaseMap::Apply(const Record& record) {
  if (record.kind == RecordKind::kFlush) {
    flushed[record.database] = record.seq;
  } else if (record.kind == RecordKind::kSwap) {
    std::swap(internal[record.database], internal[NumberIn(record)]);
  }
}

bool DatabaseMap::IsPermutation() const {
  uint32_t seen = 0;
  for (const uint8_t number : internal) seen |= uint32_t{1} << number;
  return seen == (uint32_t{1} << kInternalDatabases) - 1;
}

std::vector<LiveSegmentLine> Manifest::Live() const {
  std::vector<LiveSegmentLine> live;
  if (active) live.push_back(*active);
  if (prepared) live.push_back(*prepared);
  return live;
}

bool Manifest::Names(uint64_t id) const {
  return (active && active->id == id) || (prepared && prepared->id == id) ||
         std::any_of(sealed.begin(), sealed.end(),
                     [id](const SealedSegment& s) { return s.id == id; });
}

SegmentIdentity Manifest::IdentityOf(const SealedSegment& segment) const {
  return {uuid, segment.id, segment.epoch, segment.kind};
}

SegmentIdentity Manifest::IdentityOfLive(uint64_t id) const {
  return {uuid, id, epoch, SegmentKind::kLog};
}

std::string EncodeManifest(const Manifest& manifest) {
  std::string text;
  auto out = std::back_inserter(text);
  fmt::format_to(out, "{}\nfeatures {}\nuuid {}\nepoch {}\n", kFirstLine,
                 manifest.features, Hex(manifest.uuid), manifest.epoch);
  fmt::format_to(out, "next-segment {}\nnext-seq {}\nfloor {}\nclean {}\n",
                 manifest.next_segment, manifest.next_seq,
                 manifest.history_floor, manifest.clean ? "yes" : "no");
  fmt::format_to(out, "databases-as-of {}\n", manifest.databases_as_of);
  const DatabaseMap& map = manifest.databases;
  for (size_t i = 0; i < map.internal.size(); ++i) {
    const uint8_t internal = map.internal[i];
    if (internal == i && map.flushed[internal] == 0) continue;
    fmt::format_to(out, "database {} internal {} flushed {}\n", i, internal,
                   map.flushed[internal]);
  }
  if (manifest.active) {
    fmt::format_to(out, "active {} bytes {}\n", manifest.active->id,
                   manifest.active->bytes);
  }
  if (manifest.prepared) {
    fmt::format_to(out, "prepared {} bytes {}\n", manifest.prepared->id,
                   manifest.prepared->bytes);
  }
  for (const SealedSegment& s : manifest.sealed) {
    fmt::format_to(out,
                   "sealed {} epoch {} kind {} bytes {} records {} first {} "
                   "last {} checksum {:016x}\n",
                   s.id, s.epoch, NameOf(s.kind), s.bytes, s.records,
                   s.first_seq, s.last_seq, s.checksum);
  }
  text += ChecksumLine(text);
  return text;
}

Result<Manifest> DecodeManifest(std::string_view text, std::string_view path) {
  const std::string_view first_line = text.substr(0, text.find('\n'));
  if (first_line.size() < text.size() && first_line.starts_with(kFirstWord) &&
      first_line != kFirstLine) {
    return Fail(ErrorCode::kFormat,
                "{}: written in another format than 2 ({}), by another version "
                "of kvd\n  Nothing was changed. Use the version that wrote it, "
                "or move with it: \"kvctl export\" there, \"kvctl import\" "
                "here. (Format 1 was never released.)",
                path, first_line.substr(0, kFirstWordsShown));
  }
  if (text == kUnfinishedRestore) {
    return Fail(ErrorCode::kCorruption,
                "{}: a restore into this directory has not finished\n  Run "
                "\"kvd restore\" again; it begins anew.",
                path);
  }
  const auto damaged = [&](std::string_view what) {
    return Fail(ErrorCode::kCorruption,
                "{}: {}\n  The MANIFEST says which files count, so kvd does "
                "not start without it. Nothing was changed.\n{}",
                path, what, DamageAdvice(FolderOf(path)));
  };
  if (text.size() < kChecksumLineBytes) return damaged("cut short");
  const std::string_view facts =
      text.substr(0, text.size() - kChecksumLineBytes);
  if (text.substr(facts.size()) != ChecksumLine(facts)) {
    return damaged("wrong checksum");
  }

  Manifest manifest;
  int number = 0;
  for (std::string_view rest = facts; !rest.empty();) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return damaged("last line cut short");
    ++number;
    if (number > 1 && !ReadLine(rest.substr(0, end), &manifest)) {
      // The checksum holds, so this is what the writer meant.
      return Fail(ErrorCode::kFormat,
                  "{}:{}: a line that this version does not know: {}", path,
                  number, rest.substr(0, end));
    }
    rest.remove_prefix(end + 1);
  }
  if (manifest.features != 0) {
    return Fail(ErrorCode::kFormat,
                "{}: needs features {:#x} that this version does not have",
                path, manifest.features);
  }
  // Intact, and yet nothing that kvd writes: a fact given twice, say, or two
  // databases in one place.
  if (!manifest.databases.IsPermutation() || EncodeManifest(manifest) != text) {
    return damaged("contradicts itself");
  }
  return manifest;
}

LooseManifest ReadManifestLoosely(std::string_view text) {
  LooseManifest loose;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const bool frame = line == kFirstLine || line.starts_with(kChecksumWord);
    Manifest trial;
    if (ReadLine(line, &trial)) {
      (void)ReadLine(line, &loose.manifest);
      loose.has_uuid |= line.starts_with("uuid ");
    } else if (!frame) {
      loose.unknown_lines.emplace_back(line);
    }
  }
  return loose;
}

Result<Manifest> LoadManifest(Directory& directory) {
  KVD_TRY_ASSIGN(const std::string text,
                 ReadWholeFile(directory, kManifestName));
  return DecodeManifest(text,
                        fmt::format("{}/{}", directory.path(), kManifestName));
}

namespace {

// What the spare has room for beyond the MANIFEST that was written last: some
// more segments.
constexpr uint64_t kSpareExtraBytes = 8 << 10;

uint64_t SpareBytes(uint64_t text_bytes) {
  return AlignUp(text_bytes + kSpareExtraBytes, kBlockBytes);
}

// Opens the spare, or makes a new file where there is none.
Result<std::unique_ptr<File>> OpenSpare(Directory& directory, Spare spare,
                                        uint64_t text_bytes) {
  auto file =
      directory.Open(kManifestTemporaryName, Directory::OpenMode::kReadWrite);
  if (file && spare == Spare::kMayBeManifest &&
      !IsPlanted(PlantedBug::kSpareNotSafe)) {
    KVD_TRY(directory.Sync());
  }
  if (file || !IsFinal(file.error())) return file;
  if (file.error().code() != ErrorCode::kNotFound) {
    // What cannot be opened would only be in the way.
    KVD_TRY(directory.Remove(kManifestTemporaryName));
  }
  file = directory.Create(kManifestTemporaryName);
  // The text may fit where this does not.
  if (file) (void)(*file)->AllocateReserved(SpareBytes(text_bytes));
  return file;
}

// Whatever the spare holds, of an earlier MANIFEST or of a try that failed, is
// written over or cut off.
Result<void> WriteSpare(Directory& directory, Spare spare,
                        std::string_view text, uint64_t* identity) {
  KVD_TRY_ASSIGN(const std::unique_ptr<File> file,
                 OpenSpare(directory, spare, text.size()));
  KVD_TRY(file->WriteAt(0, text));
  KVD_TRY_ASSIGN(const uint64_t bytes, file->Size());
  if (bytes > text.size()) {
    KVD_TRY(file->Truncate(text.size()));
    // That gave back the room behind the end, which a later text may need.
    (void)file->KeepRoom(SpareBytes(text.size()));
  }
  if (identity != nullptr) *identity = file->identity();
  if (IsPlanted(PlantedBug::kManifestNotSynced)) return {};
  Result<void> synced = file->Sync();
  // What is durable of it is unknown for good.
  if (!synced) (void)directory.Remove(kManifestTemporaryName);
  return synced;
}

// The file that was the MANIFEST keeps its blocks as the next spare. Where that
// cannot be, or where there is no MANIFEST yet, it is replaced.
Result<void> InstallSpare(Directory& directory) {
  const Result<bool> exchanged =
      directory.Exchange(kManifestTemporaryName, kManifestName);
  if (exchanged && *exchanged) return {};
  if (!exchanged && exchanged.error().code() != ErrorCode::kNotFound) {
    return Unexpected(exchanged.error());
  }
  return directory.Rename(kManifestTemporaryName, kManifestName);
}

}  // namespace

Result<void> SaveManifest(Directory& directory, const Manifest& manifest,
                          uint64_t* identity, Spare spare) {
  KVD_TRY(WriteSpare(directory, spare, EncodeManifest(manifest), identity));
  KVD_TRY(InstallSpare(directory));
  if (!IsPlanted(PlantedBug::kManifestNameNotSynced)) KVD_TRY(directory.Sync());
  return {};
}

void LeaveManifestSpare(Directory& directory, const Manifest& manifest) {
  const uint64_t bytes = SpareBytes(EncodeManifest(manifest).size());
  auto file =
      directory.Open(kManifestTemporaryName, Directory::OpenMode::kReadWrite);
  const bool is_new = !file;
  if (is_new) file = directory.Create(kManifestTemporaryName);
  if (!file) return;  // The next MANIFEST does without.
  Result<void> made =
      is_new ? (*file)->AllocateReserved(bytes) : (*file)->KeepRoom(bytes);
  if (!made && !is_new) return;  // It has the room that it had.
  if (made) made = (*file)->Sync();
  if (made && is_new) made = directory.Sync();
  if (!made) (void)directory.Remove(kManifestTemporaryName);
}

}  // namespace kvd
