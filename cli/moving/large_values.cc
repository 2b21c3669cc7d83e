// SPDX-License-Identifier: MIT
#include "cli/moving/large_values.h"

#include <fmt/format.h>

#include <utility>

#include "cli/progress.h"
#include "cli/records/interrupt.h"
#include "cli/servers/key_pages.h"
#include "cli/text.h"

namespace kvctl {

Attempt<LargeValues> FindLargeValues(Peer* peer, int64_t value_bytes_max) {
  const InterruptCatcher catcher;
  LargeValues large;
  ProgressBar bar;
  KVD_TRY_ASSIGN(KeyPages pages, KeyPages::Open(peer));
  std::vector<KeyToRead> keys;
  while (true) {
    KVD_TRY_ASSIGN(const bool more, pages.Next(&keys));
    if (!more) return large;
    for (const KeyToRead& key : keys) {
      if (key.size <= value_bytes_max) continue;
      ++large.count;
      if (large.named.size() == LargeValues::kNamedMax) continue;
      large.named.push_back(
          fmt::format("{} in database {}, {}",
                      Quote(std::string_view(key.key).substr(0, 100)),
                      pages.database(), HumanBytes(key.size)));
    }
    if (Interrupted()) {
      return Refuse(ExitCode::kInterrupted,
                    "interrupted; nothing is moved yet");
    }
    if (bar.IsDue()) {
      bar.Draw(pages.done(), pages.all(),
               Grouped(pages.done()) + " sizes looked at");
    }
  }
}

}  // namespace kvctl
