// SPDX-License-Identifier: MIT
//
// kvctl as its users meet it: the built program against a server that answers
// by a table.
#include "tests/cli/kvctl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/verbs/verb.h"
#include "tests/client/fake_server.h"
#include "tests/support/temp_dir.h"

// What follows in the test needs a terminal.
#define SKIP_WITHOUT_TERMINALS() \
  if (!HasTerminals()) GTEST_SKIP() << "no pseudo terminals here"

namespace kvctl {
namespace {

using kvd::FakeServer;

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

using Args = std::vector<std::string>;

std::string Bulk(const std::string& bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + bytes + "\r\n";
}

class Kvctl : public testing::Test {
 protected:
  // Starts a server that gives these answers to these commands, whose words
  // stand with single spaces between them.
  void Serve(std::map<std::string, std::string> answers) {
    server_.emplace(socket_, [answers](const FakeServer::Command& command) {
      std::string words;
      for (const std::string& word : command) {
        words += (words.empty() ? "" : " ") + word;
      }
      const auto found = answers.find(words);
      return found != answers.end() ? found->second
                                    : "-ERR no answer to " + words + "\r\n";
    });
  }

  Ran Run(Args args, RunOptions options = {}) {
    options.env.push_back("KVD_SOCKET=" + socket_);
    return RunKvctl(args, options);
  }

  // Runs, expects success and returns what was printed.
  std::string Out(Args args, RunOptions options = {}) {
    const Ran ran = Run(std::move(args), std::move(options));
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    return ran.out;
  }

  // Runs, expects that exit code and returns the message.
  std::string Err(int code, Args args, RunOptions options = {}) {
    const Ran ran = Run(std::move(args), std::move(options));
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_EQ(ran.out, "");
    return ran.err;
  }

  std::vector<FakeServer::Command> received() { return server_->commands(); }

  kvd::TempDir dir_;
  const std::string socket_ = dir_.Path("s");
  std::optional<FakeServer> server_;
};

TEST_F(Kvctl, SetsAndShowsTheRevision) {
  Serve({{"KV.SET greeting hello", ":41\r\n"}});
  EXPECT_EQ(Out({"set", "greeting", "hello"}), "OK  rev 41\n");
  EXPECT_EQ(Out({"put", "greeting", "hello", "--json"}),
            "{\"key\":\"greeting\",\"rev\":41}\n");
}

TEST_F(Kvctl, TakesValuesExactlyFromStandardInputAndFiles) {
  const std::string value("a\0\r\n\xff b\n", 8);
  Serve({{"KV.SET k " + value, ":1\r\n"}});
  EXPECT_EQ(Out({"set", "k"}, {.input = value}), "OK  rev 1\n");
  EXPECT_EQ(Out({"set", "k", "-"}, {.input = value}), "OK  rev 1\n");
  std::ofstream(dir_.Path("file"), std::ios::binary) << value;
  EXPECT_EQ(Out({"set", "k", "--file", dir_.Path("file")}), "OK  rev 1\n");
}

TEST_F(Kvctl, SetPassesItsConditionsAndLifetimes) {
  Serve({{"KV.SET k v NX PX 10000", ":1\r\n"},
         {"KV.SET k v XX KEEPTTL", ":2\r\n"},
         {"KV.SET k v PX 250 IFREV 7", ":3\r\n"},
         {"KV.SET k -v", ":4\r\n"},
         {"KV.SET k -5", ":5\r\n"}});
  EXPECT_EQ(Out({"set", "k", "v", "--nx", "--ttl", "10s"}), "OK  rev 1\n");
  EXPECT_EQ(Out({"set", "k", "v", "--nx", "--ex=10"}), "OK  rev 1\n");
  EXPECT_EQ(Out({"set", "--keep-ttl", "k", "v", "--xx"}), "OK  rev 2\n");
  EXPECT_EQ(Out({"set", "k", "v", "--px", "250", "--ifrev", "7"}),
            "OK  rev 3\n");
  EXPECT_EQ(Out({"set", "k", "--", "-v"}), "OK  rev 4\n");
  EXPECT_EQ(Out({"set", "k", "-5"}), "OK  rev 5\n");
}

TEST_F(Kvctl, SetSaysWhichConditionFailed) {
  Serve({{"KV.SET greeting hi IFREV 40", "$-1\r\n"},
         {"KV.SET greeting hi NX", "$-1\r\n"},
         {"KV.GET greeting META", "*3\r\n:1\r\n:41\r\n:-1\r\n"},
         {"KV.SET none hi XX", "$-1\r\n"},
         {"KV.GET none META", "$-1\r\n"}});
  EXPECT_EQ(Err(1, {"set", "greeting", "hi", "--ifrev", "40"}),
            "kvctl: greeting is at rev 41, not 40; nothing was written\n");
  EXPECT_EQ(Err(1, {"set", "greeting", "hi", "--nx"}),
            "kvctl: greeting exists, at rev 41; nothing was written\n");
  EXPECT_EQ(Err(1, {"set", "none", "hi", "--xx"}),
            "kvctl: no such key: none; nothing was written\n");
}

TEST_F(Kvctl, SetDoesNotWaitForAPersonToTypeTheValue) {
  SKIP_WITHOUT_TERMINALS();
  const Ran ran = Run({"set", "k"}, {.terminal = true});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("standard input is a terminal"));
}

TEST_F(Kvctl, RefusesOptionsThatContradictEachOther) {
  for (const Args& args :
       std::vector<Args>{{"set", "k", "v", "--nx", "--xx"},
                         {"set", "k", "v", "--file", "/dev/null"},
                         {"set", "k", "v", "--ttl", "1s", "--px", "1"},
                         {"set", "k", "v", "--ttl", "0"},
                         {"get", "k", "--hex", "--json"},
                         {"del"},
                         {"del", "k", "--prefix", "p"},
                         {"del", "k", "--dry-run"},
                         {"del", "k", "l", "--ifrev", "1"},
                         {"expire", "k", "0s"},
                         {"del", "--prefix", "", "--yes"}}) {
    EXPECT_THAT(Err(2, args), StartsWith("kvctl: ")) << args[0];
  }
}

TEST_F(Kvctl, GetsExactBytesIntoAPipe) {
  const std::string value("a\0\x1b[31m\xff", 8);
  Serve({{"GET k", Bulk(value)}});
  EXPECT_EQ(Out({"get", "k"}), value);
  EXPECT_EQ(Out({"get", "k", "--hex"}), "61001b5b33316dff\n");
  EXPECT_EQ(Out({"get", "k", "--base64"}), "YQAbWzMxbf8=\n");
}

TEST_F(Kvctl, GetsSafeTextOntoATerminal) {
  Serve({{"GET k", Bulk("a\x1b[31m")}, {"GET lines", Bulk("1\n2\n")}});
  SKIP_WITHOUT_TERMINALS();
  EXPECT_EQ(Out({"get", "k"}, {.terminal = true}), "a\\x1b[31m\r\n");
  EXPECT_EQ(Out({"get", "lines"}, {.terminal = true}), "1\r\n2\r\n");
  EXPECT_EQ(Out({"get", "k", "--raw"}, {.terminal = true}), "a\x1b[31m");
}

TEST_F(Kvctl, GetsJson) {
  Serve({{"KV.GET k", "*3\r\n$2\r\nhi\r\n:41\r\n:-1\r\n"},
         {"KV.GET b", "*3\r\n$1\r\n\xff\r\n:42\r\n:90\r\n"}});
  EXPECT_EQ(Out({"get", "k", "--json"}),
            "{\"key\":\"k\",\"value\":\"hi\",\"rev\":41,\"ttl_ms\":null}\n");
  EXPECT_EQ(
      Out({"--json", "get", "b"}),
      "{\"key\":\"b\",\"value_b64\":\"/w==\",\"rev\":42,\"ttl_ms\":90}\n");
}

TEST_F(Kvctl, SaysThatAKeyIsNotThere) {
  Serve({{"GET nope", "$-1\r\n"},
         {"KV.GET nope", "$-1\r\n"},
         {"DEL nope", ":0\r\n"},
         {"PTTL nope", ":-2\r\n"},
         {"PEXPIRE nope 1000", ":0\r\n"},
         {"PERSIST nope", ":0\r\n"},
         {"EXISTS nope", ":0\r\n"}});
  const std::string message = "kvctl: no such key: nope\n";
  EXPECT_EQ(Err(1, {"get", "nope"}), message);
  EXPECT_EQ(Err(1, {"get", "nope", "--json"}), message);
  EXPECT_EQ(Err(1, {"del", "nope"}), message);
  EXPECT_EQ(Err(1, {"ttl", "nope"}), message);
  EXPECT_EQ(Err(1, {"expire", "nope", "1s"}), message);
  EXPECT_EQ(Err(1, {"persist", "nope"}), message);
}

TEST_F(Kvctl, DeletesKeys) {
  Serve({{"DEL a b", ":2\r\n"},
         {"KV.DEL a IFREV 41", ":42\r\n"},
         {"KV.DEL a IFREV 40", "$-1\r\n"},
         {"KV.GET a META", "*3\r\n:1\r\n:41\r\n:-1\r\n"}});
  EXPECT_EQ(Out({"del", "a", "b"}), "deleted 2\n");
  EXPECT_EQ(Out({"rm", "a", "b", "--json"}), "{\"deleted\":2}\n");
  EXPECT_EQ(Out({"delete", "a", "--ifrev", "41"}), "OK  rev 42\n");
  EXPECT_EQ(Err(1, {"del", "a", "--ifrev", "40"}),
            "kvctl: a is at rev 41, not 40; nothing was deleted\n");
}

// A page of SCAN.
std::string Page(const std::string& cursor, const Args& keys) {
  std::string reply =
      "*2\r\n" + Bulk(cursor) + "*" + std::to_string(keys.size()) + "\r\n";
  for (const std::string& key : keys) reply += Bulk(key);
  return reply;
}

TEST_F(Kvctl, DeletesByPrefixOnlyWhenTold) {
  Serve({{"SCAN 0 MATCH a\\** COUNT 1000", Page("7", {"a*2", "a*1"})},
         {"SCAN 7 MATCH a\\** COUNT 1000", Page("0", {"a*2"})},
         {"DEL a*1 a*2", ":2\r\n"}});
  EXPECT_EQ(Out({"del", "--prefix", "a*", "--dry-run"}), "would delete 2\n");
  EXPECT_THAT(Err(2, {"del", "--prefix", "a*"}),
              HasSubstr("not deleting 2 keys that begin with \"a*\""));
  for (const FakeServer::Command& command : received()) {
    EXPECT_EQ(command[0], "SCAN");
  }
  EXPECT_EQ(Out({"del", "--prefix", "a*", "--yes"}), "deleted 2\n");
}

TEST_F(Kvctl, ListsPageByPage) {
  Serve({{"SCAN 0 MATCH u:* COUNT 1000", Page("12", {"u:1", "u:\x1b"})},
         {"SCAN 12 MATCH u:* COUNT 1000", Page("3", {})},
         {"SCAN 3 MATCH u:* COUNT 1000", Page("0", {"u:3"})},
         {"SCAN 0 MATCH * COUNT 1000", Page("0", {"x"})}});
  EXPECT_EQ(Out({"ls", "u:"}), "u:1\nu:\x1b\nu:3\n");
  SKIP_WITHOUT_TERMINALS();
  EXPECT_EQ(Out({"ls", "u:"}, {.terminal = true}), "u:1\r\nu:\\x1b\r\nu:3\r\n");
  EXPECT_EQ(Out({"list", "u:", "--limit", "1"}), "u:1\n");
  EXPECT_EQ(Out({"ls", "u:", "-n", "0"}), "");
  EXPECT_EQ(Out({"ls"}), "x\n");
}

TEST_F(Kvctl, ListsJsonWithWhatKvdKnowsOfEachKey) {
  Serve({{"SCAN 0 MATCH u:* COUNT 1000", Page("0", {"u:0", "u:1", "u:\xff"})},
         {"KV.GET u:0 META", "$-1\r\n"},
         {"KV.GET u:1 META", "*3\r\n:12\r\n:7\r\n:-1\r\n"},
         {"KV.GET u:\xff META", "*3\r\n:0\r\n:8\r\n:90\r\n"}});
  const std::string first =
      "{\"key\":\"u:1\",\"rev\":7,\"size\":12,\"ttl_ms\":null}\n";
  EXPECT_EQ(Out({"ls", "u:", "--json"}),
            first +
                "{\"key_b64\":\"dTr/\",\"rev\":8,\"size\":0,"
                "\"ttl_ms\":90}\n");
  // A key that is gone in the meantime does not count.
  EXPECT_EQ(Out({"ls", "u:", "--json", "--limit", "1"}), first);
}

TEST_F(Kvctl, CountsExpiresAndPersists) {
  Serve({{"INCRBY n 1", ":8\r\n"},
         {"INCRBY n -3", ":5\r\n"},
         {"EXISTS a b", ":1\r\n"},
         {"EXISTS a", ":1\r\n"},
         {"PTTL a", ":11520000\r\n"},
         {"PTTL b", ":-1\r\n"},
         {"PEXPIRE a 5400000", ":1\r\n"},
         {"PERSIST a", ":1\r\n"}});
  EXPECT_EQ(Out({"incr", "n"}), "8\n");
  EXPECT_EQ(Out({"incr", "n", "-3"}), "5\n");
  EXPECT_EQ(Out({"exists", "a"}), "1\n");
  const Ran some = Run({"exists", "a", "b"});
  EXPECT_EQ(some.code, 1);
  EXPECT_EQ(some.out, "1\n");
  EXPECT_EQ(Out({"ttl", "a"}), "3h12m\n");
  EXPECT_EQ(Out({"ttl", "a", "--json"}),
            "{\"key\":\"a\",\"ttl_ms\":11520000}\n");
  EXPECT_EQ(Out({"ttl", "b"}), "lives for ever\n");
  EXPECT_EQ(Out({"expire", "a", "1h30m"}), "OK\n");
  EXPECT_EQ(Out({"persist", "a"}), "OK\n");
}

TEST_F(Kvctl, CallsAnyCommand) {
  Serve({{"PING", "+PONG\r\n"},
         {"MGET a --json b", "*2\r\n$1\r\n1\r\n$-1\r\n"},
         {"BAD", "-ERR unknown command 'BAD'\r\n"}});
  EXPECT_EQ(Out({"ping"}), "PONG\n");
  EXPECT_EQ(Out({"call", "PING"}), "PONG\n");
  EXPECT_EQ(Out({"call", "MGET", "a", "--json", "b"}), "1\n\n");
  SKIP_WITHOUT_TERMINALS();
  EXPECT_EQ(Out({"call", "MGET", "a", "--json", "b"}, {.terminal = true}),
            "1) \"1\"\r\n2) (nil)\r\n");
  EXPECT_EQ(Out({"call", "--json", "MGET", "a", "--json", "b"}),
            "[\"1\",null]\n");
  EXPECT_EQ(Err(6, {"call", "BAD"}), "kvctl: unknown command 'BAD'\n");
  EXPECT_THAT(Err(2, {"call"}), HasSubstr("COMMAND is missing"));
}

TEST_F(Kvctl, SelectsTheDatabaseFirst) {
  Serve({{"SELECT 3", "+OK\r\n"}, {"GET k", Bulk("v")}});
  EXPECT_EQ(Out({"get", "k", "--db", "3"}), "v");
  EXPECT_THAT(received(), ElementsAre(FakeServer::Command{"SELECT", "3"},
                                      FakeServer::Command{"GET", "k"}));
  Err(2, {"get", "k", "--db", "16"});
}

std::string Status(const std::vector<std::pair<std::string, std::string>>& all,
                   const char* type = "*") {
  const size_t count = type[0] == '*' ? all.size() * 2 : all.size();
  std::string reply = type + std::to_string(count) + "\r\n";
  for (const auto& [name, value] : all) {
    const bool number = value.find_first_not_of("0123456789") == value.npos;
    reply += Bulk(name) + (number ? ":" + value + "\r\n" : Bulk(value));
  }
  return reply;
}

TEST_F(Kvctl, ShowsTheStatus) {
  Serve({{"KV.STATUS", Status({{"version", "0.1.0"},
                               {"uptime_s", "11520"},
                               {"pid", "812"},
                               {"socket", "/run/kvd/kvd.sock"},
                               {"data_dir", "/var/lib/kvd"},
                               {"keys", "1204331"},
                               {"live_bytes", "2254857830"},
                               {"dead_bytes", "429496729"},
                               {"sync", "always"},
                               {"segments", "40"},
                               {"last_seq", "1300"},
                               {"durable_seq", "1300"},
                               {"memory_bytes", "1395864371"},
                               {"memory_limit_bytes", "4294967296"},
                               {"value_bytes", "325058560"},
                               {"value_cache_bytes", "536870912"},
                               {"damaged_values", "0"},
                               {"state", "ok"},
                               {"state_reason", "none"},
                               {"compaction", "idle"},
                               {"errors", "0"}})}});
  EXPECT_EQ(Out({"status"}),
            "kvd 0.1.0  up 3h12m  pid 812  socket /run/kvd/kvd.sock\n"
            "keys 1,204,331   live 2.1 GiB   dead 410 MiB (16%)   sync always\n"
            "data /var/lib/kvd   segments 40   rev 1,300\n"
            "memory 1.3 GiB of 4.0 GiB   values 310 MiB of 512 MiB\n"
            "compaction idle   errors 0\n");
  EXPECT_THAT(Out({"status", "--json"}),
              StartsWith("{\"version\":\"0.1.0\",\"uptime_s\":11520,"));
}

TEST_F(Kvctl, ShowsWhereTheDataIs) {
  Serve({{"KV.STATUS",
          Status({{"version", "0.1.0"},
                  {"backend", "etcd"},
                  {"value_bytes_max", "1048576"},
                  {"keys", "12"},
                  {"live_bytes", "0"},
                  {"sync", "always"},
                  {"compaction", "idle"},
                  {"errors", "0"},
                  {"etcd_index_revision", "40"},
                  {"etcd_leader", "http://a:2379"},
                  {"etcd_revision", "1234"},
                  {"etcd_lag_revisions", "0"},
                  {"etcd_lag_ms", "0"},
                  {"etcd_endpoints", "2"},
                  {"etcd_endpoint0",
                   "endpoint=http://a:2379,version=3.4.23,role=leader,"
                   "revision=1234,db_bytes=1048576,db_in_use_bytes=1,"
                   "quota_bytes=0,alarms="},
                  {"etcd_endpoint1",
                   "endpoint=http://b:2379,error=it broke, a=b, or not"},
                  {"etcd_db_bytes", "1048576"},
                  {"etcd_quota_bytes", "2147483648"},
                  {"etcd_history_revisions", "1233"},
                  {"etcd_kvds", "2"},
                  {"etcd_kvd0", "id=ab,self=1,heard_ms_ago=12"},
                  {"etcd_kvd1", "id=cd,self=0,heard_ms_ago=3999"},
                  {"etcd_warning0", "look out"},
                  {"etcd_novelty", "42"}})}});
  EXPECT_EQ(Out({"status"}),
            "kvd 0.1.0\n"
            "keys 12\n"
            "errors 0\n"
            "etcd leader http://a:2379   rev 1,234   behind 0   db 1.0 MiB of "
            "2.0 GiB   history 1,233\n"
            "  http://a:2379  etcd 3.4.23  leader  db 1.0 MiB\n"
            "  http://b:2379  it broke, a=b, or not\n"
            "  kvd ab  this one\n"
            "  kvd cd  last heard of 3s ago\n"
            "warning: look out\n"
            "etcd_novelty 42\n");
}

TEST_F(Kvctl, ShowsAsMuchOfTheStatusAsThereIs) {
  Serve({{"KV.STATUS", Status({{"version", "0.2.0"},
                               {"state", "degraded"},
                               {"state_reason", "the disk is slow"},
                               {"last_seq", "12"},
                               {"durable_seq", "9"},
                               {"memory_bytes", "1395864371"},
                               {"memory_limit_bytes", "0"},
                               {"novelty", "42"}},
                              "%")}});
  EXPECT_EQ(Out({"status"}),
            "kvd 0.2.0\n"
            "degraded: the disk is slow\n"
            "rev 12 (on disk: 9)\n"
            "memory 1.3 GiB\n"
            "novelty 42\n");
  EXPECT_THAT(Out({"status", "--color", "always"}),
              HasSubstr("\x1b[31mdegraded"));
  SKIP_WITHOUT_TERMINALS();
  EXPECT_THAT(Out({"status"}, {.terminal = true}),
              HasSubstr("\x1b[31mdegraded"));
  EXPECT_THAT(Out({"status"}, {.terminal = true, .env = {"NO_COLOR=1"}}),
              Not(HasSubstr("\x1b")));
}

TEST_F(Kvctl, TellsWhatToDoWhenKvdIsNotThere) {
  EXPECT_EQ(Err(3, {"get", "k"}),
            "kvctl: cannot reach kvd at " + socket_ +
                ": no such file\n"
                "  kvd is not running. Start it:  sudo systemctl start "
                "kvd.socket\n"
                "  Without systemd:  kvd --config etc/kvd.toml    Another "
                "socket:  --socket PATH\n");
  Serve({});
  server_.reset();
  EXPECT_THAT(Err(3, {"get", "k"}), HasSubstr("nobody listens there"));
  EXPECT_THAT(Err(3, {"get", "k", "--socket", "/" + std::string(200, 'x')}),
              HasSubstr("201 bytes long"));
}

TEST_F(Kvctl, AnEmptySocketIsNotTheUsualOne) {
  for (const RunOptions& options :
       {RunOptions{.env = {"KVD_SOCKET="}}, RunOptions{}}) {
    Args args = {"ping"};
    if (options.env.empty()) args = {"ping", "--socket", ""};
    const Ran ran = RunKvctl(args, options);
    EXPECT_EQ(ran.code, 2);
    EXPECT_THAT(ran.err, HasSubstr("empty"));
  }
}

TEST_F(Kvctl, PrefersTheOptionToTheEnvironment) {
  Serve({{"PING", "+PONG\r\n"}});
  EXPECT_EQ(
      RunKvctl({"ping", "--socket", socket_}, {.env = {"KVD_SOCKET=/none"}})
          .out,
      "PONG\n");
  EXPECT_THAT(RunKvctl({"ping"}).err, HasSubstr("/run/kvd/kvd.sock"));
}

TEST_F(Kvctl, SaysWhoIsKeptOutByWhat) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  Serve({{"PING", "+PONG\r\n"}});
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(socket_.c_str(), 0660), 0);
  constexpr unsigned kNobody = 65534;
  EXPECT_EQ(Err(4, {"ping"}, {.uid = kNobody}),
            "kvctl: permission denied on " + socket_ +
                " (root:root 0660; you are nobody)\n"
                "  Join the group:  sudo usermod -aG root nobody   (then log "
                "in again)\n");
}

TEST_F(Kvctl, GivesEachKindOfServerErrorItsExitCode) {
  Serve({{"GET 1", "-NOPERM you may not read\r\n"},
         {"GET 2", "-DAMAGED segment 3 at 4096\r\n"},
         {"GET 3", "-ERR syntax error\r\n"},
         {"GET 4", "-OOM memory\x1b limit\r\n"},
         {"GET 5", ":1\r\n"},
         {"GET 6", "-UNKNOWN etcd does not answer\r\n"}});
  EXPECT_EQ(Err(4, {"get", "1"}), "kvctl: NOPERM you may not read\n");
  EXPECT_EQ(Err(7, {"get", "2"}), "kvctl: DAMAGED segment 3 at 4096\n");
  EXPECT_EQ(Err(6, {"get", "3"}), "kvctl: syntax error\n");
  EXPECT_EQ(Err(6, {"get", "4"}), "kvctl: OOM memory\\x1b limit\n");
  EXPECT_THAT(Err(6, {"get", "5"}), HasSubstr("unexpected reply to GET"));
  EXPECT_EQ(Err(5, {"get", "6"}), "kvctl: UNKNOWN etcd does not answer\n");
}

TEST_F(Kvctl, SaysThatAWriteWithoutReplyMayHaveHappened) {
  const std::string close(FakeServer::kClose);
  Serve({{"GET slow", ""}, {"KV.SET slow v", ""}, {"KV.SET gone v", close}});
  EXPECT_EQ(Err(5, {"get", "slow", "--timeout", "50ms"}),
            "kvctl: no reply within 50ms\n");
  EXPECT_EQ(Err(5, {"set", "slow", "v", "--timeout", "50ms"}),
            "kvctl: no reply within 50ms; the write may or may not have "
            "happened\n"
            "  Check with \"kvctl get KEY\" before retrying.\n");
  EXPECT_THAT(Err(5, {"set", "gone", "v"}),
              StartsWith("kvctl: kvd closed the connection before it replied; "
                         "the write may"));
}

TEST_F(Kvctl, TakesTheClosedConnectionForShutdownsAnswer) {
  const std::string close(FakeServer::kClose);
  Serve({{"SHUTDOWN", close},
         {"shutdown NOSAVE", close},
         {"SHUTDOWN ABORT", "-ERR No shutdown in progress.\r\n"}});
  EXPECT_EQ(Out({"call", "SHUTDOWN"}), "");
  EXPECT_EQ(Out({"call", "shutdown", "NOSAVE"}), "");
  EXPECT_THAT(Err(6, {"call", "SHUTDOWN", "ABORT"}),
              HasSubstr("No shutdown in progress"));
}

TEST_F(Kvctl, ShowsWhyAServerDoesNotTakeIt) {
  server_.emplace(
      socket_, [](const FakeServer::Command&) { return ""; },
      "-ERR max number of clients reached\r\n" +
          std::string(FakeServer::kClose));
  const std::string message = "kvctl: max number of clients reached\n";
  for (const VerbRow& row : Verbs()) {
    const std::string verb_name = row.name;
    if (verb_name == "help" || verb_name == "diff") continue;  // Ask nobody.
    if (verb_name == "migrate") continue;  // Without an option neither.
    Declarations declared;
    Arguments arguments(&declared);
    const std::unique_ptr<Verb> verb = row.make();
    verb->Declare(arguments);
    Args args = {row.name};
    for (const DeclaredWord& word : declared.words) {
      args.push_back(word.name == "BY"         ? "1"
                     : word.name == "DURATION" ? "1s"
                     : word.name == "FILE"     ? "/dev/null"
                                               : "SHUTDOWN");
    }
    EXPECT_EQ(Err(3, args), message) << row.name;
    args.insert(args.begin() + 1, {"--db", "1", "--json"});
    EXPECT_EQ(Err(3, args), message) << row.name;
  }
}

TEST_F(Kvctl, PassesOnHowFarTheLoadingIs) {
  Serve({{"GET k",
          "-LOADING kvd is replaying its log (segment 12 of 80, ~8 s "
          "left)\r\n"}});
  EXPECT_EQ(Err(3, {"get", "k"}),
            "kvctl: kvd is replaying its log (segment 12 of 80, ~8 s left); "
            "use --wait 30s\n");
}

TEST_F(Kvctl, PingsOnlyADaemonThatHasLoaded) {
  Serve({{"PING", "+PONG\r\n"},
         {"KV.STATUS", Status({{"version", "0.1.0"}, {"state", "loading"}})},
         {"EXISTS ", "-LOADING kvd is loading the data; 42% done\r\n"}});
  EXPECT_EQ(Err(3, {"ping"}),
            "kvctl: kvd is loading the data; 42% done; use --wait 30s\n");
  EXPECT_EQ(Out({"call", "PING"}), "PONG\n");
}

TEST_F(Kvctl, PingsWhateverTheState) {
  Serve({{"PING", "+PONG\r\n"},
         {"KV.STATUS", Status({{"version", "0.1.0"}, {"state", "full"}})}});
  EXPECT_EQ(Out({"ping"}), "PONG\n");
}

TEST_F(Kvctl, ShowsHowFarTheLoadingIs) {
  Serve({{"KV.STATUS", Status({{"version", "0.1.0"},
                               {"uptime_s", "8"},
                               {"state", "loading"},
                               {"state_reason", "42% done, about 11 s left"},
                               {"loaded_bytes", "1073741824"},
                               {"loading_bytes", "2556528152"},
                               {"sync", "always"}})}});
  EXPECT_EQ(Out({"status"}),
            "kvd 0.1.0  up 8s\n"
            "loading: 42% done, about 11 s left\n"
            "loaded 1.0 GiB of 2.4 GiB   sync always\n");
  EXPECT_THAT(Out({"status", "--color", "always"}), Not(HasSubstr("\x1b")));
}

TEST_F(Kvctl, SuggestsTheCommandThatWasMeant) {
  EXPECT_EQ(Err(2, {"gte", "k"}),
            "kvctl: unknown command \"gte\". Did you mean \"get\"?\n");
  EXPECT_EQ(Err(2, {"get", "k", "--jsn"}),
            "kvctl: unknown option \"--jsn\". Did you mean \"--json\"?\n");
  EXPECT_EQ(Err(2, {"frobnicate"}),
            "kvctl: unknown command \"frobnicate\"\n  See:  kvctl --help\n");
  EXPECT_EQ(Err(2, {"get"}),
            "kvctl: get: KEY is required\n  See:  kvctl get --help\n");
  EXPECT_EQ(Err(2, {"get", "a", "b"}),
            "kvctl: get: unexpected argument \"b\"\n"
            "  See:  kvctl get --help\n");
  EXPECT_EQ(Err(2, {"get", "a", "--timeout", "soon"}),
            "kvctl: get: --timeout: \"soon\" is not a duration such as "
            "250ms, 10s, 5m or 1h30m\n  See:  kvctl get --help\n");
}

TEST_F(Kvctl, HelpsWithEachCommandByExample) {
  EXPECT_THAT(Err(2, {}), HasSubstr("Usage: kvctl"));
  EXPECT_EQ(Out({"help"}), Out({"--help"}));
  EXPECT_EQ(Out({"help", "rm"}), Out({"del", "--help"}));
  EXPECT_EQ(Err(2, {"help", "gte"}),
            "kvctl: unknown command \"gte\". Did you mean \"get\"?\n");
  EXPECT_THAT(Out({"--help"}), HasSubstr("Commands:"));
  EXPECT_THAT(Out({"--version"}), StartsWith("kvctl "));
  for (const VerbRow& row : Verbs()) {
    const std::string verb = row.name;
    const std::string help = Out({verb, "--help"});
    EXPECT_EQ(help, Out({"help", verb}));
    EXPECT_THAT(help, HasSubstr("Usage: kvctl " + verb));
    EXPECT_THAT(help, HasSubstr("  kvctl " + verb));
  }
}

TEST_F(Kvctl, SaysWhenItsOutputCannotBeWritten) {
  Serve({{"GET k", Bulk("v")}});
  const Ran ran = Run({"get", "k"}, {.output_path = "/dev/full"});
  EXPECT_EQ(ran.code, 74);
  EXPECT_THAT(ran.err, HasSubstr("No space left on device"));
  EXPECT_THAT(Err(74, {"set", "k", "--file", "/none"}),
              HasSubstr("cannot read /none: No such file"));
}

TEST_F(Kvctl, EndsWith130WhenInterrupted) {
  Serve({{"GET k", ""}});
  EXPECT_EQ(Run({"get", "k", "--timeout", "1h"}, {.signal = SIGINT}).code, 130);
}

}  // namespace
}  // namespace kvctl
