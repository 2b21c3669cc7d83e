// SPDX-License-Identifier: MIT
#include "cli/moving/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "cli/moving/same_deadline.h"
#include "cli/progress.h"
#include "cli/records/interrupt.h"
#include "cli/servers/server_reader.h"
#include "cli/text.h"

namespace kvctl {
namespace {

using Records = std::map<std::string, Record, std::less<>>;

Attempt<Records> ReadSame(const std::vector<Record>& page, Peer* peer,
                          OtherTypes* others) {
  Records found;
  if (page.empty()) return found;
  std::vector<std::string> keys;
  for (const Record& record : page) keys.push_back(record.key);
  // A page is of one database.
  const int64_t database = page.front().database.value_or(0);
  ServerReader reader(peer, others);
  KVD_TRY_ASSIGN(const std::vector<KeyToRead> present,
                 reader.LookUp(database, std::move(keys)));
  std::vector<Record> records;
  KVD_TRY(reader.Read(database, present, &records));
  for (Record& record : records) found[record.key] = std::move(record);
  return found;
}

bool IsEqual(const Record& record, const Records& found, bool exact,
             int64_t now_ms) {
  const auto same = found.find(record.key);
  if (same == found.end()) {
    // It may have lived until it was read here, and not until it was there.
    return record.expires_ms && *record.expires_ms <= now_ms;
  }
  return record.value == same->second.value &&
         SameDeadline(record.expires_ms, same->second.expires_ms, exact);
}

}  // namespace

Attempt<Verified> Verify(Peer* from, Peer* to, const KeySelection& selection) {
  const InterruptCatcher catcher;
  const bool exact = from->knows_deadlines() && to->knows_deadlines();
  OtherTypes others;  // They were counted when they were not copied.
  KVD_TRY_ASSIGN(const std::unique_ptr<ServerSource> source,
                 ServerSource::Open(from, selection, &others));
  ProgressBar bar;
  Verified verified;
  std::vector<Record> page;
  while (true) {
    page.clear();
    KVD_TRY_ASSIGN(const bool more, source->Next(&page));
    if (!more) return verified;
    KVD_TRY_ASSIGN(const Records found, ReadSame(page, to, &others));
    const int64_t now_ms = kvd::SystemClock().WallMs();
    for (const Record& record : page) {
      if (IsEqual(record, found, exact, now_ms)) {
        ++verified.equal;
        continue;
      }
      ++verified.different;
      if (verified.named.size() < Verified::kNamedMax) {
        verified.named.push_back(Quote(record.key));
      }
    }
    if (Interrupted()) {
      return Refuse(ExitCode::kInterrupted,
                    "interrupted; everything is copied, and {} records are "
                    "verified",
                    Grouped(verified.equal));
    }
    if (bar.IsDue()) {
      const RecordSource::Progress progress = source->progress();
      bar.Draw(progress.done, progress.all,
               Grouped(verified.equal) + " verified");
    }
  }
}

std::string Verified::Report() const {
  if (different == 0) {
    return fmt::format(
        "verified: {}\n",
        equal == 1 ? "1 key is equal" : Grouped(equal) + " keys are equal");
  }
  const bool all = static_cast<size_t>(different) == named.size();
  return fmt::format(
      "verified: {} keys are equal, {} differ: somebody wrote to them "
      "meanwhile\n  {}{}\n",
      Grouped(equal), Grouped(different), fmt::join(named, " "),
      all ? "" : " …");
}

}  // namespace kvctl
