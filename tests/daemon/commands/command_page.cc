// SPDX-License-Identifier: MIT
#include "tests/daemon/commands/command_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "daemon/commands/table.h"

namespace kvd {
namespace {

constexpr std::string_view kHead = R"(# Commands

Each command with what it takes, since which version of Redis or Valkey it is there
(7.2.4 for those of kvd's own), what it costs, and what may use it: **none** touches no
key, **read** and **write** touch keys, **admin** concerns the daemon or other clients.
Whoever may connect may use all of them. Replies and errors are those of Valkey 8 unless
*Differs* says otherwise; a `|` or a space separates what may be chosen or follow.

This page is made of the table of commands (`table.cc`). After a change there:

```
KVD_UPDATE_PAGES=1 build/debug/bin/daemon_test --gtest_filter='CommandPage.*'
```

)";

constexpr std::string_view kTail = R"(
## What differs everywhere

- A reply that shows a change comes when that change is on disk
  (`durability.sync = "always"`), and so does one that shows a missing key.
- A reply of more than `limits.output_bytes`, a value of more than `limits.value_size`
  and a command of more than `limits.arguments` words are errors, and nothing is changed.
- Values are strings. No key is evicted: at `memory.limit` writes are refused (`OOM`),
  on a full disk too (`DISKFULL`), and what is damaged on disk is an error (`DAMAGED`).
- Access times and frequencies are not kept.

## What is not here

| Commands | Why |
|---|---|
| of lists, sets, hashes, sorted sets, streams, geo, HyperLogLog, JSON, vectors | kvd stores strings |
| DUMP, RESTORE, MIGRATE, SORT, WAIT for replicas, REPLICAOF, PSYNC, FAILOVER | no replication; the log is the only format |
| CLUSTER, READONLY, READWRITE, ASKING | no cluster |
| FUNCTION LOAD and others, FCALL, MODULE | no functions and no modules |
| ACL SETUSER and others | the socket's permissions say who may connect |
| CLIENT TRACKING ON | no invalidation for caches in clients |
| SYNC of AOF by hand, DEBUG's other subcommands | the log is written at once |
)";

std::string_view NameOf(Access access) {
  switch (access) {
    case Access::kNone:
      return "none";
    case Access::kRead:
      return "read";
    case Access::kWrite:
      return "write";
    case Access::kAdmin:
      return "admin";
  }
  return "";
}

// In a cell of a table.
std::string Cell(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c;
  }
  return cell;
}

std::string Code(std::string_view text) {
  return text.empty() ? "" : fmt::format("`{}`", Cell(text));
}

void AppendRow(const CommandRow& row, std::string* page) {
  const Command& command = *row.command;
  // A container says nothing that its subcommands do not say.
  if (!command.subcommands.empty() && command.handler == nullptr) return;
  std::string name(command.name);
  if (row.container != row.command) {
    name = fmt::format("{} {}", row.container->name, name);
  }
  fmt::format_to(
      std::back_inserter(*page), "| {} | {} | {} | {} | {} | {} | {} |\n", name,
      Code(command.syntax), Cell(command.summary), command.since,
      Cell(command.complexity), NameOf(command.access), Cell(command.differs));
}

}  // namespace

std::string CommandPage() {
  std::string page(kHead);
  page +=
      "| Command | Words | Does | Since | Complexity | Access | Differs |\n"
      "|---|---|---|---|---|---|---|\n";
  for (const CommandRow& row : CommandRows()) AppendRow(row, &page);
  page += kTail;
  return page;
}

}  // namespace kvd
