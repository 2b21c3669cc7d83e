// SPDX-License-Identifier: MIT
//
// Commands on keys whatever their values, and what Redis's replies do not show
// of them.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using Words = std::vector<std::string>;

class KeyTest : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.

  std::string In(int database, const std::string& line) {
    const int before = session_.database;
    session_.database = database;
    const std::string reply = Send(line);
    session_.database = before;
    return reply;
  }
};

TEST_F(KeyTest, CopyTakesValueAndDeadline) {
  Send("SET a one PX 5000");
  EXPECT_EQ(Send("COPY a b"), ":1\r\n");
  EXPECT_EQ(Send("GET b"), "$3\r\none\r\n");
  EXPECT_EQ(Send("PTTL b"), ":5000\r\n");
  EXPECT_EQ(Send("COPY none c"), ":0\r\n");
  Send("SET c old");
  EXPECT_EQ(Send("COPY a c"), ":0\r\n");
  EXPECT_EQ(Send("COPY a c REPLACE"), ":1\r\n");
  EXPECT_EQ(Send("MGET a c"), "*2\r\n$3\r\none\r\n$3\r\none\r\n");
}

TEST_F(KeyTest, CopyReachesOtherDatabases) {
  Send("SET a one");
  In(3, "SET a old");
  EXPECT_EQ(Send("COPY a a DB 3"), ":0\r\n");
  EXPECT_EQ(Send("COPY a a DB 3 REPLACE"), ":1\r\n");
  EXPECT_EQ(Send("COPY a b DB 3"), ":1\r\n");
  EXPECT_EQ(In(3, "MGET a b"), "*2\r\n$3\r\none\r\n$3\r\none\r\n");
  EXPECT_EQ(Send("GET b"), "$-1\r\n");
  EXPECT_EQ(In(3, "COPY b c DB 0"), ":1\r\n");
  EXPECT_EQ(Send("GET c"), "$3\r\none\r\n");
}

TEST_F(KeyTest, MoveLeavesNothingBehind) {
  Send("SET a one PX 5000");
  EXPECT_EQ(Send("MOVE a 3"), ":1\r\n");
  EXPECT_EQ(Send("EXISTS a"), ":0\r\n");
  EXPECT_EQ(In(3, "GET a"), "$3\r\none\r\n");
  EXPECT_EQ(In(3, "PTTL a"), ":5000\r\n");
  EXPECT_EQ(Send("MOVE a 3"), ":0\r\n");
  Send("SET a two");
  EXPECT_EQ(Send("MOVE a 3"), ":0\r\n");
  EXPECT_EQ(Send("GET a"), "$3\r\ntwo\r\n");
}

TEST_F(KeyTest, WhatIsInTheWayMayHaveExpired) {
  In(1, "SET a old PX 100");
  Send("SET a new");
  clock_.AdvanceMs(100);
  EXPECT_EQ(Send("MOVE a 1"), ":1\r\n");
  EXPECT_EQ(In(1, "GET a"), "$3\r\nnew\r\n");
  EXPECT_EQ(In(1, "PTTL a"), ":-1\r\n");
  Send("SET a old PX 100");
  clock_.AdvanceMs(100);
  EXPECT_EQ(Send("MOVE a 2"), ":0\r\n");
  EXPECT_EQ(Send("COPY a b"), ":0\r\n");
}

// Who looks into either database waits until it is on disk.
TEST_F(KeyTest, AMoveIsOneChangeOfTwoDatabases) {
  Send("SET a one");
  std::string reply;
  const Executed move = Run({"MOVE", "a", "1"}, &reply);
  EXPECT_EQ(move.seen, store_->last_seq());
  EXPECT_TRUE(store_->MustWait(Run({"GET", "a"}, &reply).seen));
  session_.database = 1;
  EXPECT_TRUE(store_->MustWait(Run({"GET", "a"}, &reply).seen));
  EXPECT_TRUE(reply.ends_with("$-1\r\n$3\r\none\r\n")) << reply;
  MakeDurable();
  EXPECT_FALSE(store_->MustWait(Run({"GET", "a"}, &reply).seen));
}

// What keeps a key from being moved is shown by the reply.
TEST_F(KeyTest, ARefusedMoveWaitsForWhatIsInTheWay) {
  Send("SET a one");
  std::string reply;
  session_.database = 1;
  const Executed set = Run({"SET", "a", "two"}, &reply);
  session_.database = 0;
  EXPECT_EQ(Run({"MOVE", "a", "1"}, &reply).seen, set.seen);
  EXPECT_EQ(Run({"COPY", "a", "a", "DB", "1"}, &reply).seen, set.seen);
  EXPECT_TRUE(reply.ends_with(":0\r\n:0\r\n"));
}

TEST_F(KeyTest, ARefusedCopyWaitsForTheSwapThatBroughtIt) {
  Send("SET a one");
  In(2, "SET a two");
  std::string reply;
  const Executed swap = Run({"SWAPDB", "1", "2"}, &reply);
  EXPECT_EQ(Run({"COPY", "a", "a", "DB", "1"}, &reply).seen, swap.seen);
  EXPECT_TRUE(reply.ends_with(":0\r\n"));
}

TEST_F(KeyTest, OtherDatabasesAreNamedRightly) {
  Send("SET a one");
  const char kNumber[] = "-ERR value is not an integer or out of range\r\n";
  const char kRange[] = "-ERR DB index is out of range\r\n";
  const char kSame[] = "-ERR source and destination objects are the same\r\n";
  EXPECT_EQ(Send("MOVE a x"), kNumber);
  EXPECT_EQ(Send("MOVE a 2147483648"),
            "-ERR value is out of range, value must between -2147483648 and "
            "2147483647\r\n");
  EXPECT_EQ(Send("MOVE a 16"), kRange);
  EXPECT_EQ(Send("MOVE a -1"), kRange);
  EXPECT_EQ(Send("MOVE a 0"), kSame);
  EXPECT_EQ(Send("COPY a a"), kSame);
  EXPECT_EQ(Send("COPY a a DB 0 REPLACE"), kSame);
  EXPECT_EQ(Send("COPY a b DB 16"), kRange);
  EXPECT_EQ(Send("COPY a b DB x"), kNumber);
  EXPECT_EQ(Send("COPY a b DB"), "-ERR syntax error\r\n");
  EXPECT_EQ(Send("COPY a b NOPE"), "-ERR syntax error\r\n");
  EXPECT_EQ(Send("DBSIZE"), ":1\r\n");
}

TEST_F(KeyTest, RandomKeyReachesEveryKeyAndNoOther) {
  EXPECT_EQ(Send("RANDOMKEY"), "$-1\r\n");
  std::set<std::string> expected;
  for (const char* key : {"a", "b", "c"}) {
    Send(Words{"SET", key, "v"});
    expected.insert(std::string("$1\r\n") + key + "\r\n");
  }
  Send("SET d v PX 100");
  Send("SET e v");
  clock_.AdvanceMs(100);
  std::string reply;
  Run({"DEL", "e"}, &reply);
  std::set<std::string> seen;
  // That one of three is missed so often has a chance of 10^-70.
  for (int i = 0; i < 400; ++i) seen.insert(Send("RANDOMKEY"));
  EXPECT_EQ(seen, expected);
}

TEST_F(KeyTest, RandomKeyWaitsForTheKeyThatItShows) {
  std::string reply;
  const Executed set = Run({"SET", "a", "v"}, &reply);
  EXPECT_EQ(Run({"RANDOMKEY"}, &reply).seen, set.seen);
  const Executed del = Run({"DEL", "a"}, &reply);
  EXPECT_EQ(Run({"RANDOMKEY"}, &reply).seen, del.seen);
  EXPECT_TRUE(reply.ends_with("$1\r\na\r\n:1\r\n$-1\r\n")) << reply;
}

// One key among thousands that are gone and not yet forgotten.
TEST_F(KeyTest, RandomKeyFindsTheOnlyOne) {
  constexpr int kGone = 5000;
  for (int i = 0; i < kGone; i += 500) {
    Words words = {"MSETEX", "500"};
    for (int k = i; k < i + 500; ++k) {
      words.push_back("gone" + std::to_string(k));
      words.push_back("v");
    }
    words.insert(words.end(), {"PX", "100"});
    EXPECT_EQ(Send(words), ":1\r\n");
  }
  Send("SET here v");
  clock_.AdvanceMs(100);
  std::string reply;
  int shares = 0;
  while (Run({"RANDOMKEY"}, &reply).waits_for == WaitsFor::kOthers) {
    EXPECT_EQ(reply, "");
    ASSERT_LT(++shares, kGone);
  }
  EXPECT_EQ(reply, "$4\r\nhere\r\n");
  EXPECT_EQ(session_.listing, nullptr);
}

TEST_F(KeyTest, ObjectTellsHowRedisWouldKeepAValue) {
  for (const auto& [value, encoding] :
       std::vector<std::pair<std::string, std::string>>{
           {"0", "int"},
           {"-9223372036854775808", "int"},
           {"9223372036854775808", "embstr"},
           {"01", "embstr"},
           {"", "embstr"},
           {std::string(44, 'x'), "embstr"},
           {std::string(45, 'x'), "raw"}}) {
    Send(Words{"SET", "k", value});
    EXPECT_EQ(Send("OBJECT ENCODING k"), "$" + std::to_string(encoding.size()) +
                                             "\r\n" + encoding + "\r\n")
        << value;
  }
  EXPECT_EQ(Send("OBJECT REFCOUNT k"), ":1\r\n");
  EXPECT_EQ(Send("OBJECT IDLETIME k"), ":0\r\n");
  EXPECT_TRUE(Send("OBJECT FREQ k")
                  .starts_with("-ERR An LFU maxmemory policy is not selected, "
                               "access frequency not "
                               "tracked."));
  for (const char* line : {"OBJECT ENCODING none", "OBJECT REFCOUNT none",
                           "OBJECT IDLETIME none", "OBJECT FREQ none"}) {
    EXPECT_EQ(Send(line), "$-1\r\n") << line;
  }
}

TEST_F(KeyTest, ScanKnowsTheTypesThatThereAre) {
  Send("SET a v");
  EXPECT_EQ(Send("SCAN 0 TYPE string"), "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n");
  for (const char* type : {"list", "SET", "zset", "hash", "Stream"}) {
    EXPECT_EQ(Send(Words{"SCAN", "0", "TYPE", type}), "*2\r\n$1\r\n0\r\n*0\r\n")
        << type;
  }
  EXPECT_EQ(Send("SCAN 0 TYPE strings"),
            "-ERR unknown type name 'strings'\r\n");
}

}  // namespace
}  // namespace kvd
