// SPDX-License-Identifier: MIT
//
// What lies in a data directory that may be damaged: which segment each file
// is, by what stands in it rather than by its name, and what its head says.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/hint.h"
#include "log/format/manifest.h"
#include "log/format/segment.h"
#include "log/format/segment_head.h"

namespace kvd {

// A segment of the store, and the files that hold it: one, unless somebody made
// copies.
struct FoundSegment {
  SegmentIdentity identity;
  std::vector<std::string> files;
  uint64_t file_bytes = 0;            // Of the first of them.
  bool header_intact = false;         // Of one of them.
  std::optional<uint64_t> first_seq;  // By the header.
  std::optional<SegmentHead> head;
  // Of a compacted one: whether its end is there, and says that it is the last.
  std::optional<bool> ends_job;
  // By an intact MANIFEST, current or not: what was sealed does not change.
  std::optional<SealedSegment> sealed;
  // By the header of its hint, likewise.
  std::optional<HintOrigin> hint;

  // Its length, if something says it.
  std::optional<uint64_t> KnownBytes() const;
};

// A file that looks like a segment and holds nothing that counts.
struct StrayFile {
  enum class Kind {
    kBlank,       // Zeros: nothing was ever written there.
    kForeign,     // Of another store.
    kUnreadable,  // Nothing in it verifies.
  };
  std::string name;
  Kind kind = Kind::kBlank;
};

struct Survey {
  std::optional<Manifest> manifest;  // If it is intact.
  std::string manifest_trouble;      // If not, or if it is not used: why.
  // Whether it decides which segments count: it is intact, and nothing in the
  // directory is newer.
  bool manifest_rules = false;
  StoreUuid uuid = {};
  std::vector<FoundSegment> segments;  // By id and epoch.
  std::vector<StrayFile> strays;
  std::map<uint64_t, HintOrigin> hints;  // Those with an intact header, by id.

  // The hint of a segment that is missing, if there is one.
  std::optional<HintOrigin> HintOf(uint64_t id) const;
  // The files of segments that are there, by id.
  const FoundSegment* Find(uint64_t id) const;
};

// kFormat when something was written by another version; kCorruption when there
// is no trace of a store; another code when the directory cannot be read.
Result<Survey> SurveyDirectory(Directory& directory);

// Visits what a hint lists. False when it cannot be read as a whole: then its
// segment may hold anything.
bool VisitHint(Directory& directory, const HintOrigin& origin,
               const HintVisitor& visit);

}  // namespace kvd
