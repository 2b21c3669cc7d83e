// SPDX-License-Identifier: MIT
#include "cli/moving/compare.h"

#include <string>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "cli/moving/same_deadline.h"
#include "cli/progress.h"
#include "cli/records/interrupt.h"
#include "cli/text.h"

namespace kvctl {
namespace {

std::string Fingerprint(const std::string& value) {
  const uint64_t halves[] = {kvd::Checksum(value, 0),
                             kvd::Checksum(value, 0x6b7664)};
  return std::string(reinterpret_cast<const char*>(halves), sizeof halves);
}

bool Counts(const Record& record, const CompareOptions& options) {
  if (options.database && record.database != options.database) return false;
  return !options.now_ms || !record.expires_ms ||
         *record.expires_ms > *options.now_ms;
}

}  // namespace

Attempt<void> Collect(RecordSource* source, const CompareOptions& options,
                      RecordSorter* sorter) {
  ProgressBar bar;
  int64_t records = 0;
  std::vector<Record> page;
  while (true) {
    page.clear();
    KVD_TRY_ASSIGN(const bool more, source->Next(&page));
    for (Record& record : page) {
      ++records;
      if (!Counts(record, options)) continue;
      record.value = Fingerprint(record.value);
      KVD_TRY(sorter->Add(std::move(record)));
    }
    if (!more) return sorter->Sort();
    if (Interrupted()) return Refuse(ExitCode::kInterrupted, "interrupted");
    if (!bar.IsDue()) continue;
    const RecordSource::Progress progress = source->progress();
    bar.Draw(progress.done, progress.all, Grouped(records) + " records read");
  }
}

Attempt<Compared> Compare(RecordSorter* a, RecordSorter* b,
                          const CompareOptions& options, const Visit& visit) {
  Compared compared;
  Record of_a;
  Record of_b;
  KVD_TRY_ASSIGN(bool has_a, a->Next(&of_a));
  KVD_TRY_ASSIGN(bool has_b, b->Next(&of_b));
  while (has_a || has_b) {
    Difference difference = {.side = Side::kBoth};
    if (!has_b || (has_a && ComesBefore(of_a, of_b))) {
      difference.side = Side::kOnlyA;
      ++compared.only_a;
    } else if (!has_a || ComesBefore(of_b, of_a)) {
      difference.side = Side::kOnlyB;
      ++compared.only_b;
    } else {
      difference.value = of_a.value != of_b.value;
      difference.deadline = !SameDeadline(of_a.expires_ms, of_b.expires_ms,
                                          options.exact_deadlines);
    }
    const bool takes_a = difference.side != Side::kOnlyB;
    const bool takes_b = difference.side != Side::kOnlyA;
    if (!(takes_a && takes_b) || difference.value || difference.deadline) {
      if (takes_a && takes_b) ++compared.different;
      KVD_TRY(visit(difference, takes_a ? of_a : of_b));
    } else {
      ++compared.equal;
    }
    if (takes_a) {
      KVD_TRY_ASSIGN(has_a, a->Next(&of_a));
    }
    if (takes_b) {
      KVD_TRY_ASSIGN(has_b, b->Next(&of_b));
    }
  }
  return compared;
}

}  // namespace kvctl
