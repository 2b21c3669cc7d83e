// SPDX-License-Identifier: MIT
#include "store/verify.h"

#include "log/format/manifest.h"
#include "log/read/leftovers.h"
#include "log/read/log_reader.h"
#include "log/read/sealed_walk.h"

namespace kvd {

Result<VerifyReport> VerifyDirectory(
    Directory& directory,
    const std::function<void(const std::string&)>& report) {
  VerifyReport result;
  const auto damage = [&](const std::string& what) {
    ++result.damages;
    report(what);
  };
  // Damage is the answer here, not the failure of the question; so is what the
  // device does not give.
  const auto note = [&](const Error& error) -> Result<void> {
    if (error.code() != ErrorCode::kCorruption &&
        error.code() != ErrorCode::kIo) {
      return Unexpected(error);
    }
    damage(error.message().substr(0, error.message().find('\n')));
    return {};
  };
  const GroupVisitor count = [&](const Group& group, uint32_t) {
    result.records += group.records.size();
  };

  const Result<Manifest> manifest = LoadManifest(directory);
  if (!manifest && manifest.error().code() == ErrorCode::kNotFound) {
    KVD_TRY_ASSIGN(const bool has_segments, HasSegments(directory));
    if (!has_segments) return Unexpected(manifest.error());
    damage(directory.path() + ": holds segments but no MANIFEST");
    return result;
  }
  if (!manifest) {
    KVD_TRY(note(manifest.error()));
    return result;
  }
  for (const SealedSegment& segment : manifest->sealed) {
    KVD_TRY(ReadSealedSegment(directory, *manifest, segment, count, damage));
    ++result.segments;
    result.bytes += segment.bytes;
  }
  const Result<LogTail> tail =
      ReadLiveSegments(directory, *manifest, count, [&](uint64_t bytes) {
        ++result.segments;
        result.bytes += bytes;
      });
  if (tail) {
    result.torn_bytes = tail->torn_bytes;
  } else {
    KVD_TRY(note(tail.error()));
  }
  if (auto leftovers = FindLeftovers(directory, *manifest); !leftovers) {
    KVD_TRY(note(leftovers.error()));
  }
  return result;
}

}  // namespace kvd
