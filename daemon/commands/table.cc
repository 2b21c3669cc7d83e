// SPDX-License-Identifier: MIT
#include "daemon/commands/table.h"

#include <algorithm>
#include <array>

#include "daemon/commands/handlers.h"
#include "daemon/commands/text.h"

namespace kvd {
namespace {

constexpr KeySpec kNoKeys = {};
constexpr KeySpec kFirst = {1, 1, 1};
constexpr KeySpec kSecond = {2, 2, 1};  // After a subcommand's name.
constexpr KeySpec kFirstTwo = {1, 2, 1};
constexpr KeySpec kAll = {1, -1, 1};
constexpr KeySpec kFromSecond = {2, -1, 1};
constexpr KeySpec kPairs = {1, -1, 2};
constexpr KeySpec kCountedPairs = {2, 0, 2, 1};
#ifdef KVD_SCRIPTS
constexpr KeySpec kCountedBySecond = {3, 0, 1, 2};
#endif

// Works at any time, on the connection's own account.
constexpr uint16_t kAnyTime = kLoading | kNoScript;

// What a connection of version 2 may still do when it is subscribed.
constexpr uint16_t kSubscription =
    kNoScript | kWhileSubscribed | kAnswersAlways;

// A backup takes many commands of one connection.
constexpr uint16_t kBackupFlags = kDangerous | kNoMulti | kNoScript;

using enum Access;
using enum CommandGroup;

// In order of their names; the columns are those of Command.
// clang-format off
constexpr Command kAclCommands[] = {
    {"CAT", 2, 3, kNoKeys, kNone, kServer, kAnyTime, HandleAclCat, "6.0.0",
     "O(N)", "[category]",
     "Returns the categories of commands, or the commands of one."},
    {"HELP", 2, 2, kNoKeys, kNone, kServer, kAnyTime, HandleAclHelp, "6.0.0",
     "O(1)", "", "Returns what the subcommands do."},
    {"LIST", 2, 2, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleAclList, "6.0.0", "O(1)", "", "Returns what users may do.", {},
     "There is one user, who may do everything."},
    {"USERS", 2, 2, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleAclUsers, "6.0.0", "O(1)", "", "Returns the names of users.", {},
     "There is one user."},
    {"WHOAMI", 2, 2, kNoKeys, kNone, kServer, kAnyTime, HandleAclWhoAmI,
     "6.0.0", "O(1)", "", "Returns the name of the connection's user."},
};

constexpr Command kClientCommands[] = {
    {"CACHING", 3, 3, kNoKeys, kNone, kConnection, kAnyTime,
     HandleClientCaching, "6.0.0", "O(1)", "YES|NO",
     "Answers that there is no tracking.", {}, "Refused: no tracking."},
    {"CAPA", 3, kWordsMax, kNoKeys, kNone, kConnection, kAnyTime,
     HandleClientCapa, "8.0.0", "O(1)", "capability [capability ...]",
     "Accepted for compatibility: nothing depends on it."},
    {"GETNAME", 2, 2, kNoKeys, kNone, kConnection, kAnyTime,
     HandleClientGetName, "2.6.9", "O(1)", "",
     "Returns the name of the connection."},
    {"GETREDIR", 2, 2, kNoKeys, kNone, kConnection, kAnyTime,
     HandleClientGetRedir, "6.0.0", "O(1)", "",
     "Returns -1: there is no tracking."},
    {"HELP", 2, 2, kNoKeys, kNone, kConnection, kLoading, HandleClientHelp,
     "5.0.0", "O(1)", "", "Returns what the subcommands do."},
    {"ID", 2, 2, kNoKeys, kNone, kConnection, kAnyTime, HandleClientId, "5.0.0",
     "O(1)", "", "Returns the number of the connection."},
    {"INFO", 2, 2, kNoKeys, kNone, kConnection, kAnyTime, HandleClientInfo,
     "6.2.0", "O(1)", "", "Returns a description of the connection."},
    {"KILL", 3, kWordsMax, kNoKeys, kAdmin, kConnection,
     kAnyTime | kDangerous, HandleClientKill, "2.4.0", "O(N)",
     "[ID id [id ...]] [ADDR address] [LADDR address] [USER user] "
     "[TYPE NORMAL] [SKIPME YES|NO] [MAXAGE seconds]",
     "Closes connections.", {},
     "All clients of a Unix socket have its path as their address."},
    {"LIST", 2, kWordsMax, kNoKeys, kAdmin, kConnection,
     kAnyTime | kDangerous, HandleClientList, "2.4.0", "O(N)",
     "[ID id [id ...]] [ADDR address] [LADDR address] [USER user] "
     "[TYPE NORMAL] [SKIPME YES|NO] [MAXAGE seconds]",
     "Returns a line for each connection.", {},
     "It also has the process and user of each peer (pid, uid)."},
    {"NO-EVICT", 3, 3, kNoKeys, kNone, kConnection, kAnyTime,
     HandleClientNoEvict, "7.0.0", "O(1)", "ON|OFF",
     "Accepted for compatibility: nothing is evicted."},
    {"NO-TOUCH", 3, 3, kNoKeys, kNone, kConnection, kAnyTime,
     HandleClientNoTouch, "7.2.0", "O(1)", "ON|OFF",
     "Accepted for compatibility: reading leaves no trace."},
    {"PAUSE", 3, 4, kNoKeys, kAdmin, kConnection, kAnyTime | kDangerous,
     HandleClientPause, "3.0.0", "O(1)", "milliseconds [WRITE|ALL]",
     "Lets commands of all clients wait.", {},
     "During ALL, too, everything works that works while the data is loading: "
     "PING, INFO, CLIENT, CONFIG, SHUTDOWN and such. Keys that somebody looks "
     "up after their deadline are removed."},
    {"REPLY", 3, 3, kNoKeys, kNone, kConnection, kAnyTime | kNoMulti,
     HandleClientReply, "3.2.0", "O(1)", "ON|OFF|SKIP",
     "Says whether the connection gets replies."},
    {"SETINFO", 4, 4, kNoKeys, kNone, kConnection, kAnyTime,
     HandleClientSetInfo, "7.2.0", "O(1)", "LIB-NAME|LIB-VER value",
     "Names the client's library."},
    {"SETNAME", 3, 3, kNoKeys, kNone, kConnection, kAnyTime,
     HandleClientSetName, "2.6.9", "O(1)", "name", "Names the connection."},
    {"TRACKING", 3, kWordsMax, kNoKeys, kNone, kConnection, kAnyTime,
     HandleClientTracking, "6.0.0", "O(1)", "ON|OFF",
     "Answers that there is no tracking.", {}, "ON is refused: no tracking."},
    {"TRACKINGINFO", 2, 2, kNoKeys, kNone, kConnection, kAnyTime,
     HandleClientTrackingInfo, "6.2.0", "O(1)", "",
     "Returns that tracking is off."},
    {"UNBLOCK", 3, 4, kNoKeys, kAdmin, kConnection, kAnyTime | kDangerous,
     HandleClientUnblock, "5.0.0", "O(log N)", "id [TIMEOUT|ERROR]",
     "Ends the wait of another client.", {},
     "WAITAOF and KV.COMPACT WAIT are what clients wait in."},
    {"UNPAUSE", 2, 2, kNoKeys, kAdmin, kConnection, kAnyTime | kDangerous,
     HandleClientUnpause, "6.2.0", "O(1)", "", "Ends a pause."},
};

constexpr Command kCommandCommands[] = {
    {"COUNT", 2, 2, kNoKeys, kNone, kServer, kLoading, HandleCommandCount,
     "2.8.13", "O(1)", "", "Returns how many commands there are."},
    {"DOCS", 2, kNamesMax, kNoKeys, kNone, kServer, kLoading,
     HandleCommandDocs, "7.0.0", "O(N)", "[name [name ...]]",
     "Returns the documentation of commands."},
    {"GETKEYS", 3, kWordsMax, kNoKeys, kNone, kServer, kLoading,
     HandleCommandGetKeys, "2.8.13", "O(N)", "command [arg [arg ...]]",
     "Returns which words of a command are keys."},
    {"HELP", 2, 2, kNoKeys, kNone, kServer, kLoading, HandleCommandHelp,
     "5.0.0", "O(1)", "", "Returns what the subcommands do."},
    {"INFO", 2, kNamesMax, kNoKeys, kNone, kServer, kLoading,
     HandleCommandInfo, "2.8.13", "O(N)", "[name [name ...]]",
     "Returns arity, flags and keys of commands."},
    {"LIST", 2, 5, kNoKeys, kNone, kServer, kLoading, HandleCommandList,
     "7.0.0", "O(N)", "[FILTERBY MODULE|ACLCAT|PATTERN value]",
     "Returns the names of commands."},
};

constexpr Command kConfigCommands[] = {
    {"GET", 3, kNamesMax, kNoKeys, kAdmin, kServer,
     kAnyTime | kDangerous, HandleConfigGet, "2.0.0", "O(N)",
     "pattern [pattern ...]", "Returns settings by name."},
    {"HELP", 2, 2, kNoKeys, kNone, kServer, kLoading, HandleConfigHelp,
     "5.0.0", "O(1)", "", "Returns what the subcommands do."},
    {"RESETSTAT", 2, 2, kNoKeys, kAdmin, kServer,
     kAnyTime | kDangerous, HandleConfigResetStat, "2.0.0", "O(1)", "",
     "Sets the counters of INFO to zero."},
    {"REWRITE", 2, 2, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleConfigRewrite, "2.8.0", "O(N)", "",
     "Writes what CONFIG SET has changed to the configuration file.", {},
     "It changes these values alone; comments and order stay."},
    {"SET", 4, kNamesMax, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleConfigSet, "2.0.0", "O(N)", "parameter value [parameter value ...]",
     "Changes settings, all or none.", {},
     "Takes kvd's settings by their names in `kvd.toml`, and those of Redis "
     "that mean the same; others only with the value that they have."},
};

constexpr Command kFunctionCommands[] = {
    {"FLUSH", 2, 3, kNoKeys, kWrite, kServer, kNoScript, HandleFunctionFlush,
     "7.0.0", "O(1)", "[ASYNC|SYNC]",
     "Accepted for compatibility: there are no functions."},
    {"HELP", 2, 2, kNoKeys, kNone, kServer, kAnyTime, HandleFunctionHelp,
     "7.0.0", "O(1)", "", "Returns what the subcommands do."},
};

constexpr Command kKvBackupCommands[] = {
    {"BEGIN", 2, 2, kNoKeys, kAdmin, kKv, kBackupFlags, HandleKvBackupBegin,
     "7.2.4", "O(N)", "",
     "Begins a backup, which ends with the connection at the latest, and "
     "returns its revision, its MANIFEST and its segments."},
    {"END", 2, 2, kNoKeys, kAdmin, kKv, kBackupFlags, HandleKvBackupEnd,
     "7.2.4", "O(1)", "", "Ends a backup of which everything was read."},
    {"HELP", 2, 2, kNoKeys, kNone, kKv, kLoading, HandleKvHelp, "7.2.4", "O(1)",
     "", "Returns what the subcommands do."},
    {"READ", 5, 5, kNoKeys, kAdmin, kKv, kBackupFlags, HandleKvBackupRead,
     "7.2.4", "O(N)", "segment offset bytes",
     "Returns bytes of a segment of the backup: so many, 262144 at the most, "
     "and fewer at its end."},
};

constexpr Command kKvLatencyCommands[] = {
    {"COMMANDS", 2, kNamesMax, kNoKeys, kNone, kKv, kLoading,
     HandleKvLatencyCommands, "7.2.4", "O(N)", "[command [command ...]]",
     "Returns histograms of how long commands ran and how long their replies "
     "took."},
    {"HELP", 2, 2, kNoKeys, kNone, kKv, kLoading, HandleKvHelp, "7.2.4", "O(1)",
     "", "Returns what the subcommands do."},
    {"LOG", 2, 2, kNoKeys, kNone, kKv, 0, HandleKvLatencyLog, "7.2.4", "O(1)",
     "",
     "Returns histograms of how long flushes took and how long writers waited."},
};

constexpr Command kLatencyCommands[] = {
    {"DOCTOR", 2, 2, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleLatencyDoctor, "2.8.13", "O(1)", "",
     "Returns what took long, for a person."},
    {"GRAPH", 3, 3, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleLatencyGraph, "2.8.13", "O(1)", "event",
     "Accepted for compatibility: there are no events.", {},
     "There are no events."},
    {"HELP", 2, 2, kNoKeys, kNone, kServer, kLoading, HandleLatencyHelp,
     "2.8.13", "O(1)", "", "Returns what the subcommands do."},
    {"HISTOGRAM", 2, kNamesMax, kNoKeys, kAdmin, kServer,
     kAnyTime | kDangerous, HandleLatencyHistogram, "7.0.0", "O(N)",
     "[command [command ...]]",
     "Returns how long commands ran, as cumulative histograms."},
    {"HISTORY", 3, 3, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleLatencyHistory, "2.8.13", "O(1)", "event",
     "Accepted for compatibility: there are no events.", {},
     "There are no events."},
    {"LATEST", 2, 2, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleLatencyLatest, "2.8.13", "O(1)", "",
     "Accepted for compatibility: there are no events.", {},
     "There are no events."},
    {"RESET", 2, kWordsMax, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleLatencyReset, "2.8.13", "O(1)", "[event [event ...]]",
     "Accepted for compatibility: there are no events."},
};

constexpr Command kMemoryCommands[] = {
    {"DOCTOR", 2, 2, kNoKeys, kNone, kServer, 0, HandleMemoryDoctor, "4.0.0",
     "O(1)", "", "Returns what is the matter with memory, if anything is."},
    {"HELP", 2, 2, kNoKeys, kNone, kServer, kLoading, HandleMemoryHelp,
     "4.0.0", "O(1)", "", "Returns what the subcommands do."},
    {"MALLOC-STATS", 2, 2, kNoKeys, kNone, kServer, 0, HandleMemoryMallocStats,
     "4.0.0", "O(1)", "", "Answers that the allocator has no report."},
    {"PURGE", 2, 2, kNoKeys, kAdmin, kServer, kDangerous, HandleMemoryPurge,
     "4.0.0", "O(N) in pieces of free memory; everyone waits for it", "",
     "Gives free memory back to the system."},
    {"STATS", 2, 2, kNoKeys, kNone, kServer, kDangerous, HandleMemoryStats,
     "4.0.0", "O(N) in pieces of free memory; everyone waits for it", "",
     "Returns figures about memory, the allocator's own among them."},
    {"USAGE", 3, kWordsMax, kSecond, kRead, kServer, 0, HandleMemoryUsage,
     "4.0.0", "O(1)", "key [SAMPLES count]",
     "Returns how much memory a key takes with its value, if that is there.", {},
     "SAMPLES means nothing for strings; a value on disk takes no memory."},
};

constexpr Command kObjectCommands[] = {
    {"ENCODING", 3, 3, kSecond, kRead, kGeneric, 0, HandleObjectEncoding,
     "2.2.3", "O(1)", "key",
     "Returns int, embstr or raw: how Redis would keep a value.", {},
     "By the value alone, not by the command that made it."},
    {"FREQ", 3, 3, kSecond, kRead, kGeneric, 0, HandleObjectFreq, "4.0.0",
     "O(1)", "key", "Answers that it is not counted how often keys are used.", {},
     "Always that error."},
    {"HELP", 2, 2, kNoKeys, kNone, kGeneric, kLoading, HandleObjectHelp,
     "6.2.0", "O(1)", "", "Returns what the subcommands do."},
    {"IDLETIME", 3, 3, kSecond, kRead, kGeneric, 0, HandleObjectIdleTime,
     "2.2.3", "O(1)", "key",
     "Returns 0: it is not known when a key was used last.", {},
     "Always 0."},
    {"REFCOUNT", 3, 3, kSecond, kRead, kGeneric, 0, HandleObjectRefCount,
     "2.2.3", "O(1)", "key", "Returns 1: values are not shared.", {},
     "Also 1 for small numbers, which Redis shares."},
};

constexpr Command kPubSubCommands[] = {
    {"CHANNELS", 2, 3, kNoKeys, kNone, kPubSub, 0, HandlePubSubChannels,
     "2.8.0", "O(N)", "[pattern]", "Returns the channels with subscribers.", {},
     "In byte order; lists over several turns."},
    {"HELP", 2, 2, kNoKeys, kNone, kPubSub, kLoading, HandlePubSubHelp, "6.2.0",
     "O(1)", "", "Returns what the subcommands do."},
    {"NUMPAT", 2, 2, kNoKeys, kNone, kPubSub, 0, HandlePubSubNumPat, "2.8.0",
     "O(1)", "", "Returns how many different patterns have subscribers."},
    {"NUMSUB", 2, kWordsMax, kNoKeys, kNone, kPubSub, 0,
     HandlePubSubNumSub, "2.8.0", "O(N)", "[channel [channel ...]]",
     "Returns how many subscribers channels have."},
    {"SHARDCHANNELS", 2, 3, kNoKeys, kNone, kPubSub, 0,
     HandlePubSubShardChannels, "7.0.0", "O(N)", "[pattern]",
     "Returns the channels of SSUBSCRIBE with subscribers."},
    {"SHARDNUMSUB", 2, kWordsMax, kNoKeys, kNone, kPubSub, 0,
     HandlePubSubShardNumSub, "7.0.0", "O(N)", "[channel [channel ...]]",
     "Returns how many subscribers channels of SSUBSCRIBE have."},
};

#ifdef KVD_SCRIPTS
constexpr Command kScriptCommands[] = {
    {"EXISTS", 3, kNamesMax, kNoKeys, kNone, kScripting, kNoScript,
     HandleScriptExists, "2.6.0", "O(N)", "sha1 [sha1 ...]",
     "Returns whether scripts are known by their SHA-1."},
    {"FLUSH", 2, 3, kNoKeys, kNone, kScripting, kNoScript, HandleScriptFlush,
     "2.6.0", "O(N)", "[ASYNC|SYNC]", "Forgets all scripts."},
    {"HELP", 2, 2, kNoKeys, kNone, kScripting, kLoading, HandleScriptHelp,
     "5.0.0", "O(1)", "", "Returns what the subcommands do."},
    {"KILL", 2, 2, kNoKeys, kNone, kScripting, kNoScript, HandleScriptKill,
     "2.6.0", "O(1)", "", "Answers that no script runs.", {},
     "Scripts end in time by themselves."},
    {"LOAD", 3, 3, kNoKeys, kNone, kScripting, kNoScript, HandleScriptLoad,
     "2.6.0", "O(N)", "script",
     "Keeps a script and returns its SHA-1."},
    {"SHOW", 3, 3, kNoKeys, kNone, kScripting, kNoScript, HandleScriptShow,
     "8.0.0", "O(1)", "sha1", "Returns a script."},
};
#endif

constexpr Command kSlowLogCommands[] = {
    {"GET", 2, 3, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleSlowLogGet, "2.2.12", "O(N)", "[count]",
     "Returns the newest commands that took long."},
    {"HELP", 2, 2, kNoKeys, kNone, kServer, kLoading, HandleSlowLogHelp,
     "6.2.0", "O(1)", "", "Returns what the subcommands do."},
    {"LEN", 2, 2, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleSlowLogLen, "2.2.12", "O(1)", "",
     "Returns how many such commands are remembered."},
    {"RESET", 2, 2, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleSlowLogReset, "2.2.12", "O(N)", "", "Forgets them."},
};

constexpr Command kCommands[] = {
    {"ACL", 2, kWordsMax, kNoKeys, kNone, kServer, kLoading, nullptr, "6.0.0",
     "Depends on subcommand.", "", "A container for commands about users.",
     kAclCommands},
    {"APPEND", 3, 3, kFirst, kWrite, kString, kFast | kDenyOom, HandleAppend,
     "2.0.0", "O(1)", "key value",
     "Appends to a value, creating the key if need be."},
    {"AUTH", 2, kWordsMax, kNoKeys, kNone, kConnection, kAnyTime | kFast | kNoAuth,
     HandleAuth, "1.0.0", "O(1)", "[username] password",
     "Authenticates the connection.", {},
     "There is one user, default, and no password."},
    {"BGREWRITEAOF", 1, 1, kNoKeys, kAdmin, kServer, kNoScript,
     HandleBgRewriteAof, "1.0.0", "O(1), the work is done in the background",
     "", "Starts a compaction of everything.", {},
     "Starts a compaction, which kvd does by itself as well."},
    {"BGSAVE", 1, 2, kNoKeys, kAdmin, kServer, kNoScript, HandleBgSave, "1.0.0",
     "O(1)", "[SCHEDULE|CANCEL]",
     "Accepted for compatibility: everything is on disk already.", {},
     "Does nothing: a write is on disk before its reply."},
    {"BITCOUNT", 2, kWordsMax, kFirst, kRead, kBitmap, 0, HandleBitCount,
     "2.6.0", "O(N)", "key [start [end [BYTE|BIT]]]",
     "Returns how many bits of a value, or of a part of it, are 1."},
    {"BITFIELD", 2, kWordsMax, kFirst, kWrite, kBitmap, kDenyOom,
     HandleBitField, "3.2.0", "O(N), a value is written anew",
     "key [GET encoding offset|[OVERFLOW WRAP|SAT|FAIL] "
     "SET encoding offset value|INCRBY encoding offset increment [...]]",
     "Reads and changes whole numbers of any width inside of a value.", {},
     "Offsets end with limits.value_size."},
    {"BITFIELD_RO", 2, kWordsMax, kFirst, kRead, kBitmap, kFast,
     HandleBitFieldRo, "6.0.0", "O(1) for each subcommand",
     "key [GET encoding offset [GET encoding offset ...]]",
     "Reads whole numbers of any width inside of a value."},
    {"BITOP", 4, kWordsMax, kFromSecond, kWrite, kBitmap, kDenyOom, HandleBitOp,
     "2.6.0", "O(N)",
     "AND|OR|XOR|NOT|DIFF|DIFF1|ANDOR|ONE destkey key [key ...]",
     "Combines values bit by bit and keeps the result.", {},
     "Also has the operations of Redis 8.2; reads 512 MiB at the most."},
    {"BITPOS", 3, kWordsMax, kFirst, kRead, kBitmap, 0, HandleBitPos, "2.8.7",
     "O(N)", "key bit [start [end [BYTE|BIT]]]",
     "Returns where the first 0 or 1 of a value is."},
    {"CLIENT", 2, kWordsMax, kNoKeys, kNone, kConnection, kLoading, nullptr,
     "2.4.0", "Depends on subcommand.", "",
     "A container for commands about connections.", kClientCommands},
    {"CLUSTER", 2, kWordsMax, kNoKeys, kNone, kServer, kLoading, HandleCluster,
     "3.0.0", "O(1)", "subcommand [arg [arg ...]]",
     "Answers that there is no cluster.", {},
     "There is no cluster."},
    {"COMMAND", 1, kWordsMax, kNoKeys, kNone, kServer, kLoading, HandleCommand,
     "2.8.13", "O(N)", "", "Returns arity, flags and keys of all commands.",
     kCommandCommands},
    {"CONFIG", 2, kWordsMax, kNoKeys, kNone, kServer, kLoading, nullptr,
     "2.0.0", "Depends on subcommand.", "",
     "A container for commands about settings.", kConfigCommands},
    {"COPY", 3, kWordsMax, kFirstTwo, kWrite, kGeneric, kDenyOom, HandleCopy,
     "6.2.0", "O(N)", "key newkey [DB destination-db] [REPLACE]",
     "Copies a value and its deadline to another key."},
    {"DBSIZE", 1, 1, kNoKeys, kRead, kServer, kFast, HandleDbSize, "1.0.0",
     "O(1)", "", "Returns the number of keys in the database."},
    {"DEBUG", 2, kWordsMax, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous,
     HandleDebug, "1.0.0", "Depends on subcommand.",
     "SLEEP seconds|SET-ACTIVE-EXPIRE 0|1|OBJECT key|PROTOCOL type|RELOAD|HELP",
     "What tests of servers need.", {},
     "Only with `debug.commands = true`, and these subcommands. RELOAD waits "
     "until everything is on disk, and reads nothing."},
    {"DECR", 2, 2, kFirst, kWrite, kString, kFast | kDenyOom, HandleDecr,
     "1.0.0", "O(1)", "key", "Subtracts one from an integer value."},
    {"DECRBY", 3, 3, kFirst, kWrite, kString, kFast | kDenyOom, HandleDecrBy,
     "1.0.0", "O(1)", "key decrement",
     "Subtracts a number from an integer value."},
    {"DEL", 2, kWordsMax, kAll, kWrite, kGeneric, 0, HandleDel, "1.0.0",
     "O(N)", "key [key ...]", "Deletes keys."},
    {"DELEX", 2, kWordsMax, kFirst, kWrite, kString, kFast, HandleDelEx,
     "8.4.0", "O(N)",
     "key [IFEQ value|IFNE value|IFDEQ digest|IFDNE digest]",
     "Deletes a key if its value or the digest of that is, or is not, so."},
    {"DELIFEQ", 3, 3, kFirst, kWrite, kString, kFast,
     HandleDelIfEq, "9.0.0", "O(1)", "key value",
     "Deletes a key if it has this value."},
    {"DIGEST", 2, 2, kFirst, kRead, kString, kFast, HandleDigest, "8.4.0",
     "O(N)", "key", "Returns the XXH3 of a value as 16 hex digits."},
    {"DISCARD", 1, 1, kNoKeys, kNone, kTransactions,
     kAnyTime | kFast | kAtOnce, HandleDiscard, "2.0.0", "O(N)", "",
     "Forgets what was sent since MULTI."},
    {"ECHO", 2, 2, kNoKeys, kNone, kConnection, kLoading | kFast, HandleEcho,
     "1.0.0", "O(1)", "message", "Returns the message."},
#ifdef KVD_SCRIPTS
    {"EVAL", 3, kWordsMax, kCountedBySecond, kWrite, kScripting, kNoScript, HandleEval,
     "2.6.0", "Depends on the script.",
     "script numkeys [key [key ...]] [arg [arg ...]]", "Runs a script.", {},
     "Bounded in time and memory; a stopped script has changed nothing. It has "
     "1 MiB at the most. No struct, no cmsgpack."},
    {"EVALSHA", 3, kWordsMax, kCountedBySecond, kWrite, kScripting, kNoScript,
     HandleEvalSha, "2.6.0", "Depends on the script.",
     "sha1 numkeys [key [key ...]] [arg [arg ...]]",
     "Runs a script that is known by its SHA-1."},
    {"EVALSHA_RO", 3, kWordsMax, kCountedBySecond, kRead, kScripting, kNoScript,
     HandleEvalShaRo, "7.0.0", "Depends on the script.",
     "sha1 numkeys [key [key ...]] [arg [arg ...]]",
     "Runs a script that is known by its SHA-1 and changes nothing."},
    {"EVAL_RO", 3, kWordsMax, kCountedBySecond, kRead, kScripting, kNoScript,
     HandleEvalRo, "7.0.0", "Depends on the script.",
     "script numkeys [key [key ...]] [arg [arg ...]]",
     "Runs a script that changes nothing."},
#endif
    {"EXEC", 1, 1, kNoKeys, kNone, kTransactions,
     kAnyTime | kAtOnce | kNoSlowLog, HandleExec, "1.2.0",
     "Depends on commands in the transaction.", "",
     "Executes what was sent since MULTI, as a whole or not at all.", {},
     "Changes nothing if a command in it meets memory.limit, a full disk, a "
     "damaged value or too large a reply; limits.transaction_bytes bounds it."},
    {"EXISTS", 2, kWordsMax, kAll, kRead, kGeneric, kFast, HandleExists,
     "1.0.0", "O(N)", "key [key ...]", "Returns how many of the keys exist."},
    {"EXPIRE", 3, kWordsMax, kFirst, kWrite, kGeneric, kFast, HandleExpire,
     "1.0.0", "O(1)", "key seconds [NX|XX|GT|LT]",
     "Gives a key a deadline in seconds from now."},
    {"EXPIREAT", 3, kWordsMax, kFirst, kWrite, kGeneric, kFast,
     HandleExpireAt, "1.2.0", "O(1)", "key unix-time-seconds [NX|XX|GT|LT]",
     "Gives a key a deadline as a Unix time in seconds."},
    {"EXPIRETIME", 2, 2, kFirst, kRead, kGeneric, kFast, HandleExpireTime,
     "7.0.0", "O(1)", "key",
     "Returns a key's deadline as a Unix time in seconds."},
    {"FLUSHALL", 1, kWordsMax, kNoKeys, kWrite, kServer, kDangerous,
     HandleFlushAll, "1.0.0", "O(1)", "[ASYNC|SYNC]",
     "Removes all keys of all databases."},
    {"FLUSHDB", 1, kWordsMax, kNoKeys, kWrite, kServer, kDangerous,
     HandleFlushDb, "1.0.0", "O(1)", "[ASYNC|SYNC]",
     "Removes all keys of the database."},
    {"FUNCTION", 2, kWordsMax, kNoKeys, kNone, kServer, 0, nullptr, "7.0.0",
     "Depends on subcommand.", "", "A container for commands about functions.",
     kFunctionCommands},
    {"GET", 2, 2, kFirst, kRead, kString, kFast, HandleGet, "1.0.0", "O(1)",
     "key", "Returns a value."},
    {"GETBIT", 3, 3, kFirst, kRead, kBitmap, kFast, HandleGetBit, "2.2.0",
     "O(1)", "key offset", "Returns a bit of a value.", {},
     "Offsets end with limits.value_size."},
    {"GETDEL", 2, 2, kFirst, kWrite, kString, kFast, HandleGetDel,
     "6.2.0", "O(1)", "key", "Returns a value and deletes the key."},
    {"GETEX", 2, kWordsMax, kFirst, kWrite, kString, kFast, HandleGetEx, "6.2.0",
     "O(1)",
     "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|"
     "PXAT unix-time-milliseconds|PERSIST]",
     "Returns a value and changes the key's deadline."},
    {"GETRANGE", 4, 4, kFirst, kRead, kString, 0, HandleGetRange, "2.4.0",
     "O(N)", "key start end", "Returns a part of a value."},
    {"GETSET", 3, 3, kFirst, kWrite, kString, kFast | kDenyOom, HandleGetSet,
     "1.0.0", "O(1)", "key value", "Sets a value and returns the old one."},
    {"HELLO", 1, kWordsMax, kNoKeys, kNone, kConnection,
     kAnyTime | kFast | kNoAuth, HandleHello, "6.0.0", "O(1)",
     "[protover [AUTH username password] [SETNAME clientname]]",
     "Opens the conversation in version 2 or 3 of the protocol.", {},
     "Says redis 7.2.4, which clients know."},
    {"INCR", 2, 2, kFirst, kWrite, kString, kFast | kDenyOom, HandleIncr,
     "1.0.0", "O(1)", "key", "Adds one to an integer value."},
    {"INCRBY", 3, 3, kFirst, kWrite, kString, kFast | kDenyOom, HandleIncrBy,
     "1.0.0", "O(1)", "key increment", "Adds a number to an integer value."},
    {"INCRBYFLOAT", 3, 3, kFirst, kWrite, kString, kFast | kDenyOom,
     HandleIncrByFloat, "2.6.0", "O(1)", "key increment",
     "Adds a number to a decimal value."},
    {"INFO", 1, kNamesMax, kNoKeys, kNone, kServer, kLoading | kDangerous,
     HandleInfo, "1.0.0", "O(1)", "[section [section ...]]",
     "Returns figures about the daemon.", {},
     "Has fields of its own, which begin with kvd. avg_ttl is of a sample."},
    {"KEYS", 2, 2, kNoKeys, kRead, kGeneric, kDangerous, HandleKeys, "1.0.0",
     "O(N)", "pattern", "Returns all keys that match a pattern.", {},
     "Lists over several turns: what it shows is not of one moment."},
    {"KV.BACKUP", 2, kWordsMax, kNoKeys, kNone, kKv, 0, nullptr, "7.2.4",
     "Depends on subcommand.", "",
     "A container for commands that back up everything.", kKvBackupCommands},
    {"KV.COMPACT", 1, 2, kNoKeys, kAdmin, kKv, 0, HandleKvCompact, "7.2.4",
     "O(1), the work is done in the background", "[WAIT]",
     "Starts a compaction of everything and returns its number; with WAIT "
     "returns the bytes reclaimed, once it has ended."},
    {"KV.DEL", 2, 4, kFirst, kWrite, kKv, kFast, HandleKvDel,
     "7.2.4", "O(1)", "key [IFREV revision]",
     "Deletes a key and returns the revision of the deletion."},
    {"KV.GET", 2, 3, kFirst, kRead, kKv, kFast, HandleKvGet, "7.2.4", "O(1)",
     "key [META]",
     "Returns a value, or with META its size, then its revision and its "
     "milliseconds to live."},
    {"KV.LATENCY", 2, kWordsMax, kNoKeys, kNone, kKv, kLoading, nullptr,
     "7.2.4", "Depends on subcommand.", "",
     "A container for commands about how long things take.",
     kKvLatencyCommands},
    {"KV.SET", 3, kWordsMax, kFirst, kWrite, kKv, kFast | kDenyOom,
     HandleKvSet, "7.2.4", "O(1)",
     "key value [NX|XX|IFEQ value|IFNE value|IFDEQ digest|IFDNE digest|"
     "IFREV revision] "
     "[EX seconds|PX milliseconds|EXAT unix-time-seconds|"
     "PXAT unix-time-milliseconds|KEEPTTL]",
     "Sets a value and returns its revision."},
    {"KV.STATUS", 1, 1, kNoKeys, kNone, kKv, kLoading, HandleKvStatus, "7.2.4",
     "O(1)", "", "Returns the daemon's state."},
    {"LASTSAVE", 1, 1, kNoKeys, kNone, kServer, kAnyTime | kFast,
     HandleLastSave, "1.0.0", "O(1)", "",
     "Returns when everything was on disk last, as a Unix time.", {},
     "Mostly now."},
    {"LATENCY", 2, kWordsMax, kNoKeys, kNone, kServer, kLoading, nullptr,
     "2.8.13", "Depends on subcommand.", "",
     "A container for commands about how long commands take.",
     kLatencyCommands},
    {"LCS", 3, kWordsMax, kFirstTwo, kRead, kString, 0, HandleLcs, "7.0.0",
     "O(N*M/64)",
     "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
     "Returns the longest common subsequence of two values.", {},
     "The product of the sizes may be 256 Mi, by the time that it takes."},
    {"MEMORY", 2, kWordsMax, kNoKeys, kNone, kServer, kLoading, nullptr,
     "4.0.0", "Depends on subcommand.", "",
     "A container for commands about memory.", kMemoryCommands},
    {"MGET", 2, kWordsMax, kAll, kRead, kString, kFast, HandleMGet, "1.0.0",
     "O(N)", "key [key ...]", "Returns several values."},
    {"MONITOR", 1, 1, kNoKeys, kAdmin, kServer, kAnyTime | kDangerous | kNoMulti,
     HandleMonitor, "1.0.0", "O(1)", "",
     "Shows the connection what all clients do.", {},
     "A line that shows a change comes when that is on disk. Whoever does not "
     "read is disconnected at `limits.output_bytes`."},
    {"MOVE", 3, 3, kFirst, kWrite, kGeneric, kFast, HandleMove, "1.0.0", "O(1)",
     "key db", "Moves a key to another database."},
    {"MSET", 3, kWordsMax, kPairs, kWrite, kString, kDenyOom, HandleMSet,
     "1.0.1", "O(N)", "key value [key value ...]",
     "Sets several values, all or none."},
    {"MSETEX", 4, kWordsMax, kCountedPairs, kWrite, kString, kDenyOom,
     HandleMSetEx, "8.4.0", "O(N)",
     "numkeys key value [key value ...] [NX|XX] "
     "[EX seconds|PX milliseconds|EXAT unix-time-seconds|"
     "PXAT unix-time-milliseconds|KEEPTTL]",
     "Sets several values and one deadline for all, all or none."},
    {"MSETNX", 3, kWordsMax, kPairs, kWrite, kString, kDenyOom, HandleMSetNx,
     "1.0.1", "O(N)", "key value [key value ...]",
     "Sets several values if none of the keys exists."},
    {"MULTI", 1, 1, kNoKeys, kNone, kTransactions,
     kAnyTime | kFast | kNoMulti, HandleMulti, "1.2.0", "O(1)", "",
     "Begins a transaction: what follows waits for EXEC.", {},
     "Refuses CLIENT REPLY and KV.COMPACT WAIT in it, beside what Valkey does."},
    {"OBJECT", 2, kWordsMax, kNoKeys, kNone, kGeneric, kLoading, nullptr,
     "2.2.3", "Depends on subcommand.", "",
     "A container for commands about how values are kept.", kObjectCommands},
    {"PERSIST", 2, 2, kFirst, kWrite, kGeneric, kFast, HandlePersist, "2.2.0",
     "O(1)", "key", "Removes a key's deadline."},
    {"PEXPIRE", 3, kWordsMax, kFirst, kWrite, kGeneric, kFast, HandlePExpire,
     "2.6.0", "O(1)", "key milliseconds [NX|XX|GT|LT]",
     "Gives a key a deadline in milliseconds from now."},
    {"PEXPIREAT", 3, kWordsMax, kFirst, kWrite, kGeneric, kFast,
     HandlePExpireAt, "2.6.0", "O(1)",
     "key unix-time-milliseconds [NX|XX|GT|LT]",
     "Gives a key a deadline as a Unix time in milliseconds."},
    {"PEXPIRETIME", 2, 2, kFirst, kRead, kGeneric, kFast, HandlePExpireTime,
     "7.0.0", "O(1)", "key",
     "Returns a key's deadline as a Unix time in milliseconds."},
    {"PING", 1, 2, kNoKeys, kNone, kConnection,
     kLoading | kFast | kWhileSubscribed, HandlePing, "1.0.0", "O(1)", "[message]", "Returns PONG or the message."},
    {"PSETEX", 4, 4, kFirst, kWrite, kString, kDenyOom, HandlePSetEx, "2.6.0",
     "O(1)", "key milliseconds value",
     "Sets a value with a deadline in milliseconds from now."},
    {"PSUBSCRIBE", 2, kWordsMax, kNoKeys, kNone, kPubSub, kSubscription,
     HandlePSubscribe, "2.0.0", "O(N log M)", "pattern [pattern ...]",
     "Subscribes to the channels that match patterns.", {},
     "A pattern has 4096 bytes at the most, a client 1048576 subscriptions."},
    {"PTTL", 2, 2, kFirst, kRead, kGeneric, kFast, HandlePTtl, "2.6.0", "O(1)",
     "key", "Returns a key's time to live in milliseconds."},
    {"PUBLISH", 3, 3, kNoKeys, kNone, kPubSub, kFast | kReachesOthers,
     HandlePublish, "2.0.0", "O(N+M)", "channel message",
     "Sends a message to a channel's subscribers and returns how many they are.",
     {},
     "Nobody gets the message before what the sender has seen is on disk."},
    {"PUBSUB", 2, kWordsMax, kNoKeys, kNone, kPubSub, 0, nullptr, "2.8.0",
     "Depends on subcommand.", "", "A container for commands about channels.",
     kPubSubCommands},
    {"PUNSUBSCRIBE", 1, kWordsMax, kNoKeys, kNone, kPubSub, kSubscription,
     HandlePUnsubscribe, "2.0.0", "O(N log M)", "[pattern [pattern ...]]",
     "Ends subscriptions to patterns, or all of them."},
    {"QUIT", 1, kWordsMax, kNoKeys, kNone, kConnection,
     kAnyTime | kFast | kNoAuth | kAtOnce | kWhileSubscribed, HandleQuit,
     "1.0.0", "O(1)", "",
     "Closes the connection."},
    {"RANDOMKEY", 1, 1, kNoKeys, kRead, kGeneric, 0, HandleRandomKey, "1.0.0",
     "O(1)", "", "Returns one of the keys, each with the same chance."},
    {"RENAME", 3, 3, kFirstTwo, kWrite, kGeneric, 0, HandleRename, "1.0.0",
     "O(1)", "key newkey", "Renames a key, replacing the new name's."},
    {"RENAMENX", 3, 3, kFirstTwo, kWrite, kGeneric, kFast, HandleRenameNx,
     "1.0.0", "O(1)", "key newkey",
     "Renames a key if the new name does not exist."},
    {"RESET", 1, 1, kNoKeys, kNone, kConnection,
     kAnyTime | kFast | kNoAuth | kAtOnce | kWhileSubscribed, HandleReset,
     "6.2.0", "O(1)", "",
     "Puts the connection into the state of a new one."},
    {"ROLE", 1, 1, kNoKeys, kAdmin, kServer, kAnyTime | kFast | kDangerous,
     HandleRole, "2.8.12", "O(1)", "", "Returns that this is a master.", {},
     "There is no replication."},
    {"SAVE", 1, 1, kNoKeys, kAdmin, kServer, kNoScript | kDangerous | kNoMulti,
     HandleSave, "1.0.0", "O(1)", "", "Returns when everything is on disk.", {},
     "Makes no snapshot: it waits for the log."},
    {"SCAN", 2, kWordsMax, kNoKeys, kRead, kGeneric, 0, HandleScan, "2.8.0",
     "O(N)", "cursor [MATCH pattern] [COUNT count] [TYPE type]",
     "Returns some of the keys and where to go on.", {},
     "Stops after 1 MiB of keys."},
#ifdef KVD_SCRIPTS
    {"SCRIPT", 2, kWordsMax, kNoKeys, kNone, kScripting, kLoading, nullptr,
     "2.6.0", "Depends on subcommand.", "",
     "A container for commands about scripts.", kScriptCommands},
#endif
    {"SELECT", 2, 2, kNoKeys, kNone, kConnection, kLoading | kFast,
     HandleSelect, "1.0.0", "O(1)", "index",
     "Selects one of the 16 databases."},
    {"SET", 3, kWordsMax, kFirst, kWrite, kString, kDenyOom, HandleSet,
     "1.0.0", "O(1)",
     "key value [NX|XX|IFEQ value|IFNE value|IFDEQ digest|IFDNE digest] "
     "[GET] "
     "[EX seconds|PX milliseconds|EXAT unix-time-seconds|"
     "PXAT unix-time-milliseconds|KEEPTTL]",
     "Sets a value.", {},
     "Also has IFNE, IFDEQ and IFDNE of Redis 8.4."},
    {"SETBIT", 4, 4, kFirst, kWrite, kBitmap, kDenyOom, HandleSetBit, "2.2.0",
     "O(N), the value is written anew", "key offset value",
     "Sets a bit of a value and returns what it was.", {},
     "Offsets end with limits.value_size."},
    {"SETEX", 4, 4, kFirst, kWrite, kString, kDenyOom, HandleSetEx, "2.0.0",
     "O(1)", "key seconds value",
     "Sets a value with a deadline in seconds from now."},
    {"SETNX", 3, 3, kFirst, kWrite, kString, kFast | kDenyOom, HandleSetNx,
     "1.0.0", "O(1)", "key value", "Sets a value if the key does not exist."},
    {"SETRANGE", 4, 4, kFirst, kWrite, kString, kDenyOom, HandleSetRange,
     "2.2.0", "O(N)", "key offset value", "Overwrites a part of a value."},
    {"SHUTDOWN", 1, kWordsMax, kNoKeys, kAdmin, kServer,
     kAnyTime | kDangerous | kNoMulti, HandleShutdown, "1.0.0", "O(1)",
     "[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]",
     "Stops the daemon; everything is on disk then.", {},
     "Everything is on disk, with NOSAVE, too; ABORT finds none under way."},
    {"SLOWLOG", 2, kWordsMax, kNoKeys, kNone, kServer, kLoading, nullptr,
     "2.2.12", "Depends on subcommand.", "",
     "A container for commands about commands that took long.",
     kSlowLogCommands},
    {"SPUBLISH", 3, 3, kNoKeys, kNone, kPubSub, kFast | kReachesOthers,
     HandleSPublish, "7.0.0", "O(N)", "shardchannel message",
     "Sends a message to the channel's subscribers by SSUBSCRIBE.", {},
     "There are no shards: these channels only have names of their own."},
    {"SSUBSCRIBE", 2, kWordsMax, kNoKeys, kNone, kPubSub, kSubscription,
     HandleSSubscribe, "7.0.0", "O(N log M)",
     "shardchannel [shardchannel ...]",
     "Subscribes to channels of SPUBLISH."},
    {"STRLEN", 2, 2, kFirst, kRead, kString, kFast, HandleStrLen, "2.2.0",
     "O(1)", "key", "Returns the size of a value."},
    {"SUBSCRIBE", 2, kWordsMax, kNoKeys, kNone, kPubSub, kSubscription,
     HandleSubscribe, "2.0.0", "O(N log M)", "channel [channel ...]",
     "Subscribes to channels.", {},
     "A client that has more than limits.subscriber_bytes of messages unread is "
     "disconnected."},
    {"SUBSTR", 4, 4, kFirst, kRead, kString, 0, HandleGetRange, "1.0.0",
     "O(N)", "key start end", "Returns a part of a value."},
    {"SUNSUBSCRIBE", 1, kWordsMax, kNoKeys, kNone, kPubSub, kSubscription,
     HandleSUnsubscribe, "7.0.0", "O(N log M)",
     "[shardchannel [shardchannel ...]]",
     "Ends subscriptions to channels of SPUBLISH, or all of them."},
    {"SWAPDB", 3, 3, kNoKeys, kWrite, kServer, kFast | kDangerous, HandleSwapDb,
     "4.0.0", "O(1)", "index1 index2", "Exchanges two databases."},
    {"TIME", 1, 1, kNoKeys, kNone, kServer, kLoading | kFast, HandleTime,
     "2.6.0", "O(1)", "", "Returns the time, in seconds and microseconds."},
    {"TOUCH", 2, kWordsMax, kAll, kRead, kGeneric, kFast, HandleExists,
     "3.2.1", "O(N)", "key [key ...]", "Returns how many of the keys exist.", {},
     "Reading leaves no trace."},
    {"TTL", 2, 2, kFirst, kRead, kGeneric, kFast, HandleTtl, "1.0.0", "O(1)",
     "key", "Returns a key's time to live in seconds."},
    {"TYPE", 2, 2, kFirst, kRead, kGeneric, kFast, HandleType, "1.0.0", "O(1)",
     "key", "Returns string or none."},
    {"UNLINK", 2, kWordsMax, kAll, kWrite, kGeneric, kFast,
     HandleDel, "4.0.0", "O(N)", "key [key ...]", "Deletes keys."},
    {"UNSUBSCRIBE", 1, kWordsMax, kNoKeys, kNone, kPubSub, kSubscription,
     HandleUnsubscribe, "2.0.0", "O(N log M)", "[channel [channel ...]]",
     "Ends subscriptions to channels, or all of them."},
    {"UNWATCH", 1, 1, kNoKeys, kNone, kTransactions, kAnyTime | kFast,
     HandleUnwatch, "2.2.0", "O(N)", "", "Forgets all watched keys."},
    {"WAIT", 3, 3, kNoKeys, kNone, kServer, 0, HandleWait, "3.0.0", "O(1)",
     "numreplicas timeout", "Returns 0: there are no replicas.", {},
     "Answers at once, as no replica can come."},
    {"WAITAOF", 4, 4, kNoKeys, kNone, kServer, 0, HandleWaitAof,
     "7.2.0", "O(1)", "numlocal numreplicas timeout",
     "Returns once everything that was written is on disk.", {},
     "Waits for this disk alone, as no replica can come."},
    {"WATCH", 2, kWordsMax, kAll, kRead, kTransactions,
     kNoScript | kFast | kNoMulti | kOfSession, HandleWatch, "2.2.0", "O(N)",
     "key [key ...]", "Lets the next EXEC do nothing if a key changes.", {},
     "What a client watches takes 16 MiB at the most."},
};
// clang-format on

// Subcommands as well.
constexpr bool IsSorted(std::span<const Command> commands) {
  return std::is_sorted(commands.begin(), commands.end(),
                        [](const Command& a, const Command& b) {
                          return a.name <= b.name;
                        }) &&
         std::all_of(commands.begin(), commands.end(),
                     [](const Command& c) { return IsSorted(c.subcommands); });
}
static_assert(IsSorted(kCommands), "byte order, each name once");

// With how many words a call of it is still brief; 0 for none.
constexpr size_t BriefWordsOf(const Command& command) {
  if (command.complexity == "O(1)") return kWordsMax;
  return command.keys.last < 0 ? kBriefWords : 0;
}

constexpr size_t CountRows() {
  size_t rows = 0;
  for (const Command& command : kCommands) {
    rows += 1 + command.subcommands.size();
  }
  return rows;
}

constexpr std::array<CommandRow, CountRows()> MakeRows() {
  std::array<CommandRow, CountRows()> rows = {};
  int number = 0;
  const auto add = [&](const Command& container, const Command& command) {
    rows[static_cast<size_t>(number)] = {&container, &command, number,
                                         BriefWordsOf(command)};
    ++number;
  };
  for (const Command& container : kCommands) {
    add(container, container);
    for (const Command& command : container.subcommands) {
      add(container, command);
    }
  }
  return rows;
}
constexpr std::array<CommandRow, CountRows()> kRows = MakeRows();

// The row of each of kCommands; its subcommands' are behind it.
constexpr std::array<size_t, std::size(kCommands)> MakeFirstRows() {
  std::array<size_t, std::size(kCommands)> first_rows = {};
  size_t row = 0;
  for (size_t i = 0; i < std::size(kCommands); ++i) {
    first_rows[i] = row;
    row += 1 + kCommands[i].subcommands.size();
  }
  return first_rows;
}
constexpr auto kFirstRows = MakeFirstRows();

// So that FindCommand() can make a name upper case on the stack.
constexpr size_t kNameBytesMax = 16;
static_assert(std::all_of(std::begin(kCommands), std::end(kCommands),
                          [](const Command& command) {
                            return command.name.size() <= kNameBytesMax;
                          }),
              "FindCommand() finds no longer name");

// FNV-1a, over the upper-case name.
constexpr uint32_t Hash(std::string_view name) {
  uint32_t hash = 2166136261u;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  }
  return hash;
}

// Open addressing; a slot holds an index plus one, 0 is free.
constexpr size_t kSlots = 512;
static_assert(std::size(kCommands) < 255 && std::size(kCommands) < kSlots / 4);

constexpr std::array<uint8_t, kSlots> MakeSlots() {
  std::array<uint8_t, kSlots> slots = {};
  for (size_t i = 0; i < std::size(kCommands); ++i) {
    size_t slot = Hash(kCommands[i].name) % kSlots;
    while (slots[slot] != 0) slot = (slot + 1) % kSlots;
    slots[slot] = static_cast<uint8_t>(i + 1);
  }
  return slots;
}
constexpr std::array<uint8_t, kSlots> kSlotTable = MakeSlots();

}  // namespace

std::span<const Command> Commands() { return kCommands; }

std::span<const CommandRow> CommandRows() { return kRows; }

const CommandRow& RowOf(const Command& container, const Command& command) {
  const size_t row = kFirstRows[static_cast<size_t>(&container - kCommands)];
  if (&container == &command) return kRows[row];
  const auto subcommand = &command - container.subcommands.data();
  return kRows[row + 1 + static_cast<size_t>(subcommand)];
}

const Command* FindCommand(std::string_view name) {
  if (name.size() > kNameBytesMax) return nullptr;
  char upper[kNameBytesMax];
  std::transform(name.begin(), name.end(), upper, ToUpper);
  const std::string_view wanted(upper, name.size());
  for (size_t slot = Hash(wanted) % kSlots; kSlotTable[slot] != 0;
       slot = (slot + 1) % kSlots) {
    const Command& command = kCommands[kSlotTable[slot] - 1];
    if (command.name == wanted) return &command;
  }
  return nullptr;
}

const Command* FindSubcommand(const Command& container, std::string_view name) {
  for (const Command& subcommand : container.subcommands) {
    if (IsWord(name, subcommand.name)) return &subcommand;
  }
  return nullptr;
}

std::optional<size_t> CountedKeys(const KeySpec& keys,
                                  std::span<const std::string_view> words) {
  const auto place = static_cast<size_t>(keys.count);
  const auto first = static_cast<size_t>(keys.first);
  const auto step = static_cast<size_t>(keys.step);
  if (words.size() <= place) return std::nullopt;
  const auto count = ParseUnsigned(words[place]);
  if (!count) return std::nullopt;
  const size_t most =
      words.size() > first ? (words.size() - first - 1) / step + 1 : 0;
  return *count <= most ? std::optional<size_t>(*count) : std::nullopt;
}

bool RunsInBatch(const Command& command) {
  return command.access == Access::kRead || command.access == Access::kWrite ||
         command.handler == HandleExec;
}

std::string LowerName(const Command& command) {
  return LowerCase(command.name);
}

std::string LowerName(const CommandRow& row) {
  if (row.container == row.command) return LowerName(*row.command);
  return LowerName(*row.container) + "|" + LowerName(*row.command);
}

}  // namespace kvd
