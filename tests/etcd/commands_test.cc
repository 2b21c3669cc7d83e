// SPDX-License-Identifier: MIT
//
// Clients of a daemon on etcd whose commands wait for what becomes of a batch:
// order, bounds, ends.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/planted_bug.h"
#include "etcd/engine/names.h"
#include "tests/etcd/daemon_rig.h"

namespace kvd::etcd {
namespace {

class Commands : public testing::Test, protected DaemonRig {
 protected:
  // Passes until as many bytes have come, or nothing more does.
  std::string Await(int client, size_t bytes) {
    std::string got = Receive(client);
    for (int i = 0; i < 20'000 && got.size() < bytes; ++i) {
      Pass();
      got += Receive(client);
    }
    return got;
  }
  // etcd takes its time for the next Txn.
  void Delay(int64_t ms) { etcd().NextTxn("one", Fate::Answered(ms)); }
  std::string ValueIn(std::string_view name) {
    const auto found = etcd().Get(std::string(name));
    return found ? found->value : "(none)";
  }
};

// --- Order ------------------------------------------------------------------

// Each kind of command, its own changes before its eyes; the replies are what
// one gets by sending one after the other.
class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {}

  void Add(std::string* sent, std::string* expected) {
    const std::string key = fmt::format("k{}", random_() % 50);
    std::string& value = values_[key];
    const auto bulk = [](const std::string& text) {
      if (text.empty()) return std::string("$-1\r\n");
      return fmt::format("${}\r\n{}\r\n", text.size(), text);
    };
    switch (random_() % 8) {
      case 0:
        value = fmt::format("v{}", random_() % 1000);
        *sent += Command({"SET", key, value});
        *expected += "+OK\r\n";
        return;
      case 1:
        *sent += Command({"GET", key});
        *expected += bulk(value);
        return;
      case 2:
        *sent += Command({"PING"});
        *expected += "+PONG\r\n";
        return;
      case 3:
        *sent += Command({"DEL", key});
        *expected += value.empty() ? ":0\r\n" : ":1\r\n";
        value.clear();
        return;
      case 4:
        *sent += Command({"INCR", "count"});
        *expected += fmt::format(":{}\r\n", ++count_);
        return;
      case 5:
        *sent += Command({"NONSENSE"});
        *expected +=
            "-ERR unknown command 'NONSENSE', with args beginning "
            "with: \r\n";
        return;
      case 6:
        *sent += Command({"GET"});
        *expected += "-ERR wrong number of arguments for 'get' command\r\n";
        return;
      default:
        value = "x";
        *sent += Command({"MULTI"}) + Command({"SET", key, "x"}) +
                 Command({"GET", key}) + Command({"EXEC"});
        *expected += "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\nx\r\n";
        return;
    }
  }

 private:
  std::mt19937_64 random_;
  std::map<std::string, std::string> values_;
  int count_ = 0;
};

TEST_F(Commands, TenThousandInOneWriteAreAnsweredInOrder) {
  Model model(1);
  std::string sent;
  std::string expected;
  for (int i = 0; i < 10'000; ++i) model.Add(&sent, &expected);
  Send(1, sent);
  EXPECT_EQ(Await(1, expected.size()), expected);
}

TEST_F(Commands, AreAnsweredInOrderWhenOthersComeFirst) {
  Model model(2);
  std::string sent;
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    model.Add(&sent, &expected);
    sent += Command({"EXISTS", "trap"});
    expected += ":1\r\n";
  }
  SpringTrap();
  Pass(10);
  etcd().set_watch_lag_ms(8);
  Send(1, sent);
  std::string got;
  for (int i = 0; i < 20'000 && got.size() < expected.size(); ++i) {
    if (i % 30 == 0) SpringTrap();
    Pass();
    got += Receive(1);
  }
  EXPECT_EQ(got, expected);
  EXPECT_GE(refused(), 1u);
}

// What is no command comes behind what was.
TEST_F(Commands, GarbageIsAnsweredLast) {
  Delay(5);
  Send(1, Command({"SET", "a", "1"}) + "*1\r\n$x\r\n");
  const std::string got = Await(1, 100);
  EXPECT_TRUE(got.starts_with("+OK\r\n-ERR Protocol error")) << got;
}

// --- One moment -------------------------------------------------------------

struct Moment {
  std::string changes;  // Behind another kvd's: x and added are "new".
  std::string reads;    // Its words have come before that.
  std::string replies;
};
const std::string kBothNew = "$3\r\nnew\r\n$3\r\nnew\r\n";
const std::vector<Moment> kMoments = {
    {Line("SET y new"), Line("MGET y x"), "*2\r\n" + kBothNew},
    {Line("SET y new"),
     Line("MULTI") + Line("GET y") + Line("GET x") + Line("EXEC"),
     "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + kBothNew},
#ifdef KVD_SCRIPTS
    {Line("SET y new"),
     Command({"EVAL",
              "return {redis.call('GET', KEYS[1]), redis.call('GET', "
              "KEYS[2])}",
              "2", "y", "x"}),
     "*2\r\n" + kBothNew},
#endif
    {Line("DEL y"), Line("EXISTS y added"), ":1\r\n"},
    {Line("DEL y"), Line("DBSIZE"), ":3\r\n"},
    {Line("DEL y"), Line("KEYS [ya]*"), "*1\r\n$5\r\nadded\r\n"},
    {Line("DEL y"), Line("SCAN 0 MATCH [ya]* COUNT 100"),
     "*2\r\n$1\r\n0\r\n*1\r\n$5\r\nadded\r\n"},
    {Line("SELECT 1") + Line("FLUSHDB"),
     Line("MULTI") + Line("SELECT 1") + Line("EXISTS far") + Line("SELECT 0") +
         Line("GET x") + Line("EXEC"),
     "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n+OK\r\n:0\r\n"
     "+OK\r\n$3\r\nnew\r\n"},
    // A pipeline's are one after the other.
    {Line("SET y new"), Line("GET y") + Line("GET x"), kBothNew},
};

// This kvd knows what it has changed by itself, and has not been told yet what
// another one had changed before.
std::string RepliesAt(const Moment& moment) {
  DaemonRig rig;
  rig.Talk(1, Line("MSET x old y old z old"));
  rig.Talk(2, Line("SELECT 1") + Line("SET far 1") + Line("SELECT 0"));
  rig.Blind();
  // It asks how far the others are, and hears of it late.
  rig.etcd().NextRange("one", Fate::Answered(0, 10));
  rig.Send(1, moment.reads);
  rig.Pass(2);
  rig.etcd().Put("kvd/0/0/x", "0new");
  rig.etcd().Put("kvd/0/0/added", "0new");
  rig.Send(2, moment.changes);
  rig.Pass(30);
  EXPECT_NE(rig.Receive(2), "");
  std::string replies = rig.Receive(1);
  rig.See();
  rig.Pass(30);
  return replies + rig.Receive(1);
}

TEST(Moments, AreNotMixedByAReply) {
  for (const Moment& moment : kMoments) {
    EXPECT_EQ(RepliesAt(moment), moment.replies) << moment.reads;
  }
}

#ifdef KVD_PLANTED_BUGS
TEST(Moments, AreSeenToBeMixed) {
  const ScopedPlantedBug planted(PlantedBug::kMixMoments);
  for (const Moment& moment : kMoments) {
    EXPECT_NE(RepliesAt(moment), moment.replies) << moment.reads;
  }
}
#endif

// --- Clients that go or do not read -----------------------------------------

// Nor is it read on for ever while it waits.
TEST_F(Commands, ThatAreNoneAreNotReadOnBehindWhatWaits) {
  constexpr size_t kMost = 4 << 20;  // The socket's buffers, and some.
  Talk(1, Line("PING"));
  Delay(500);
  Send(1, Command({"SET", "a", "1"}) + "*1\r\n$x\r\n");
  const std::string more(64 << 10, 'x');
  size_t sent = 0;
  for (int i = 0; i < 200; ++i, Pass()) sent += host().SendSome(1, more);
  EXPECT_LT(sent, kMost);
  const std::string got = Await(1, 20);
  EXPECT_TRUE(got.starts_with("+OK\r\n-ERR Protocol error")) << got;
}

TEST_F(Commands, OfAClientThatHasGoneAreDone) {
  Talk(2, Line("SUBSCRIBE news"));
  Talk(1, Line("PING"));
  Delay(30);
  Send(1, Line("MULTI") + Line("SET gone 1") + Line("PUBLISH news late") +
              Line("CLIENT KILL ID 2 SKIPME NO") + Line("EXEC"));
  Pass(10);
  host().Leave(1);
  Pass(5);
  EXPECT_EQ(Receive(2), "");
  Pass(60);
  EXPECT_EQ(Receive(2), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$4\r\nlate\r\n");
  EXPECT_EQ(Talk(3, Line("GET gone")), "$1\r\n1\r\n");
  EXPECT_EQ(ValueIn("kvd/0/0/gone"), "01");
}

TEST_F(Commands, OfAClientThatIsKilledAreForgottenIfRefused) {
  Talk(2, Line("SUBSCRIBE news"));
  Talk(3, Line("PING"));
  Blind();
  SpringTrap();
  Delay(30);
  Send(1, Line("MULTI") + Line("INCR trap") + Line("PUBLISH news late") +
              Line("EXEC") + Line("SET behind 1"));
  Pass(10);
  EXPECT_EQ(Talk(3, Line("CLIENT KILL ID 3")), ":1\r\n");
  Pass(40);
  EXPECT_EQ(refused(), 1u);
  See();
  Pass(40);
  EXPECT_EQ(Receive(2), "");
  EXPECT_EQ(Talk(3, Line("MGET trap behind")), "*2\r\n$3\r\n100\r\n$-1\r\n");
}

// It has ended its side, and waits for replies.
TEST_F(Commands, OfAClientThatSendsNoMoreRunAgain) {
  Blind();
  SpringTrap();
  Send(1, Line("INCR trap") + Line("INCR trap"));
  host().EndSending(1);
  Pass(20);
  EXPECT_GE(refused(), 1u);
  See();
  EXPECT_EQ(Await(1, 12), ":101\r\n:102\r\n");
}

TEST_F(Commands, OfAClientThatIsKilledChangeAllOrNothing) {
  Talk(1, Line("PING"));
  Talk(2, Line("PING"));
  Delay(30);
  Send(1, Line("MSET a 1 b 2"));
  Pass(3);
  EXPECT_EQ(Talk(2, Line("CLIENT KILL ID 1")), ":1\r\n");
  Pass(60);
  EXPECT_EQ(Receive(1), "");
  EXPECT_EQ(Talk(2, Line("MGET a b")), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
}

// A megabyte of replies that wait, and one more, is what a client may hold.
TEST_F(Commands, DoNotRunBehindAMegabyteOfReplies) {
  const std::string value(100 << 10, 'v');
  Talk(1, Command({"SET", "large", value}));
  Pass(50);
  Receive(1);
  Delay(40);
  // What is read makes all of them fresh.
  std::string sent = Line("GET small") + Line("SET small 1");
  for (int i = 0; i < 100; ++i) sent += Line("GET large");
  Send(1, sent);
  Pass(20);
  const std::string memory = Talk(2, Line("CLIENT LIST ID 1"));
  const size_t at = memory.find(" omem=");
  ASSERT_NE(at, memory.npos) << memory;
  const size_t held = std::stoul(memory.substr(at + 6));
  EXPECT_GT(held, 1u << 20);
  EXPECT_LT(held, (1u << 20) + 2 * value.size());
  const std::string one = fmt::format("${}\r\n{}\r\n", value.size(), value);
  const std::string got = Await(1, 10 + 100 * one.size());
  ASSERT_EQ(got.size(), 10 + 100 * one.size());
  EXPECT_EQ(got.substr(got.size() - one.size()), one);
}

// --- Pauses, stops ----------------------------------------------------------

TEST_F(Commands, APauseHoldsBackWhatHasToRunAgain) {
  Talk(2, Line("PING"));
  Blind();
  SpringTrap();
  Send(1, Line("INCR trap"));
  Pass(2);
  Send(2, Line("CLIENT PAUSE 100000 WRITE"));
  Pass(20);
  EXPECT_EQ(Receive(2), "+OK\r\n");
  See();
  Pass(20);
  EXPECT_EQ(Receive(1), "");
  EXPECT_EQ(Talk(2, Line("GET trap") + Line("CLIENT UNPAUSE")),
            "$3\r\n100\r\n+OK\r\n");
  EXPECT_EQ(Await(1, 6), ":101\r\n");
}

TEST_F(Commands, AStopWaitsForWhatIsUnderWay) {
  Talk(2, Line("PING"));
  Delay(30);
  Send(1, Line("SET a 1") + Line("PING") + Line("GET a"));
  Pass(3);
  Send(2, Line("SHUTDOWN"));
  Pass(100);
  EXPECT_EQ(Receive(1), "+OK\r\n+PONG\r\n$1\r\n1\r\n");
  EXPECT_EQ(ValueIn("kvd/0/0/a"), "01");
}

TEST_F(Commands, AStopLetsRefusedOnesRunAgain) {
  Talk(2, Line("PING"));
  Blind();
  SpringTrap();
  Send(1, Line("INCR trap"));
  Pass(2);
  Send(2, Line("SHUTDOWN"));
  Pass(2);
  See();
  EXPECT_EQ(Await(1, 6), ":101\r\n");
}

// --- Outcomes ---------------------------------------------------------------

TEST_F(Commands, FailTogetherWhenEtcdIsFull) {
  Talk(1, Line("PING"));
  etcd().NextTxn("one", Fate::Refused());
  const std::string got = Talk(1, Line("SET a 1") + Line("CLIENT REPLY SKIP") +
                                      Line("SET b 1") + Line("GET a"));
  EXPECT_TRUE(got.starts_with("-TRYAGAIN etcd does not answer")) << got;
  EXPECT_TRUE(got.ends_with("\r\n$-1\r\n")) << got;
}

// Nothing of a command that has failed stays, neither do settings.
TEST_F(Commands, LeaveTheSessionAsItWasWhenTheyFail) {
  Talk(1, Line("PING"));
  etcd().NextTxn("one", Fate::Refused());
  Talk(1, Line("MULTI") + Line("SELECT 3") + Line("SET a 1") + Line("EXEC"));
  Talk(1, Line("SET b 1"));
  EXPECT_EQ(ValueIn("kvd/0/0/b"), "01");
}

TEST_F(Commands, RunAgainInTheirDatabase) {
  Blind();
  SpringTrap();
  Send(1, Line("MULTI") + Line("INCR trap") + Line("SELECT 3") + Line("EXEC") +
              Line("SET b 1"));
  Pass(20);
  EXPECT_GE(refused(), 1u);
  See();
  Pass(20);
  EXPECT_EQ(ValueIn("kvd/0/0/trap"), "0101");
  EXPECT_EQ(ValueIn("kvd/3/0/b"), "01");
  EXPECT_EQ(ValueIn("kvd/3/0/trap"), "(none)");
}

// SAVE, WAITAOF and messages wait for what is undecided, not for what was
// undone.
TEST_F(Commands, WaitForNothingThatWasUndone) {
  Talk(2, Line("SUBSCRIBE news"));
  Talk(1, Line("PING"));
  etcd().NextTxn("one", Fate::Refused());
  Talk(1, Line("SET a 1"));
  EXPECT_EQ(
      Talk(1, Line("SAVE") + Line("WAITAOF 1 0 0") + Line("PUBLISH news x")),
      "+OK\r\n*2\r\n:1\r\n:0\r\n:1\r\n");
  EXPECT_NE(Receive(2), "");
}

// Settings change while somebody's commands are undecided.
TEST_F(Commands, TellEventsThatAreAskedForMeanwhile) {
  Talk(2, Line("PSUBSCRIBE *"));
  Talk(3, Line("PING"));
  Blind();
  SpringTrap();
  Send(1, Line("INCR trap"));
  Pass(1);
  Send(3, Line("CONFIG SET notify-keyspace-events E$"));
  Pass(20);
  EXPECT_GE(refused(), 1u);
  EXPECT_EQ(Receive(2), "");
  See();
  Pass(20);
  EXPECT_EQ(Receive(1), ":101\r\n");
  const std::string told = Receive(2);
  EXPECT_TRUE(told.ends_with("__keyevent@0__:incrby\r\n$4\r\ntrap\r\n"));
  EXPECT_EQ(told.find("incrby"), told.rfind("incrby")) << told;
}

class EventsOfExpiredKeys : public Commands {
 protected:
  EventsOfExpiredKeys() {
    Talk(3, Line("CONFIG SET notify-keyspace-events EA"));
    Talk(2, Line("PSUBSCRIBE *"));
  }
  // As another host does; it goes after so many ms.
  void PutByAnother(const std::string& key, int64_t ms) {
    etcd().Put("kvd/0/0/" + key,
               EncodeValue("v", static_cast<uint64_t>(clock().WallMs() + ms)));
    Pass();
  }
  // The events that the listener hears meanwhile, by their names, of the key.
  std::string Told(const std::string& key, int ms) {
    for (; ms > 0; --ms) {
      Pass();
      host().store().Tick();  // The loop's own comes by another clock.
    }
    const std::string told = Receive(2);
    std::string names;
    constexpr std::string_view kChannel = "__keyevent@0__:";
    for (size_t at = told.find(kChannel); at != told.npos;
         at = told.find(kChannel, at + 1)) {
      const size_t begin = at + kChannel.size();
      const size_t end = told.find("\r\n", begin);
      const size_t word = told.find("\r\n", end + 2) + 2;
      if (told.substr(word, told.find("\r\n", word) - word) != key) continue;
      names += told.substr(begin, end - begin) + " ";
    }
    return names;
  }
  static constexpr int kSkewMs = 500;
};

TEST_F(EventsOfExpiredKeys, ThatThisHostRemoves) {
  Talk(1, Line("SET key v PX 100"));
  EXPECT_EQ(Told("key", 20), "set expire ");
  EXPECT_EQ(Told("key", 2 * kSkewMs), "expired ");
  EXPECT_FALSE(etcd().Get("kvd/0/0/key"));
  PutByAnother("theirs", 100);
  EXPECT_EQ(Told("theirs", 2 * kSkewMs), "expired ");
  EXPECT_FALSE(etcd().Get("kvd/0/0/theirs"));
}

TEST_F(EventsOfExpiredKeys, ThatAnotherHostRemoves) {
  PutByAnother("key", 100);
  EXPECT_EQ(Told("key", 200), "");
  etcd().Delete("kvd/0/0/key");
  EXPECT_EQ(Told("key", 2 * kSkewMs), "expired ");
  // What its clients delete is theirs.
  PutByAnother("key", 100);
  etcd().Delete("kvd/0/0/key");
  EXPECT_EQ(Told("key", 2 * kSkewMs), "");
}

TEST_F(EventsOfExpiredKeys, ThatAreSetAgain) {
  Talk(1, Line("SET key v PX 100"));
  EXPECT_EQ(Told("key", 200), "set expire ");
  Talk(1, Line("SET key w"));
  EXPECT_EQ(Told("key", 2 * kSkewMs), "expired set ");
  PutByAnother("key", 100);
  Pass(200);
  PutByAnother("key", 100'000);
  EXPECT_EQ(Told("key", 2 * kSkewMs), "expired ");
}

// --- Revisions --------------------------------------------------------------

TEST_F(Commands, ShowTheRevisionsThatEtcdGives) {
  const std::string got =
      Talk(1, Line("KV.SET a 1") + Line("MULTI") + Line("KV.SET b 1") +
                  Line("PING") + Line("KV.GET b META") + Line("KV.DEL a") +
                  Line("EXEC"));
  const auto b = etcd().Get("kvd/0/0/b");
  ASSERT_TRUE(b);
  const int64_t revision = b->mod_revision;
  EXPECT_EQ(got, fmt::format(":{0}\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
                             "+QUEUED\r\n*4\r\n:{1}\r\n+PONG\r\n*3\r\n:1\r\n"
                             ":{1}\r\n:-1\r\n:{1}\r\n",
                             revision - 1, revision));
}

#ifdef KVD_SCRIPTS
TEST_F(Commands, OfAScriptGetNoRevisionThatNobodyKnows) {
  const std::string set =
      Talk(1, Command({"EVAL", "return redis.call('KV.SET', 'a', '1')", "0"}));
  EXPECT_TRUE(set.starts_with("-ERR etcd gives a change its revision")) << set;
  const std::string get = Talk(1, Command({"EVAL",
                                           "redis.call('SET', 'a', '1') "
                                           "return redis.call('KV.GET', 'a')",
                                           "0"}));
  EXPECT_TRUE(get.starts_with("-ERR etcd gives a change its revision")) << get;
  Talk(1, Line("SET a 2"));
  const auto a = etcd().Get("kvd/0/0/a");
  EXPECT_EQ(
      Talk(1, Command({"EVAL", "return redis.call('KV.GET', 'a')[2]", "0"})),
      fmt::format(":{}\r\n", a->mod_revision));
  // One that becomes known shortly is waited for.
  Delay(10);
  Send(1, Line("SET a 3"));
  Send(2, Command({"EVAL", "return redis.call('KV.GET', 'a')[2]", "0"}));
  Pass(60);
  EXPECT_EQ(Receive(2),
            fmt::format(":{}\r\n", etcd().Get("kvd/0/0/a")->mod_revision));
}
#endif

// --- What there is not ------------------------------------------------------

TEST_F(Commands, SayWhatToDoInstead) {
  EXPECT_TRUE(Talk(1, Line("KV.BACKUP BEGIN"))
                  .starts_with("-ERR the data is in etcd: back it up there"));
  for (const char* line : {"KV.COMPACT", "KV.COMPACT WAIT", "BGREWRITEAOF"}) {
    EXPECT_TRUE(
        Talk(1, Line(line))
            .starts_with(
                "-ERR the data is in etcd, so kvd has no log to compact"))
        << line;
  }
  const std::string setting = Talk(1, Line("CONFIG SET compaction.rate 1MiB"));
  EXPECT_NE(setting.find("the data is in etcd"), setting.npos) << setting;
  EXPECT_EQ(Talk(1, Line("CONFIG SET slowlog.length 7")), "+OK\r\n");
  for (const char* line : {"SAVE", "DEBUG RELOAD"}) {
    EXPECT_EQ(Talk(1, Line(line)).find("disk"), std::string::npos) << line;
  }
  Talk(1, Line("MULTI"));
  EXPECT_TRUE(Talk(1, Line("SUBSCRIBE a"))
                  .starts_with("-ERR SUBSCRIBE cannot be in a transaction"));
}

}  // namespace
}  // namespace kvd::etcd
