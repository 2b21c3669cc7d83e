// SPDX-License-Identifier: MIT
#include "cli/moving/large_values.h"

#include <fmt/format.h>

#include <utility>

#include "cli/progress.h"
#include "cli/records/interrupt.h"
#include "cli/servers/other_types.h"
#include "cli/servers/server_reader.h"
#include "cli/text.h"

namespace kvctl {
namespace {

constexpr const char* kKeysPerPage = "1000";

// The keys of the next page; `cursor` is "0" before the first one and after the
// last.
Attempt<std::vector<std::string>> Scan(Peer* peer, std::string* cursor) {
  KVD_TRY_ASSIGN(kvd::Reply reply,
                 peer->Call({"SCAN", *cursor, "COUNT", kKeysPerPage}));
  if (reply.elements.size() != 2 || !reply.elements[0].is_text() ||
      !reply.elements[1].is_aggregate()) {
    return Unexpected(peer->Refusal(reply, "SCAN"));
  }
  *cursor = reply.elements[0].text;
  std::vector<std::string> keys;
  for (kvd::Reply& key : reply.elements[1].elements) {
    keys.push_back(std::move(key.text));
  }
  return keys;
}

}  // namespace

Attempt<LargeValues> FindLargeValues(Peer* peer, int64_t value_bytes_max) {
  const InterruptCatcher catcher;
  LargeValues large;
  OtherTypes others;
  ServerReader reader(peer, &others);
  ProgressBar bar;
  int64_t looked_at = 0;
  KVD_TRY_ASSIGN(const auto counts, peer->CountKeys());
  int64_t all = 0;
  for (const auto& [database, keys] : counts) all += keys;
  for (const auto& [database, count] : counts) {
    KVD_TRY(peer->Select(database));
    std::string cursor = "0";
    do {
      KVD_TRY_ASSIGN(std::vector<std::string> names, Scan(peer, &cursor));
      KVD_TRY_ASSIGN(const std::vector<KeyToRead> keys,
                     reader.LookUp(database, std::move(names)));
      for (const KeyToRead& key : keys) {
        if (key.size <= value_bytes_max) continue;
        ++large.count;
        if (large.named.size() == LargeValues::kNamedMax) continue;
        large.named.push_back(
            fmt::format("{} in database {}, {}",
                        Quote(std::string_view(key.key).substr(0, 100)),
                        database, HumanBytes(key.size)));
      }
      looked_at += static_cast<int64_t>(keys.size());
      if (Interrupted()) {
        return Refuse(ExitCode::kInterrupted,
                      "interrupted; nothing is moved yet");
      }
      if (bar.IsDue()) {
        bar.Draw(looked_at, all, Grouped(looked_at) + " sizes looked at");
      }
    } while (cursor != "0");
  }
  return large;
}

}  // namespace kvctl
