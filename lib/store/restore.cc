// SPDX-License-Identifier: MIT
#include "store/restore.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/planted_bug.h"
#include "log/format/manifest.h"
#include "log/format/segment.h"
#include "log/read/sealed_walk.h"

namespace kvd {
namespace {

// A directory that is the root of a file system of its own has it.
constexpr std::string_view kLostAndFound = "lost+found";

using Chain = BackupChain;

bool IsSame(const SealedSegment& sealed, const BackupSegment& segment) {
  return sealed.id == segment.id && sealed.bytes == segment.bytes &&
         sealed.checksum == segment.checksum;
}

// Whether each file builds on the one before it, as far as headers tell.
Result<void> CheckOrder(const Chain& chain) {
  for (size_t i = 0; i < chain.size(); ++i) {
    const BackupHeader& header = chain[i]->header();
    const std::string& name = chain[i]->name();
    if (i == 0) {
      if (!header.incremental) continue;
      return Fail(ErrorCode::kInvalid,
                  "{}: an incremental backup\n  Name the one that it builds on "
                  "first, which is of revision {}.",
                  name, header.base_revision);
    }
    const BackupHeader& base = chain[i - 1]->header();
    if (!header.incremental) {
      return Fail(ErrorCode::kInvalid,
                  "{}: a full backup\n  It builds on no other: name it first, "
                  "without {}.",
                  name, chain[i - 1]->name());
    }
    if (header.uuid != base.uuid || header.base_revision != base.revision) {
      return Fail(ErrorCode::kInvalid,
                  "{}: builds on a backup of revision {}, and not on {}", name,
                  header.base_revision, chain[i - 1]->name());
    }
  }
  return {};
}

// The MANIFEST of what is restored, as the newest backup has it.
Result<Manifest> ManifestOf(const BackupReader& newest) {
  KVD_TRY_ASSIGN(Manifest manifest,
                 DecodeManifest(newest.manifest(), newest.name()));
  const BackupHeader& header = newest.header();
  const bool fits =
      manifest.uuid == header.uuid && manifest.clean &&
      manifest.Live().empty() && manifest.databases_as_of == header.revision &&
      std::equal(manifest.sealed.begin(), manifest.sealed.end(),
                 newest.segments().begin(), newest.segments().end(), IsSame);
  if (!fits) {
    return Fail(ErrorCode::kCorruption,
                "{}: the MANIFEST in it is another one than its header and "
                "list say",
                newest.name());
  }
  return manifest;
}

Manifest Restored(Manifest manifest) {
  const uint64_t above = IsPlanted(PlantedBug::kRestoreReusesRevisions)
                             ? 0
                             : kRestoredRevisionsAbove;
  manifest.history_floor = manifest.databases_as_of + above;
  manifest.next_seq = manifest.history_floor + 1;
  manifest.epoch += kRestoredEpochsAbove;
  return manifest;
}

// Writes the segments that the newest backup names out of the files of a chain.
class SegmentsWriter {
 public:
  SegmentsWriter(Directory& directory, const Manifest& manifest)
      : directory_(directory), missing_(manifest.sealed) {}

  // Of a segment that a backup has here: whether it is one of those, and not
  // written yet.
  bool Wants(const BackupSegment& segment) const {
    return std::any_of(
        missing_.begin(), missing_.end(),
        [&](const SealedSegment& sealed) { return IsSame(sealed, segment); });
  }
  Result<void> Write(const BackupReader::Piece& piece) {
    const BackupSegment& segment = *piece.segment;
    if (piece.offset == 0) {
      file_.reset();
      if (!Wants(segment)) return {};
      KVD_TRY_ASSIGN(file_, directory_.Create(SegmentName(segment.id)));
    }
    if (file_ == nullptr) return {};
    KVD_TRY(file_->WriteAt(piece.offset, piece.bytes));
    if (piece.offset + piece.bytes.size() < segment.bytes) return {};
    KVD_TRY(file_->Sync());
    file_.reset();
    std::erase_if(missing_, [&](const SealedSegment& sealed) {
      return IsSame(sealed, segment);
    });
    return {};
  }
  const std::vector<SealedSegment>& missing() const { return missing_; }

 private:
  Directory& directory_;
  std::vector<SealedSegment> missing_;
  std::unique_ptr<File> file_;  // Of the segment whose pieces come.
};

// Whether all segments are in some file of the chain.
Result<void> CheckComplete(const Chain& chain, const Manifest& manifest) {
  for (const SealedSegment& sealed : manifest.sealed) {
    const bool found =
        std::any_of(chain.begin(), chain.end(), [&](const auto& reader) {
          return std::any_of(reader->segments().begin(),
                             reader->segments().end(),
                             [&](const BackupSegment& segment) {
                               return segment.here && IsSame(sealed, segment);
                             });
        });
    if (!found) {
      return Fail(ErrorCode::kInvalid,
                  "{}: segment {} of it is in none of the files: the chain of "
                  "backups is not complete",
                  chain.back()->name(), sealed.id);
    }
  }
  return {};
}

// What an unfinished restore may have left, and nothing else. The bytes of
// MANIFEST.tmp never mean anything.
Result<void> CheckEmpty(Directory& directory) {
  KVD_TRY_ASSIGN(const std::vector<std::string> names, directory.List());
  const Result<std::string> manifest = ReadWholeFile(directory, kManifestName);
  const bool unfinished = manifest && *manifest == kUnfinishedRestore;
  for (const std::string& name : names) {
    if (name == kLockFileName || name == kLostAndFound ||
        name == kManifestTemporaryName) {
      continue;
    }
    if (unfinished && (SegmentIdOf(name) || name == kManifestName)) continue;
    return Fail(ErrorCode::kExists,
                "{}: is not empty, it holds {}; nothing was touched\n  Name a "
                "new directory, or move what is in it away.",
                directory.path(), name);
  }
  return {};
}

// Marks the directory as one on which no kvd starts, and removes what an
// unfinished restore has left.
Result<void> MarkUnfinished(Directory& directory) {
  if (auto removed = directory.Remove(kManifestTemporaryName);
      !removed && removed.error().code() != ErrorCode::kNotFound) {
    return removed;
  }
  KVD_TRY_ASSIGN(const std::unique_ptr<File> mark,
                 directory.Create(kManifestTemporaryName));
  KVD_TRY(mark->WriteAt(0, kUnfinishedRestore));
  KVD_TRY(mark->Sync());
  KVD_TRY(directory.Rename(kManifestTemporaryName, kManifestName));
  KVD_TRY(directory.Sync());
  KVD_TRY_ASSIGN(const std::vector<std::string> names, directory.List());
  for (const std::string& name : names) {
    if (SegmentIdOf(name)) KVD_TRY(directory.Remove(name));
  }
  return {};
}

Result<void> CheckRoom(Directory& directory, const Manifest& manifest) {
  uint64_t bytes = 0;
  for (const SealedSegment& sealed : manifest.sealed) bytes += sealed.bytes;
  const Result<uint64_t> free_bytes = directory.FreeBytes();
  if (!free_bytes || *free_bytes >= bytes) return {};
  return Fail(ErrorCode::kNoSpace,
              "{}: the backup needs {} bytes, and {} are free",
              directory.path(), bytes, *free_bytes);
}

Result<void> WriteSegments(const Chain& chain, const RestoreProgress& progress,
                           SegmentsWriter* writer) {
  uint64_t all = 0;
  uint64_t done = 0;
  for (const auto& reader : chain) all += reader->segment_bytes();
  std::optional<uint64_t> base_digest;
  for (const auto& reader : chain) {
    const BackupHeader& header = reader->header();
    if (base_digest && header.base_digest != *base_digest) {
      return Fail(ErrorCode::kInvalid,
                  "{}: builds on another backup than the one before it",
                  reader->name());
    }
    while (true) {
      KVD_TRY_ASSIGN(const auto piece, reader->Next());
      if (!piece) break;
      KVD_TRY(writer->Write(*piece));
      done += piece->bytes.size();
      progress(done, all);
    }
    base_digest = reader->digest();
  }
  return {};
}

}  // namespace

Result<void> CheckBackups(const Chain& chain) {
  KVD_TRY(CheckOrder(chain));
  KVD_TRY_ASSIGN(const Manifest manifest, ManifestOf(*chain.back()));
  return CheckComplete(chain, manifest);
}

Result<RestoreReport> RestoreBackups(Directory& directory, const Chain& chain,
                                     const RestoreProgress& progress) {
  KVD_TRY(CheckBackups(chain));
  KVD_TRY_ASSIGN(const Manifest manifest, ManifestOf(*chain.back()));
  if (manifest.databases_as_of + kRestoredRevisionsAbove >= kSeqMax) {
    return Fail(ErrorCode::kInvalid,
                "{}: restored so often that no revisions are left above {}\n  "
                "Move its keys to a new store: kvctl export, kvctl import.",
                chain.back()->name(), manifest.databases_as_of);
  }
  const Manifest restored = Restored(manifest);
  KVD_TRY(CheckEmpty(directory));
  KVD_TRY(MarkUnfinished(directory));
  KVD_TRY(CheckRoom(directory, manifest));

  SegmentsWriter writer(directory, manifest);
  KVD_TRY(WriteSegments(chain, progress, &writer));
  KVD_TRY(directory.Sync());
  RestoreReport report;
  report.revision = manifest.databases_as_of;
  report.floor = restored.history_floor;
  for (const SealedSegment& sealed : restored.sealed) {
    KVD_TRY(CheckSealedSegment(directory, restored, sealed,
                               [&](const Group& group, uint32_t) {
                                 report.records += group.records.size();
                               }));
    ++report.segments;
    report.bytes += sealed.bytes;
  }
  KVD_TRY(SaveManifest(directory, restored));
  return report;
}

}  // namespace kvd
