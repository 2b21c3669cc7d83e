// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "log/format/segment_head.h"
#include "log/read/segment_reader.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

// A store that flushes, swaps, rolls and compacts, with what the databases were
// after each change of theirs.
class Told {
 public:
  Told() : machine_(&disk_, &history_) {}

  bool Run() {
    if (!machine_.Open()) return false;
    for (int round = 0; round < 4; ++round) {
      Roll();
      Flush(round % 2);
      Swap(round % 3, 3);
      machine_.Settle();
      Roll();
      compacted_ = machine_.store().SealedSegments();
      machine_.Compact();
      Roll();
    }
    return true;
  }

  // Behind all that: what the newest heads must know is out of use.
  const std::vector<uint64_t>& compacted() const { return compacted_; }
  const SimFileSystem& disk() const { return disk_; }
  DatabaseMap MapAsOf(uint64_t seq) const {
    return std::prev(maps_.upper_bound(seq))->second;
  }

 private:
  void Roll() {
    const size_t before = machine_.store().SealedSegments().size();
    for (int i = 0; i < 30; ++i) {
      // Under way when the put behind it enters another segment.
      Flush(5);
      machine_.Put(fmt::format("key{}", i % 7), std::string(2000, 'a'), 0,
                   i % 3);
      machine_.Settle();
      if (machine_.store().SealedSegments().size() != before) return;
    }
  }

  void Flush(int client) {
    machine_.Flush(client);
    Note({RecordKind::kFlush, map_.internal[static_cast<size_t>(client)],
          machine_.store().last_seq(), 0, "", ""});
  }

  void Swap(int one, int other) {
    machine_.Swap(one, other);
    const NumberValue value(static_cast<uint16_t>(other));
    Note({RecordKind::kSwap, static_cast<uint16_t>(one),
          machine_.store().last_seq(), 0, "", value.view()});
  }

  void Note(const Record& record) {
    map_.Apply(record);
    maps_[record.seq] = map_;
  }

  SimFileSystem disk_;
  History history_;
  Machine machine_;
  DatabaseMap map_;
  std::map<uint64_t, DatabaseMap> maps_ = {{0, DatabaseMap()}};
  std::vector<uint64_t> compacted_;
};

struct FoundHead {
  SegmentIdentity identity;
  uint64_t first_seq = 0;
  SegmentHead head;
  std::optional<bool> end;
};

std::optional<FoundHead> HeadOf(const std::string& bytes) {
  SegmentHeader header;
  if (DecodeSegmentHeader(bytes, &header) != HeaderOutcome::kHeader) return {};
  FoundHead found = {header.identity, header.first_seq, {}, {}};
  SegmentReader reader(bytes, header.identity);
  Group group;
  if (reader.Next(&group) != Found::kGroup) return {};
  const auto head = DecodeSegmentHead(group.body, header.identity.Seed());
  if (!head) return {};
  found.head = *head;
  while (reader.Next(&group) == Found::kGroup) {
    if (group.header.kind != GroupKind::kEnd) continue;
    found.end = DecodeSegmentEnd(group.body, header.identity.Seed());
  }
  return found;
}

std::string Judge(const FoundHead& found, const Told& told,
                  const Manifest& manifest) {
  const SegmentHead& head = found.head;
  const bool is_log = found.identity.kind == SegmentKind::kLog;
  if (is_log && head.databases_as_of != found.first_seq - 1) {
    return "does not begin behind its map";
  }
  if (head.databases != told.MapAsOf(head.databases_as_of)) {
    return "has another map";
  }
  if (is_log != (head.job == 0) || is_log == found.end.has_value()) {
    return "is of another kind";
  }
  for (const SealedSegment& segment : manifest.sealed) {
    if (ContainsId(head.retired, segment.id)) return "disowns a live segment";
  }
  return "";
}

}  // namespace

std::string CheckHeadsAreRight() {
  Told told;
  if (!told.Run()) return "does not open";
  const Result<Manifest> manifest =
      DecodeManifest(told.disk().ReadAll(kManifestName), "MANIFEST");
  std::map<uint32_t, std::vector<FoundHead>> jobs;
  for (const SealedSegment& segment : manifest->sealed) {
    const std::string name = SegmentName(segment.id);
    const auto found = HeadOf(told.disk().ReadAll(name));
    if (!found) return name + " has no head";
    const std::string wrong = Judge(*found, told, *manifest);
    if (!wrong.empty()) return name + " " + wrong;
    if (found->head.job != 0) jobs[found->head.job].push_back(*found);
  }
  if (jobs.empty()) return "nothing was compacted";
  for (const auto& [job, outputs] : jobs) {
    const auto lasts = std::ranges::count_if(
        outputs, [](const FoundHead& output) { return *output.end; });
    if (lasts != 1) return fmt::format("job {} has {} ends", job, lasts);
  }
  const auto& retired = jobs.rbegin()->second.front().head.retired;
  for (const uint64_t id : told.compacted()) {
    if (!manifest->Names(id) && !ContainsId(retired, id)) {
      return fmt::format("segment {} went without a word", id);
    }
  }
  return "";
}

}  // namespace kvd
