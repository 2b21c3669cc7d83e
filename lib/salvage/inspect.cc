// SPDX-License-Identifier: MIT
#include "salvage/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "log/format/hint.h"
#include "log/format/manifest.h"
#include "log/read/chunk_reader.h"
#include "salvage/json_line.h"
#include "salvage/readable_file.h"
#include "salvage/segment_walk.h"
#include "salvage/standing.h"
#include "salvage/survey.h"
#include "salvage/tally.h"

namespace kvd {
namespace {

std::string_view NameOf(SegmentKind kind) {
  return kind == SegmentKind::kLog ? "log" : "compacted";
}

std::string_view NameOf(RecordKind kind) {
  switch (kind) {
    case RecordKind::kPut:
      return "put";
    case RecordKind::kDelete:
      return "delete";
    case RecordKind::kExpire:
      return "expire";
    case RecordKind::kFlush:
      return "flush";
    case RecordKind::kSwap:
      return "swap";
    case RecordKind::kNamespace:
      return "namespace";
  }
  return "unknown";
}

std::string_view NameOf(GroupKind kind) {
  switch (kind) {
    case GroupKind::kRecords:
      return "records";
    case GroupKind::kHead:
      return "head";
    case GroupKind::kEnd:
      return "end";
  }
  return "unknown";
}

std::string_view NameOf(Standing standing) {
  switch (standing) {
    case Standing::kCounts:
      return "counts";
    case Standing::kDoubtful:
      return "perhaps replaced";
    case Standing::kOut:
      return "does not count";
  }
  return "";
}

std::string Hex(const StoreUuid& uuid) {
  std::string hex;
  for (const uint8_t byte : uuid) hex += fmt::format("{:02x}", byte);
  return hex;
}

// Says each thing in the one form or in the other.
class Inspector {
 public:
  Inspector(Directory& directory, const InspectOptions& options,
            const std::function<void(const std::string&)>& print)
      : directory_(directory), options_(options), print_(print) {}

  Result<void> Run(const std::string& file) {
    if (file.empty() || file == kManifestName) {
      KVD_TRY(ShowManifest(/*must_exist=*/!file.empty()));
      if (!file.empty()) return {};
    }
    KVD_TRY_ASSIGN(survey_, SurveyDirectory(directory_));
    standings_ = JudgeSegments(survey_);
    bool shown = false;
    for (size_t i = 0; i < survey_.segments.size(); ++i) {
      for (const std::string& name : survey_.segments[i].files) {
        if (!file.empty() && name != file) continue;
        KVD_TRY(ShowSegment(i, name));
        shown = true;
      }
    }
    for (const StrayFile& stray : survey_.strays) {
      if (!file.empty() && stray.name != file) continue;
      ShowStray(stray);
      shown = true;
    }
    KVD_TRY_ASSIGN(std::vector<std::string> names, directory_.List());
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (!HintIdOf(name) || (!file.empty() && name != file)) continue;
      ShowHint(*HintIdOf(name));
      shown = true;
    }
    if (file.empty()) {
      ShowMissing();
    } else if (!shown) {
      return Fail(ErrorCode::kNotFound,
                  "{}/{}: no MANIFEST, segment or hint of this name",
                  directory_.path(), file);
    }
    return {};
  }

 private:
  // --- MANIFEST ---

  Result<void> ShowManifest(bool must_exist) {
    const Result<std::string> text = ReadWholeFile(directory_, kManifestName);
    if (!text && text.error().code() == ErrorCode::kNotFound && !must_exist) {
      Say("MANIFEST: missing", JsonLine("manifest").Add("state", "missing"));
      return {};
    }
    if (!text) return Unexpected(text.error());
    const Result<Manifest> manifest = DecodeManifest(
        *text, fmt::format("{}/{}", directory_.path(), kManifestName));
    if (!manifest && manifest.error().code() == ErrorCode::kFormat) {
      return Unexpected(manifest.error());
    }
    const LooseManifest loose = ReadManifestLoosely(*text);
    ShowManifest(manifest ? *manifest : loose.manifest, manifest.ok());
    if (manifest) return {};
    for (const std::string& line : loose.unknown_lines) {
      Say(fmt::format("  unreadable line: {}", Quoted(line)),
          JsonLine("unreadable_line").AddBytes("line", line));
    }
    return {};
  }

  void ShowManifest(const Manifest& manifest, bool intact) {
    Say(fmt::format("MANIFEST: {}, store {}, epoch {}, {}",
                    intact ? "intact" : "damaged; as far as it goes",
                    Hex(manifest.uuid), manifest.epoch,
                    manifest.clean
                        ? "stopped as asked"
                        : "in use or not stopped as asked: what is read may "
                          "be moving"),
        JsonLine("manifest")
            .Add("state", intact ? "intact" : "damaged")
            .Add("uuid", std::string_view(Hex(manifest.uuid)))
            .Add("epoch", manifest.epoch)
            .Add("clean", manifest.clean)
            .Add("next_segment", manifest.next_segment)
            .Add("next_rev", manifest.next_seq)
            .Add("floor", manifest.history_floor)
            .Add("databases_as_of", manifest.databases_as_of));
    if (!options_.json) {
      print_(fmt::format(
          "  next segment {}, next change {}, history complete behind {}",
          manifest.next_segment, manifest.next_seq, manifest.history_floor));
    }
    ShowDatabases(manifest.databases, manifest.databases_as_of);
    for (const LiveSegmentLine& line : manifest.Live()) {
      Say(fmt::format("  live {}: made {} bytes long", SegmentName(line.id),
                      line.bytes),
          JsonLine("manifest_live")
              .Add("id", line.id)
              .Add("bytes", line.bytes));
    }
    for (const SealedSegment& s : manifest.sealed) ShowSealed(s);
  }

  void ShowSealed(const SealedSegment& s) {
    Say(fmt::format("  sealed {}: {} of epoch {}, {} bytes, {} records, {} to "
                    "{}",
                    SegmentName(s.id), NameOf(s.kind), s.epoch, s.bytes,
                    s.records, s.first_seq, s.last_seq),
        JsonLine("manifest_sealed")
            .Add("id", s.id)
            .Add("epoch", s.epoch)
            .Add("kind", NameOf(s.kind))
            .Add("bytes", s.bytes)
            .Add("records", s.records)
            .Add("first_rev", s.first_seq)
            .Add("last_rev", s.last_seq)
            .Add("checksum",
                 std::string_view(fmt::format("{:016x}", s.checksum))));
  }

  void ShowDatabases(const DatabaseMap& databases, uint64_t as_of) {
    for (size_t client = 0; client < databases.internal.size(); ++client) {
      const uint64_t internal = databases.internal[client];
      const uint64_t flushed = databases.flushed[internal];
      if (internal == client && flushed == 0) continue;
      Say(fmt::format("  database {}: internal {}, flushed {} (as of {})",
                      client, internal, flushed, as_of),
          JsonLine("database")
              .Add("db", uint64_t{client})
              .Add("internal", internal)
              .Add("flushed", flushed)
              .Add("as_of", as_of));
    }
  }

  // --- Segments ---

  Result<void> ShowSegment(size_t i, const std::string& name) {
    const FoundSegment& segment = survey_.segments[i];
    const SegmentIdentity& identity = segment.identity;
    auto file = ReadableFile::Open(directory_, name);
    if (!file && file.error().code() == ErrorCode::kNotFound) return {};
    if (!file) return Unexpected(file.error());
    Say(fmt::format("{}: {} segment {} of epoch {}, {}, {} bytes{}{}", name,
                    NameOf(identity.kind), identity.id, identity.epoch,
                    NameOf(standings_.of[i]), file->size(),
                    segment.sealed ? ", sealed" : "",
                    segment.header_intact ? "" : ", its header is damaged"),
        JsonLine("segment")
            .Add("file", std::string_view(name))
            .Add("id", identity.id)
            .Add("epoch", identity.epoch)
            .Add("kind", NameOf(identity.kind))
            .Add("standing", NameOf(standings_.of[i]))
            .Add("bytes", file->size())
            .Add("sealed", segment.sealed.has_value())
            .Add("header_intact", segment.header_intact));
    return WalkFile(segment, name, *file);
  }

  Result<void> WalkFile(const FoundSegment& segment, const std::string& name,
                        ReadableFile& file) {
    SegmentTotals totals;
    uint64_t groups = 0;
    uint64_t damages = 0;
    WalkVisitor visitor;
    visitor.group = [&](const GroupHeader& header) {
      ++groups;
      if (options_.records && !options_.key) ShowGroup(header);
    };
    visitor.head = [&](const SegmentHead& head) { ShowHead(head); };
    visitor.end = [](bool) {};
    visitor.record = [&](const Record& record, uint64_t offset) {
      totals.Add(record);
      if (options_.records && IsAskedFor(record.key)) {
        ShowRecord(record, offset);
      }
    };
    visitor.damage = [&](const ByteRange& bytes, bool) {
      ++damages;
      ShowDamage(name, bytes);
    };
    const auto length = segment.KnownBytes();
    const WalkBounds bounds = {length.value_or(file.size()), length.has_value(),
                               SeqBound(survey_)};
    KVD_TRY_ASSIGN(const uint64_t end,
                   WalkSegment(file, segment.identity, bounds, visitor));
    for (const ByteRange& gap : file.gaps()) {
      ++damages;
      ShowDamage(name, gap);
    }
    Say(fmt::format("  {} groups, {} records, changes {} to {}, up to offset "
                    "{}; {}",
                    groups, totals.records, totals.first_seq, totals.last_seq,
                    end,
                    damages == 0 ? "intact"
                                 : fmt::format("{} damaged places", damages)),
        JsonLine("segment_total")
            .Add("file", std::string_view(name))
            .Add("groups", groups)
            .Add("records", totals.records)
            .Add("first_rev", totals.first_seq)
            .Add("last_rev", totals.last_seq)
            .Add("end", end)
            .Add("damages", damages));
    return {};
  }

  struct ShownRanges {
    std::string text;
    std::string json;
  };
  static ShownRanges Shown(const std::vector<IdRange>& ranges) {
    ShownRanges shown;
    for (const IdRange& range : ranges) {
      shown.text += fmt::format(" {}-{}", range.first, range.last);
      shown.json += fmt::format("{}[{},{}]", shown.json.empty() ? "" : ",",
                                range.first, range.last);
    }
    shown.json = "[" + shown.json + "]";
    return shown;
  }

  void ShowHead(const SegmentHead& head) {
    const auto [retired, retired_json] = Shown(head.retired);
    const auto [counting, counting_json] = Shown(head.counting);
    const std::string job =
        head.job == 0 ? ""
                      : fmt::format(
                            ", output {} of the compaction that began "
                            "with segment {}",
                            head.output, head.job);
    const std::string count =
        counting.empty() ? "" : fmt::format("; these count:{}", counting);
    Say(fmt::format("  head: as of change {}{}; out of use:{}{}",
                    head.databases_as_of, job,
                    retired.empty() ? " none" : retired, count),
        JsonLine("head")
            .Add("databases_as_of", head.databases_as_of)
            .Add("job", uint64_t{head.job})
            .Add("output", uint64_t{head.output})
            .Add("known_below", uint64_t{head.known_below})
            .AddJson("retired", retired_json)
            .AddJson("counting", counting_json));
    ShowDatabases(head.databases, head.databases_as_of);
  }

  void ShowGroup(const GroupHeader& header) {
    Say(fmt::format("  group at {}: {}, {} records from change {}, durable up "
                    "to {}, body of {} bytes",
                    header.offset, NameOf(header.kind), header.records,
                    header.first_seq, header.durable_seq, header.body_bytes),
        JsonLine("group")
            .Add("offset", header.offset)
            .Add("kind", NameOf(header.kind))
            .Add("records", uint64_t{header.records})
            .Add("first_rev", header.first_seq)
            .Add("durable_rev", header.durable_seq)
            .Add("body_bytes", header.body_bytes));
  }

  bool IsAskedFor(std::string_view key) const {
    return !options_.key || *options_.key == key;
  }

  void ShowRecord(const Record& record, uint64_t offset) {
    JsonLine json("record");
    json.Add("offset", offset)
        .Add("rev", record.seq)
        .Add("kind", NameOf(record.kind))
        .Add("internal", uint64_t{record.database})
        .AddBytes("key", record.key)
        .Add("value_bytes", uint64_t{record.value.size()});
    std::string text =
        fmt::format("    record at {}: change {}, {}, internal database {}",
                    offset, record.seq, NameOf(record.kind), record.database);
    if (record.kind == RecordKind::kSwap) {
      json.Add("other", uint64_t{NumberIn(record)});
      text += fmt::format(" with {}", NumberIn(record));
    } else if (record.kind != RecordKind::kFlush) {
      text += fmt::format(", key {}", Quoted(record.key));
    }
    if (record.kind == RecordKind::kPut) {
      text += fmt::format(", value of {} bytes", record.value.size());
    }
    if (record.deadline_ms != 0) {
      json.Add("expires_ms", record.deadline_ms);
      text += fmt::format(", expires at {} ms", record.deadline_ms);
    }
    Say(text, json);
  }

  void ShowDamage(const std::string& name, const ByteRange& bytes) {
    Say(fmt::format("  damaged: bytes {} to {}", bytes.begin, bytes.end),
        JsonLine("damage")
            .Add("file", std::string_view(name))
            .Add("begin", bytes.begin)
            .Add("end", bytes.end));
  }

  // --- The rest ---

  void ShowStray(const StrayFile& stray) {
    const std::string_view what =
        stray.kind == StrayFile::Kind::kBlank     ? "nothing was written to it"
        : stray.kind == StrayFile::Kind::kForeign ? "of another store"
                                                  : "nothing in it verifies";
    Say(fmt::format("{}: {}", stray.name, what),
        JsonLine("stray")
            .Add("file", std::string_view(stray.name))
            .Add("what", what));
  }

  void ShowMissing() {
    for (const MissingSegment& missing : standings_.missing) {
      Say(fmt::format("{}: missing", SegmentName(missing.id)),
          JsonLine("missing").Add("file",
                                  std::string_view(SegmentName(missing.id))));
    }
  }

  void ShowHint(uint64_t id) {
    const std::string name = HintName(id);
    const Result<HintOrigin> origin = ReadHintOrigin(directory_, id);
    if (!origin) {
      Say(fmt::format("{}: {}", name, origin.error().message()),
          JsonLine("hint")
              .Add("file", std::string_view(name))
              .Add("state", "damaged"));
      return;
    }
    Say(fmt::format("{}: of {} segment {} of epoch {}, {} bytes long; {} "
                    "entries",
                    name, NameOf(origin->identity.kind), origin->identity.id,
                    origin->identity.epoch, origin->segment_bytes,
                    origin->entries),
        JsonLine("hint")
            .Add("file", std::string_view(name))
            .Add("state", "intact")
            .Add("id", origin->identity.id)
            .Add("epoch", origin->identity.epoch)
            .Add("segment_bytes", origin->segment_bytes)
            .Add("entries", origin->entries));
    if (!options_.records) return;
    const bool whole = VisitHint(directory_, *origin, [&](const HintEntry& e) {
      if (IsAskedFor(e.key)) ShowEntry(e);
    });
    if (whole) return;
    Say("  damaged: its other entries cannot be read",
        JsonLine("damage").Add("file", std::string_view(name)));
  }

  void ShowEntry(const HintEntry& entry) {
    JsonLine json("entry");
    json.Add("offset", uint64_t{entry.offset})
        .Add("rev", entry.seq)
        .Add("kind", NameOf(entry.kind))
        .Add("internal", uint64_t{entry.database})
        .AddBytes("key", entry.key)
        .Add("value_bytes", uint64_t{entry.value_size});
    if (entry.deadline_ms != 0) json.Add("expires_ms", entry.deadline_ms);
    Say(fmt::format("    entry: change {}, {}, internal database {}, key {}, "
                    "at {}, value of {} bytes",
                    entry.seq, NameOf(entry.kind), entry.database,
                    Quoted(entry.key), entry.offset, entry.value_size),
        json);
  }

  void Say(const std::string& text, JsonLine& json) {
    print_(options_.json ? json.Take() : text);
  }

  Directory& directory_;
  const InspectOptions& options_;
  const std::function<void(const std::string&)>& print_;
  Survey survey_;
  Standings standings_;
};

}  // namespace

Result<void> Inspect(Directory& directory, const std::string& file,
                     const InspectOptions& options,
                     const std::function<void(const std::string&)>& print) {
  return Inspector(directory, options, print).Run(file);
}

}  // namespace kvd
