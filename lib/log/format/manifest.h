// SPDX-License-Identifier: MIT
//
// The MANIFEST: which files count, and what must not happen twice. A plain
// value here; the log writer owns the current one, and one thread at a time
// writes it. FORMAT.md, "MANIFEST".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/record.h"
#include "log/format/segment.h"

namespace kvd {

inline constexpr std::string_view kManifestName = "MANIFEST";
inline constexpr std::string_view kManifestTemporaryName = "MANIFEST.tmp";
// What stands there instead while a restore writes the other files: with it no
// kvd starts.
inline constexpr std::string_view kUnfinishedRestore =
    "kvd-restore unfinished\n";

struct SealedSegment {
  uint64_t id = 0;
  uint64_t epoch = 0;
  SegmentKind kind = SegmentKind::kLog;
  uint64_t bytes = 0;  // Up to the end of the last group.
  uint64_t records = 0;
  uint64_t first_seq = 0;
  uint64_t last_seq = 0;
  uint64_t checksum = 0;  // Of those bytes, seed 0.

  bool operator==(const SealedSegment&) const = default;
};

// A segment that groups may enter.
struct LiveSegmentLine {
  uint64_t id = 0;
  uint64_t bytes = 0;  // Of the file, as allocated.

  bool operator==(const LiveSegmentLine&) const = default;
};

// Where clients' databases live, and what was flushed: the state after some
// change. Flushes are kept by internal number.
struct DatabaseMap {
  DatabaseMap() {
    for (size_t i = 0; i < internal.size(); ++i) {
      internal[i] = static_cast<uint8_t>(i);
    }
  }
  std::array<uint8_t, kInternalDatabases> internal;       // By client's number.
  std::array<uint64_t, kInternalDatabases> flushed = {};  // By internal number.

  // Takes a flush or swap record in; others change nothing.
  void Apply(const Record& record);

  // Whether every internal database belongs to one client's.
  bool IsPermutation() const;

  bool operator==(const DatabaseMap&) const = default;
};

struct Manifest {
  uint64_t features = 0;
  StoreUuid uuid = {};
  uint64_t epoch = 0;
  uint64_t next_segment = 1;
  uint64_t next_seq = 1;
  uint64_t history_floor = 0;
  bool clean = false;
  uint64_t databases_as_of = 0;
  DatabaseMap databases;
  std::optional<LiveSegmentLine> active;
  std::optional<LiveSegmentLine> prepared;
  std::vector<SealedSegment> sealed;  // In the order of their first_seq.

  bool operator==(const Manifest&) const = default;

  // The live segments in the order in which groups entered them.
  std::vector<LiveSegmentLine> Live() const;
  // Whether a segment of this id counts.
  bool Names(uint64_t id) const;
  SegmentIdentity IdentityOf(const SealedSegment& segment) const;
  SegmentIdentity IdentityOfLive(uint64_t id) const;
};

std::string EncodeManifest(const Manifest& manifest);

// kCorruption, with the line, when it is not exactly what EncodeManifest makes;
// kFormat when a newer kvd wrote it. `path` is for the message.
Result<Manifest> DecodeManifest(std::string_view text, std::string_view path);

// What can be made out of a damaged MANIFEST, line by line, whatever a line
// says: for people, and to be checked against something else.
struct LooseManifest {
  Manifest manifest;
  bool has_uuid = false;
  std::vector<std::string> unknown_lines;
};
LooseManifest ReadManifestLoosely(std::string_view text);

// kNotFound when there is none.
Result<Manifest> LoadManifest(Directory& directory);

// What is known of the file that the next MANIFEST is written to. It was the
// MANIFEST before, and a power loss makes it that again until the exchange of
// their names is durable.
enum class Spare {
  kMayBeManifest,  // At a start, say: kvd may have been killed in between.
  kIsSafe,         // The last SaveManifest() of this process did not fail.
};

// Replaces the MANIFEST, durably: the spare is written and synced, the names
// are exchanged, the directory is synced. After an error either the old or the
// new one is there. Takes no space where there is a spare that is large enough,
// so that a store opens on a disk without a free byte; and the file that was
// the MANIFEST is the next spare. `identity` gets the new file's.
Result<void> SaveManifest(Directory& directory, const Manifest& manifest,
                          uint64_t* identity = nullptr,
                          Spare spare = Spare::kMayBeManifest);

// Gives the spare, that the MANIFEST after this one will be written to, the
// space for it if there is any; makes the spare if there is none. Nobody has to
// wait for it.
void LeaveManifestSpare(Directory& directory, const Manifest& manifest);

}  // namespace kvd
