// SPDX-License-Identifier: MIT
#include "log/read/leftovers.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "log/read/damage.h"
#include "log/read/segment_reader.h"

namespace kvd {

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
  const std::string path = SegmentPath(directory, id);
  SegmentHeader header;
  const HeaderOutcome outcome = DecodeSegmentHeader(front, &header);
  if (outcome == HeaderOutcome::kBlank) return {};
  if (outcome == HeaderOutcome::kUnknownFormat) return FailNewerFormat(path);
  if (outcome == HeaderOutcome::kHeader &&
      (header.identity.uuid != manifest.uuid || header.identity.id != id)) {
    return FailDamaged(
        directory, fmt::format("{}: belongs to another store or place; move it "
                               "out of the directory",
                               path));
  }
  // The MANIFEST knew it and has dropped it.
  if (id < manifest.next_segment) return {};
  if (outcome == HeaderOutcome::kBroken) {
    return FailDamaged(directory,
                       fmt::format("{}: not named in the MANIFEST, and neither "
                                   "empty nor a segment of this store; move it "
                                   "out of the directory if it is not needed",
                                   path));
  }
  if (header.identity.kind == SegmentKind::kCompacted) return {};
  KVD_TRY_ASSIGN(const bool holds_changes,
                 BeginsWithGroup(*file, header.identity));
  if (!holds_changes) return {};
  return FailDamaged(
      directory, fmt::format("{}: holds changes from {} on, and the MANIFEST "
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
