// SPDX-License-Identifier: MIT
#include "salvage/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "salvage/json_line.h"

namespace kvd {
namespace {

using Why = DoubtfulKey::Why;

constexpr Why kWhys[] = {Why::kPerhapsChanged, Why::kReplaced, Why::kLost,
                         Why::kPerhapsDeleted};

std::string_view NameOf(Why why) {
  switch (why) {
    case Why::kPerhapsChanged:
      return "perhaps_changed";
    case Why::kReplaced:
      return "replaced";
    case Why::kLost:
      return "lost";
    case Why::kPerhapsDeleted:
      return "perhaps_deleted";
  }
  return "";
}

std::string_view InWords(Why why) {
  switch (why) {
    case Why::kPerhapsChanged:
      return "perhaps changed or deleted by a change that cannot be read";
    case Why::kReplaced:
      return "had a newer value, which cannot be read; an older one is there";
    case Why::kLost:
      return "lost: the value cannot be read";
    case Why::kPerhapsDeleted:
      return "perhaps deleted: only in a segment that was being replaced";
  }
  return "";
}

std::string_view NameOf(Loss::Kind kind) {
  switch (kind) {
    case Loss::Kind::kDamaged:
      return "damaged";
    case Loss::Kind::kMissing:
      return "missing";
    case Loss::Kind::kTorn:
      return "torn";
  }
  return "";
}

std::string_view NameOf(StrayFile::Kind kind) {
  switch (kind) {
    case StrayFile::Kind::kBlank:
      return "blank";
    case StrayFile::Kind::kForeign:
      return "foreign";
    case StrayFile::Kind::kUnreadable:
      return "unreadable";
  }
  return "";
}

// "1 key", "2 keys".
std::string Count(uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string Changes(const std::vector<SeqRange>& seqs) {
  constexpr size_t kRangesShown = 8;
  std::string text;
  for (size_t i = 0; i < std::min(seqs.size(), kRangesShown); ++i) {
    if (!text.empty()) text += ", ";
    text += seqs[i].first == seqs[i].last
                ? fmt::format("{}", seqs[i].first)
                : fmt::format("{} to {}", seqs[i].first, seqs[i].last);
  }
  if (seqs.size() > kRangesShown) text += ", …";
  return text;
}

std::string Describe(const DamagedPart& part) {
  if (part.bytes.begin == part.bytes.end) {
    return fmt::format("{}: ends at offset {} without its end", part.file,
                       part.bytes.begin);
  }
  return fmt::format("{}: bytes {} to {} {}", part.file, part.bytes.begin,
                     part.bytes.end - 1,
                     part.device ? "cannot be read" : "are damaged");
}

// What a loss cost.
std::string Cost(const Loss& loss) {
  std::string cost;
  if (loss.is_harmless()) return "nothing is lost by it";
  if (!loss.seqs.empty()) {
    cost = fmt::format("changes {} are lost", Changes(loss.seqs));
    if (loss.kind == Loss::Kind::kTorn) {
      return cost + ", which nothing proves to have been durable";
    }
  }
  if (loss.keys_known) {
    if (!cost.empty()) cost += ": ";
    return cost + Count(loss.keys, "record") + " of known keys";
  }
  if (!cost.empty()) cost += ", ";
  cost += "of unknown keys";
  if (loss.last_seq_max == UINT64_MAX) {
    cost += "; any later change may be among them";
  } else if (loss.seqs.empty()) {
    cost += fmt::format(", none behind change {}", loss.last_seq_max);
  }
  return cost;
}

void AppendLoss(const Loss& loss, std::vector<std::string>* lines) {
  if (loss.kind == Loss::Kind::kMissing) {
    lines->push_back(fmt::format("{}: missing", loss.file));
  }
  for (const DamagedPart& part : loss.parts) lines->push_back(Describe(part));
  if (loss.parts.empty() && loss.kind == Loss::Kind::kDamaged) {
    lines->push_back(fmt::format("{}: incomplete", loss.file));
  }
  lines->push_back("  " + Cost(loss));
}

void AppendKeys(const SalvageReport& report, Why why, bool uncertain,
                std::vector<std::string>* lines) {
  size_t count = 0;
  for (const DoubtfulKey& key : report.doubtful) {
    if (key.why != why) continue;
    if (count++ == 0) lines->push_back(fmt::format("{}:", InWords(why)));
    if (count > kKeysInWords) continue;
    std::string line =
        fmt::format("  database {} {}", key.database, Quoted(key.key));
    if (key.lost_seq != 0) line += fmt::format(" change {}", key.lost_seq);
    if (key.seq != 0) line += fmt::format(" readable as of {}", key.seq);
    lines->push_back(std::move(line));
  }
  if (count == 0) return;
  if (count > kKeysInWords) {
    lines->push_back(
        fmt::format("  and {} more; --json lists all", count - kKeysInWords));
  }
  const std::string_view what = why == Why::kLost ? ""
                                : uncertain
                                    ? "; their readable values were taken"
                                    : "; left out without --uncertain";
  lines->push_back(fmt::format("  {}{}", Count(count, "key"), what));
}

std::string JsonOf(const std::vector<SeqRange>& seqs) {
  std::string json;
  for (const SeqRange& range : seqs) {
    json += fmt::format("{}[{},{}]", json.empty() ? "" : ",", range.first,
                        range.last);
  }
  return "[" + json + "]";
}

std::string JsonOf(const std::vector<DamagedPart>& parts) {
  std::string json;
  for (const DamagedPart& part : parts) {
    json += fmt::format(
        "{}{{\"file\":\"{}\",\"begin\":{},\"end\":{},\"device\":{}}}",
        json.empty() ? "" : ",", JsonEscaped(part.file), part.bytes.begin,
        part.bytes.end, part.device);
  }
  return "[" + json + "]";
}

std::string JsonOf(const Loss& loss) {
  JsonLine line("loss");
  line.Add("kind", NameOf(loss.kind))
      .Add("file", std::string_view(loss.file))
      .AddJson("parts", JsonOf(loss.parts))
      .AddJson("revisions", JsonOf(loss.seqs))
      .Add("keys_known", loss.keys_known)
      .Add("harmless", loss.is_harmless());
  if (loss.keys_known) line.Add("records", loss.keys);
  if (loss.last_seq_max == UINT64_MAX) {
    line.AddJson("revisions_up_to", "null");
  } else if (!loss.keys_known) {
    line.Add("revisions_up_to", loss.last_seq_max);
  }
  return line.Take();
}

}  // namespace

std::vector<std::string> ReportInWords(const SalvageReport& report,
                                       const ReportNames& names) {
  std::vector<std::string> lines;
  if (!report.manifest_trouble.empty()) {
    lines.push_back(fmt::format(
        "MANIFEST: {}; went by what the segments say of each other. Lost "
        "segments behind the last one that is there go unnoticed.",
        report.manifest_trouble));
  }
  for (const Loss& loss : report.losses) AppendLoss(loss, &lines);
  for (const StrayFile& stray : report.strays) {
    if (stray.kind == StrayFile::Kind::kBlank) continue;
    lines.push_back(fmt::format("{}: {}", stray.name,
                                stray.kind == StrayFile::Kind::kForeign
                                    ? "a segment of another store, left alone"
                                    : "nothing in it can be read"));
  }
  for (const Why why : kWhys) AppendKeys(report, why, names.uncertain, &lines);
  if (report.databases_unknown) {
    lines.push_back(
        "A FLUSHDB or SWAPDB may be among the lost changes: look whether the "
        "databases are what they should be.");
  }
  lines.push_back(fmt::format(
      "{}: {} from {} of {}; revisions go on at {}{}", names.to,
      Count(report.keys, "key"), Count(report.segments, "segment"), names.from,
      report.next_seq,
      report.expired == 0
          ? ""
          : fmt::format("; {} expired", Count(report.expired, "key"))));
  lines.push_back(report.complete() ? "All was readable."
                                    : "Something was lost: see above.");
  return lines;
}

std::vector<std::string> ReportInJson(const SalvageReport& report,
                                      const ReportNames& names) {
  std::vector<std::string> lines;
  for (const Loss& loss : report.losses) lines.push_back(JsonOf(loss));
  for (const StrayFile& stray : report.strays) {
    lines.push_back(JsonLine("stray")
                        .Add("file", std::string_view(stray.name))
                        .Add("kind", NameOf(stray.kind))
                        .Take());
  }
  for (const DoubtfulKey& key : report.doubtful) {
    JsonLine line("key");
    line.Add("why", NameOf(key.why))
        .Add("db", key.database)
        .AddBytes("key", key.key);
    if (key.seq != 0) line.Add("rev", key.seq);
    if (key.lost_seq != 0) line.Add("lost_rev", key.lost_seq);
    line.Add("kept", names.uncertain && key.seq != 0);
    lines.push_back(line.Take());
  }
  lines.push_back(JsonLine("summary")
                      .Add("manifest", report.manifest_trouble.empty()
                                           ? std::string_view("intact")
                                           : report.manifest_trouble)
                      .Add("files", report.files)
                      .Add("segments", report.segments)
                      .Add("records", report.records)
                      .Add("keys", report.keys)
                      .Add("expired", report.expired)
                      .Add("doubtful", uint64_t{report.doubtful.size()})
                      .Add("uncertain_up_to", report.unknown_last_seq)
                      .Add("databases_unknown", report.databases_unknown)
                      .Add("next_rev", report.next_seq)
                      .Add("complete", report.complete())
                      .Take());
  return lines;
}

}  // namespace kvd
