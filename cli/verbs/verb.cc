// SPDX-License-Identifier: MIT
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

constexpr const char* kDelAliases[] = {"delete", "rm"};
constexpr const char* kLsAliases[] = {"list"};
constexpr const char* kPublishAliases[] = {"pub"};
constexpr const char* kSetAliases[] = {"put"};
constexpr const char* kSubscribeAliases[] = {"sub"};

constexpr VerbRow kVerbs[] = {
    {"set", kSetAliases, true, "Store a value", "KEY [VALUE] [OPTIONS]",
     "kvctl set greeting hello\n"
     "kvctl set session:7 --ttl 30m < session.json\n"
     "kvctl set -- \"$key\" \"$value\"\n"
     "kvctl set logo --file logo.png\n"
     "kvctl set lock mine --nx --ttl 10s\n"
     "kvctl set greeting hi --ifrev 41",
     MakeSet},
    {"get",
     {},
     false,
     "Print a value",
     "KEY [OPTIONS]",
     "kvctl get greeting\n"
     "kvctl get logo > logo.png\n"
     "kvctl get greeting --json",
     MakeGet},
    {"del", kDelAliases, true, "Delete keys", "KEY … [OPTIONS]",
     "kvctl del greeting\n"
     "kvctl del greeting --ifrev 41\n"
     "kvctl del --prefix session: --dry-run\n"
     "kvctl del --prefix session: --yes",
     MakeDel},
    {"exists",
     {},
     false,
     "Check whether keys exist",
     "KEY … [OPTIONS]",
     "kvctl exists greeting && echo yes",
     MakeExists},
    {"incr",
     {},
     true,
     "Add to a number",
     "KEY [BY] [OPTIONS]",
     "kvctl incr visits\n"
     "kvctl incr stock -3",
     MakeIncr},
    {"ttl",
     {},
     false,
     "Print how long until a key expires",
     "KEY [OPTIONS]",
     "kvctl ttl session:7",
     MakeTtl},
    {"expire",
     {},
     true,
     "Set when a key expires",
     "KEY DURATION [OPTIONS]",
     "kvctl expire session:7 1h30m",
     MakeExpire},
    {"persist",
     {},
     true,
     "Remove the time at which a key expires",
     "KEY [OPTIONS]",
     "kvctl persist session:7",
     MakePersist},
    {"ls", kLsAliases, false, "List keys, in no particular order",
     "[PREFIX] [OPTIONS]",
     "kvctl ls\n"
     "kvctl ls user: --limit 10\n"
     "kvctl ls user: --json",
     MakeLs},
    {"subscribe", kSubscribeAliases, false,
     "Print messages as they are published", "CHANNEL … [OPTIONS]",
     "kvctl subscribe news\n"
     "kvctl subscribe -p 'news.*' --json\n"
     "kvctl subscribe -p '__keyevent@0__:*'",
     MakeSubscribe},
    {"publish", kPublishAliases, false,
     "Send a message to a channel's subscribers", "CHANNEL MESSAGE [OPTIONS]",
     "kvctl publish news hello", MakePublish},
    {"ping",
     {},
     false,
     "Check that kvd runs and has loaded its data",
     "[OPTIONS]",
     "kvctl ping --wait 10s",
     MakePing},
    {"status",
     {},
     false,
     "Show how kvd is doing",
     "[OPTIONS]",
     "kvctl status\n"
     "kvctl status --json",
     MakeStatus},
    {"stat",
     {},
     false,
     "Print a line a second about what kvd does",
     "[OPTIONS]",
     "kvctl stat\n"
     "kvctl stat -i 5s -n 12\n"
     "kvctl stat -n 1 --json",
     MakeStat},
    {"latency",
     {},
     false,
     "Show how long commands take",
     "[COMMAND …] [OPTIONS]",
     "kvctl latency\n"
     "kvctl latency get set\n"
     "kvctl latency set",
     MakeLatency},
    {"compact",
     {},
     false,
     "Reclaim the space of overwritten and deleted values now",
     "[OPTIONS]",
     "kvctl compact\n"
     "kvctl compact --json",
     MakeCompact},
    {"export",
     {},
     false,
     "Write keys to a dump, or to a Redis",
     "[PATTERN] [OPTIONS]",
     "kvctl export -o all.json.zst\n"
     "kvctl export 'user:*' --format csv > users.csv\n"
     "kvctl export --sort --revisions -o all.json\n"
     "kvctl export --to-redis localhost:6379",
     MakeExport},
    {"import",
     {},
     true,
     "Read keys from a dump, or from a Redis",
     "[FILE] [OPTIONS]",
     "kvctl import all.json.zst\n"
     "kvctl import --dry-run users.csv\n"
     "kvctl import --from-redis /run/redis/redis.sock --skipped others.json\n"
     "kvctl import huge.resp --resume-file huge.state",
     MakeImport},
    {"diff",
     {},
     false,
     "Compare two dumps or servers",
     "A B [OPTIONS]",
     "kvctl diff monday.json.zst tuesday.json.zst\n"
     "kvctl diff /run/kvd/kvd.sock localhost:6379 --json",
     MakeDiff},
    {"migrate",
     {},
     true,
     "Move all data into etcd, or back, between two kvds",
     "[OPTIONS]",
     "kvctl migrate --to-etcd /run/kvd-etcd/kvd.sock --dry-run\n"
     "kvctl migrate --to-etcd /run/kvd-etcd/kvd.sock --resume-file state\n"
     "kvctl migrate --from-etcd /run/kvd-etcd/kvd.sock",
     MakeMigrate},
    {"backup",
     {},
     false,
     "Copy all data to a file while kvd serves",
     "FILE [OPTIONS]",
     "kvctl backup monday.kvdbackup\n"
     "kvctl backup tuesday.kvdbackup --base monday.kvdbackup\n"
     "kvctl backup --verify tuesday.kvdbackup\n"
     "kvctl backup - | ssh other kvd restore - /var/lib/kvd",
     MakeBackup},
    {"call",
     {},
     true,
     "Send any command and print its reply",
     "[OPTIONS] COMMAND [ARGUMENT …]",
     "kvctl call MSET a 1 b 2\n"
     "kvctl call --json CONFIG GET save",
     MakeCall},
    {"help",
     {},
     false,
     "Show the arguments and options of a command",
     "[COMMAND] [OPTIONS]",
     "kvctl help set",
     MakeHelp},
};

}  // namespace

std::span<const VerbRow> Verbs() { return kVerbs; }

}  // namespace kvctl
