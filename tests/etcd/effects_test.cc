// SPDX-License-Identifier: MIT
//
// What commands do beyond the store happens once, and not before it is certain,
// however often a batch is refused and runs again.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <regex.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/planted_bug.h"
#include "daemon/commands/table.h"
#include "tests/etcd/daemon_rig.h"

namespace kvd::etcd {
namespace {

// Every command that is not a matter of keys alone, with what it does. Those
// that do nothing only show something; the others wait until their connection's
// earlier commands are certain. In a transaction they leave what they do until
// that is, or put it back.
const std::map<std::string, std::string>& Effects() {
  static const std::map<std::string, std::string> kEffects = {
      {"acl|cat", ""},
      {"acl|help", ""},
      {"acl|list", ""},
      {"acl|users", ""},
      {"acl|whoami", ""},
      {"auth", ""},
      {"bgrewriteaof", "refused: there is no log"},
      {"bgsave", ""},
      {"client|caching", ""},
      {"client|capa", ""},
      {"client|getname", ""},
      {"client|getredir", ""},
      {"client|help", ""},
      {"client|id", ""},
      {"client|info", ""},
      {"client|kill", "closes connections"},
      {"client|list", ""},
      {"client|no-evict", "a setting of the session"},
      {"client|no-touch", "a setting of the session"},
      {"client|pause", "holds commands back"},
      {"client|reply", "a setting of the session"},
      {"client|setinfo", "a setting of the session"},
      {"client|setname", "a setting of the session"},
      {"client|tracking", ""},
      {"client|trackinginfo", ""},
      {"client|unblock", "ends another one's wait"},
      {"client|unpause", "lets commands go on"},
      {"cluster", ""},
      {"command", ""},
      {"command|count", ""},
      {"command|docs", ""},
      {"command|getkeys", ""},
      {"command|help", ""},
      {"command|info", ""},
      {"command|list", ""},
      {"config|get", ""},
      {"config|help", ""},
      {"config|resetstat", "counters"},
      {"config|rewrite", "a file"},
      {"config|set", "settings"},
      {"debug", "whether expired keys are removed; a pause of all"},
      {"discard", "ends the session's transaction"},
      {"echo", ""},
      {"exec", "what its commands do; ends the session's transaction"},
      {"function|help", ""},
      {"hello", "settings of the session"},
      {"info", ""},
      {"kv.backup|begin", "refused: etcd has backups of its own"},
      {"kv.backup|end", "refused"},
      {"kv.backup|help", ""},
      {"kv.backup|read", "refused"},
      {"kv.compact", "refused: there is no log"},
      {"kv.latency|commands", ""},
      {"kv.latency|help", ""},
      {"kv.latency|log", ""},
      {"kv.status", ""},
      {"lastsave", ""},
      {"latency|doctor", ""},
      {"latency|graph", ""},
      {"latency|help", ""},
      {"latency|histogram", ""},
      {"latency|history", ""},
      {"latency|latest", ""},
      {"latency|reset", ""},
      {"memory|doctor", ""},
      {"memory|help", ""},
      {"memory|malloc-stats", ""},
      {"memory|purge", "gives memory back"},
      {"memory|stats", ""},
      {"monitor", "shows others' commands"},
      {"multi", "begins a transaction"},
      {"object|help", ""},
      {"ping", ""},
      {"psubscribe", "subscribes"},
      {"publish", "a message"},
      {"pubsub|channels", ""},
      {"pubsub|help", ""},
      {"pubsub|numpat", ""},
      {"pubsub|numsub", ""},
      {"pubsub|shardchannels", ""},
      {"pubsub|shardnumsub", ""},
      {"punsubscribe", "unsubscribes"},
      {"quit", "ends the connection"},
      {"reset", "the session"},
      {"role", ""},
      {"save", "waits"},
      {"script|exists", ""},
      {"script|flush", "scripts"},
      {"script|help", ""},
      {"script|kill", ""},
      {"script|load", "a script, which may be known twice as well"},
      {"script|show", ""},
      {"select", "a setting of the session"},
      {"shutdown", "ends kvd"},
      {"slowlog|get", ""},
      {"slowlog|help", ""},
      {"slowlog|len", ""},
      {"slowlog|reset", "forgets what was slow"},
      {"spublish", "a message"},
      {"ssubscribe", "subscribes"},
      {"subscribe", "subscribes"},
      {"sunsubscribe", "unsubscribes"},
      {"time", ""},
      {"unsubscribe", "unsubscribes"},
      {"unwatch", "the session's watched keys"},
      {"wait", ""},
      {"waitaof", "waits"},
      {"watch", "the session's watched keys"},
  };
  return kEffects;
}

// Keys alone: it may run again, as all that it does is undone before.
bool IsOfKeysAlone(const kvd::Command& command) {
  return (command.access == Access::kRead ||
          command.access == Access::kWrite) &&
         (command.flags & (kOfSession | kReachesOthers)) == 0;
}

TEST(Effects, AreNamedForEachCommandOfTheTable) {
  std::map<std::string, std::string> left = Effects();
  for (const CommandRow& row : CommandRows()) {
    if (row.command->handler == nullptr) continue;
    const std::string name = LowerName(row);
    const bool is_named = left.erase(name) == 1;
    EXPECT_NE(is_named, IsOfKeysAlone(*row.command))
        << name << ": say in Effects() what it does beyond its keys";
    const bool waits = !RunsInBatch(*row.command) ||
                       (row.command->flags & kOfSession) != 0 || name == "exec";
    EXPECT_EQ(is_named, waits) << name;
  }
  for (const auto& [name, what] : left) {
    ADD_FAILURE() << name << " is no command of this build";
  }
}

// Words with which a command has an effect; others get words made up by their
// row.
const std::map<std::string, std::vector<Words>>& PlausibleWords() {
  static const std::map<std::string, std::vector<Words>> kWords = {
      {"client|kill",
       {{"CLIENT", "KILL", "ID", "4"},
        {"CLIENT", "KILL", "ID", "1", "SKIPME", "NO"}}},
      {"client|no-evict", {{"CLIENT", "NO-EVICT", "ON"}}},
      {"client|no-touch", {{"CLIENT", "NO-TOUCH", "ON"}}},
      {"client|pause", {{"CLIENT", "PAUSE", "0", "WRITE"}}},
      {"client|reply",
       {{"CLIENT", "REPLY", "OFF"}, {"CLIENT", "REPLY", "SKIP"}}},
      {"client|setinfo", {{"CLIENT", "SETINFO", "LIB-NAME", "lib"}}},
      {"client|setname", {{"CLIENT", "SETNAME", "me"}}},
      {"config|set",
       {{"CONFIG", "SET", "slowlog-max-len", "5"},
        {"CONFIG", "SET", "notify-keyspace-events", ""}}},
      {"eval",
       {{"EVAL",
         "redis.call('PUBLISH', 'news', 'x') redis.call('SELECT', 1) "
         "redis.call('INCR', 'text2') return redis.call('GET', KEYS[1])",
         "1", "text"},
        {"EVAL", "redis.call('INCR', 'text3') error('x')", "0"},
        {"EVAL", "return math.random(1000000) > 0", "0"}}},
      {"hello", {{"HELLO", "3", "SETNAME", "me"}}},
      {"incr", {{"INCR", "text"}, {"INCR", "new"}}},
      {"publish", {{"PUBLISH", "news", "hello"}}},
      {"select", {{"SELECT", "1"}, {"SELECT", "99"}}},
      {"spublish", {{"SPUBLISH", "shard", "hello"}}},
      {"script|load", {{"SCRIPT", "LOAD", "return 1"}}},
      {"set", {{"SET", "text", "new"}, {"SET", "new", "v", "EX", "100"}}},
  };
  return kWords;
}

std::vector<Words> WordsOf(const CommandRow& row) {
  const auto known = PlausibleWords().find(LowerName(row));
  if (known != PlausibleWords().end()) return known->second;
  Words words = {std::string(row.container->name)};
  if (row.container != row.command) words.emplace_back(row.command->name);
  const auto size = static_cast<size_t>(row.command->words_min);
  while (words.size() < size) words.emplace_back("2");
  const std::vector<std::string_view> views(words.begin(), words.end());
  ForEachKey(*row.command, views, [&](size_t i) { words[i] = "text"; });
  return {words};
}

// One that acts, and others who see what it does.
class World {
 public:
  World() {
    for (const int client : {kActor, kMonitor, kSubscriber, kOther}) {
      rig_.Talk(client, Line("PING"));
    }
    rig_.Talk(kActor, Line("CONFIG SET slowlog-log-slower-than 0") +
                          Line("CONFIG SET notify-keyspace-events KEA") +
                          Line("SET text 7") + Line("SET trap 1") +
                          Line("CONFIG RESETSTAT") + Line("SLOWLOG RESET"));
    EXPECT_NE(rig_.Talk(kSubscriber, Line("SUBSCRIBE news") +
                                         Line("SSUBSCRIBE shard") +
                                         Line("PSUBSCRIBE __key*__:*")),
              "");
    EXPECT_EQ(rig_.Talk(kMonitor, Line("MONITOR")), "+OK\r\n");
  }

  // What the actor hears when it sends this; the batches that it is in are
  // refused or not.
  std::string Act(const std::string& bytes, bool refused) {
    rig_.Blind();
    rig_.SpringTrap();
    if (!refused) rig_.See();
    rig_.Pass();
    rig_.Send(kActor, bytes);
    rig_.Pass(20);
    const std::string early = rig_.Receive(kActor);
    const bool aborted = early.find("EXECABORT") != early.npos;
    EXPECT_EQ(rig_.refused() > 0, refused && !aborted);
    shown_ += rig_.Receive(kMonitor);
    if (refused) {
      EXPECT_EQ(shown_.find("trap"), shown_.npos) << "before it is certain";
    }
    told_ += rig_.Receive(kSubscriber);
    if (refused && !aborted) {
      EXPECT_EQ(told_, "") << "before it is certain";
    }
    rig_.See();
    rig_.Pass(20);
    return Plain(early + rig_.Receive(kActor));
  }

  // What there is to see of what was done.
  std::string State() {
    std::string text = "monitor: " + Plain(shown_ + rig_.Receive(kMonitor)) +
                       "\nmessages: " + told_ + rig_.Receive(kSubscriber);
    // What the daemon counts is asked for first.
    for (const char* line :
         {"INFO commandstats errorstats", "INFO stats", "SLOWLOG LEN",
          "CLIENT LIST", "CONFIG GET slowlog-max-len",
          "CONFIG GET notify-keyspace-events", "PUBSUB CHANNELS",
          "SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
          "MGET text text2 text3 new trap 2", "TTL new", "DBSIZE", "SELECT 1",
          "MGET text text2 text3 new trap 2", "DBSIZE"}) {
      text +=
          fmt::format("\n{}: {}", line, Plain(rig_.Talk(kProbe, Line(line))));
    }
    return text;
  }

 private:
  // Clients in the order in which they connect, from 1.
  static constexpr int kActor = 1;
  static constexpr int kMonitor = 2;
  static constexpr int kSubscriber = 3;
  static constexpr int kOther = 4;
  static constexpr int kProbe = 5;

  // Without what two worlds need not have in common.
  static std::string Plain(const std::string& text) {
    static const regex_t kTimes = Compiled(
        "\\+1[0-9]{9}\\.[0-9]{6}|unix:[^]]*|l?addr=[^ ]*|pid=[0-9]*|"
        "(fd|age|idle|qbuf|multi-mem|omem|tot-mem|tot-net-in|tot-net-out)="
        "-?[0-9]*|(total_net|instantaneous|kvd_)[^\r]*|[$][0-9]+");
    std::string plain;
    size_t from = 0;
    for (regmatch_t found = {0, static_cast<regoff_t>(text.size())};
         regexec(&kTimes, text.data(), 1, &found, REG_STARTEND) == 0;
         found = {static_cast<regoff_t>(from),
                  static_cast<regoff_t>(text.size())}) {
      plain.append(text, from, static_cast<size_t>(found.rm_so) - from);
      from = static_cast<size_t>(found.rm_eo);
    }
    return plain.append(text, from);
  }
  // Not std::regex, which AddressSanitizer's build warns of.
  static regex_t Compiled(const char* pattern) {
    regex_t compiled;
    KVD_CHECK(regcomp(&compiled, pattern, REG_EXTENDED) == 0);
    return compiled;
  }

  DaemonRig rig_;
  std::string shown_;  // To the monitor, before State().
  std::string told_;   // To the subscriber.
};

void ExpectTheSame(const std::string& bytes) {
  World refused;
  World plain;
  const std::string expected = plain.Act(bytes, false);
  EXPECT_EQ(refused.Act(bytes, true), expected);
  EXPECT_EQ(refused.State(), plain.State());
}

// What tells of time, memory and processes, or stops the daemon.
bool IsSteady(const CommandRow& row) {
  constexpr std::string_view kOthers[] = {"client|info",
                                          "client|list",
                                          "info",
                                          "memory|stats",
                                          "kv.status",
                                          "time",
                                          "memory|usage",
                                          "shutdown",
                                          "kv.get",
                                          "kv.set",
                                          "kv.del",
                                          "lastsave",
                                          "scan",
                                          "randomkey",
                                          "keys",
                                          "dbsize",
                                          "swapdb",
                                          "debug",
                                          "slowlog|get",
                                          "memory|doctor",
                                          "kv.latency|commands",
                                          "latency|histogram",
                                          "latency|doctor"};
  return std::ranges::find(kOthers, LowerName(row)) == std::end(kOthers);
}

class EachCommand : public testing::TestWithParam<int> {
 protected:
  const CommandRow& row_ = CommandRows()[static_cast<size_t>(GetParam())];
};

TEST_P(EachCommand, TakesEffectOnceInATransactionThatIsRefused) {
  const uint16_t flags = row_.command->flags;
  if (row_.command->handler == nullptr || !IsSteady(row_)) return;
  if ((flags & (kNoMulti | kAtOnce)) != 0) return;
  for (const Words& words : WordsOf(row_)) {
    ExpectTheSame(Line("MULTI") + Line("INCR trap") + Command(words) +
                  Line("INCR trap") + Line("EXEC") + Line("INCR behind"));
  }
}

TEST_P(EachCommand, TakesEffectOnceBehindOneThatIsRefused) {
  if (row_.command->handler == nullptr || !IsSteady(row_)) return;
  for (const Words& words : WordsOf(row_)) {
    ExpectTheSame(Line("MULTI") + Line("INCR trap") + Line("EXEC") +
                  Command(words) + Line("INCR behind") + Line("PING"));
  }
}

#ifdef KVD_PLANTED_BUGS
TEST(Effects, WouldHappenTooSoonIfTheyDidNotWait) {
  const ScopedPlantedBug planted(PlantedBug::kEffectBeforeCertain);
  DaemonRig rig;
  rig.Talk(1, Line("SUBSCRIBE news"));
  rig.Blind();
  rig.SpringTrap();
  rig.Send(2, Line("MULTI") + Line("INCR trap") + Line("PUBLISH news x") +
                  Line("EXEC"));
  rig.Pass(20);
  EXPECT_NE(rig.Receive(1), "");
}
#endif

std::string NameOfRow(const testing::TestParamInfo<int>& info) {
  std::string name;
  for (const char c :
       LowerName(CommandRows()[static_cast<size_t>(info.param)])) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, EachCommand,
                         testing::Range(0,
                                        static_cast<int>(CommandRows().size())),
                         NameOfRow);

}  // namespace
}  // namespace kvd::etcd
