// SPDX-License-Identifier: MIT
#include "cli/moving/extra_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <utility>

#include "cli/progress.h"
#include "cli/records/interrupt.h"
#include "cli/servers/key_pages.h"
#include "cli/text.h"

namespace kvctl {
namespace {

std::vector<std::string> NamesOf(const std::vector<KeyToRead>& keys) {
  std::vector<std::string> names;
  for (const KeyToRead& key : keys) names.push_back(key.key);
  return names;
}

// Those that `peer` does not have.
Attempt<std::vector<std::string>> Missing(Peer* peer, int64_t database,
                                          std::vector<std::string> names) {
  OtherTypes none;  // kvd has no other ones.
  ServerReader reader(peer, &none);
  KVD_TRY_ASSIGN(const std::vector<KeyToRead> found,
                 reader.LookUp(database, names));
  std::set<std::string, std::less<>> present;
  for (const KeyToRead& key : found) present.insert(key.key);
  std::erase_if(
      names, [&](const std::string& name) { return present.contains(name); });
  return names;
}

}  // namespace

Attempt<ExtraKeys> FindExtraKeys(Peer* from, Peer* to) {
  const InterruptCatcher catcher;
  ExtraKeys extra;
  ProgressBar bar;
  KVD_TRY_ASSIGN(KeyPages pages, KeyPages::Open(to));
  std::vector<KeyToRead> keys;
  while (true) {
    KVD_TRY_ASSIGN(const bool more, pages.Next(&keys));
    if (!more) return extra;
    const int64_t database = pages.database();
    KVD_TRY_ASSIGN(std::vector<std::string> alone,
                   Missing(from, database, NamesOf(keys)));
    if (!alone.empty()) {
      // What has expired between the two looks is gone on both sides.
      OtherTypes none;
      ServerReader reader(to, &none);
      KVD_TRY_ASSIGN(const std::vector<KeyToRead> still,
                     reader.LookUp(database, std::move(alone)));
      extra.count += static_cast<int64_t>(still.size());
      for (const KeyToRead& key : still) {
        if (extra.named.size() == ExtraKeys::kNamedMax) break;
        extra.named.push_back(Quote(std::string_view(key.key).substr(0, 100)));
      }
    }
    if (Interrupted()) {
      return Refuse(ExitCode::kInterrupted,
                    "interrupted; not all keys of {} are looked for in {}",
                    to->name(), from->name());
    }
    if (bar.IsDue()) {
      bar.Draw(pages.done(), pages.all(),
               Grouped(pages.done()) + " keys looked for");
    }
  }
}

std::string ExtraKeys::Report(const std::string& target) const {
  if (count == 0) return "";
  const bool all = static_cast<size_t>(count) == named.size();
  return fmt::format(
      "{} in {} alone: deleted from the other side meanwhile, or set by "
      "somebody else\n  {}{}\n",
      count == 1 ? "1 key is" : Grouped(count) + " keys are", target,
      fmt::join(named, " "), all ? "" : " …");
}

}  // namespace kvctl
