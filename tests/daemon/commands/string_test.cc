// SPDX-License-Identifier: MIT
//
// Commands on values that Redis 7.0 does not have, and what its replies do not
// show of the others.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <vector>

#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using Words = std::vector<std::string>;

class StringTest : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.
};

TEST_F(StringTest, DigestIsTheXxh3OfTheValue) {
  // Its leading zeros are shown, too.
  Send(
      "SET k v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nn"
      "f961u2jkfzkjytls2kwlj7626sd");
  EXPECT_EQ(Send("DIGEST k"), "$16\r\n00006c38adf31777\r\n");
  Send(Words{"SET", "k", ""});
  EXPECT_EQ(Send("DIGEST k"), "$16\r\n2d06800538d394c2\r\n");
  EXPECT_EQ(Send("DIGEST none"), "$-1\r\n");
}

class Comparisons : public StringTest {
 protected:
  Comparisons() { Send("SET k hello"); }

  std::string Digest() { return Send("DIGEST k").substr(5, 16); }
};

TEST_F(Comparisons, OfSet) {
  const std::string digest = Digest();
  const std::string other(16, '0');
  for (const auto& [words, holds] :
       std::vector<std::pair<std::string, bool>>{{"IFEQ hello", true},
                                                 {"IFEQ other", false},
                                                 {"IFNE hello", false},
                                                 {"ifne other", true},
                                                 {"IFDEQ " + digest, true},
                                                 {"IFDEQ " + other, false},
                                                 {"IFDNE " + digest, false},
                                                 {"ifdne " + other, true}}) {
    Send("SET k hello");
    EXPECT_EQ(Send("SET k new " + words), holds ? "+OK\r\n" : "$-1\r\n")
        << words;
    EXPECT_EQ(Send("GET k"), holds ? "$3\r\nnew\r\n" : "$5\r\nhello\r\n")
        << words;
    Send("SET k hello");
    EXPECT_EQ(Send("SET k new GET " + words), "$5\r\nhello\r\n") << words;
    Send("SET k hello");
    EXPECT_EQ(Send("KV.SET k new " + words).starts_with(":"), holds) << words;
  }
}

TEST_F(Comparisons, OfSetWhereThereIsNoKey) {
  for (const auto& [words, holds] :
       std::vector<std::pair<std::string, bool>>{{"IFEQ x", false},
                                                 {"IFNE x", true},
                                                 {"IFDEQ brief", false},
                                                 {"IFDNE brief", true}}) {
    EXPECT_EQ(Send("SET none new " + words), holds ? "+OK\r\n" : "$-1\r\n");
    EXPECT_EQ(Send("DEL none"), holds ? ":1\r\n" : ":0\r\n");
  }
}

TEST_F(Comparisons, OfDelEx) {
  const std::string digest = Digest();
  const std::string other(16, 'F');
  for (const auto& [words, holds] :
       std::vector<std::pair<std::string, bool>>{{"", true},
                                                 {" IFEQ hello", true},
                                                 {" IFEQ other", false},
                                                 {" IFNE hello", false},
                                                 {" IFNE other", true},
                                                 {" IFDEQ " + digest, true},
                                                 {" IFDEQ " + other, false},
                                                 {" IFDNE " + digest, false},
                                                 {" IFDNE " + other, true}}) {
    Send("SET k hello");
    EXPECT_EQ(Send("DELEX k" + words), holds ? ":1\r\n" : ":0\r\n") << words;
    EXPECT_EQ(Send("EXISTS k"), holds ? ":0\r\n" : ":1\r\n") << words;
    EXPECT_EQ(Send("DELEX none" + words), ":0\r\n") << words;
  }
}

TEST_F(Comparisons, TakeADigestInAnyCase) {
  std::string digest = Digest();
  for (char& c : digest) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(Send("SET k new IFDNE " + digest), "$-1\r\n");
  EXPECT_EQ(Send("DELEX k IFDEQ " + digest), ":1\r\n");
}

TEST_F(Comparisons, RefuseWhatIsNoDigest) {
  const char kError[] = "-ERR must be exactly 16 hexadecimal characters\r\n";
  for (const std::string& digest :
       {std::string(), std::string(15, '0'), std::string(17, '0')}) {
    for (const char* word : {"IFDEQ", "IFDNE"}) {
      EXPECT_EQ(Send(Words{"SET", "k", "new", word, digest}), kError);
      EXPECT_EQ(Send(Words{"SET", "k", "new", "GET", word, digest}), kError);
      EXPECT_EQ(Send(Words{"DELEX", "k", word, digest}), kError);
    }
  }
  EXPECT_EQ(Send("GET k"), "$5\r\nhello\r\n");
}

TEST_F(Comparisons, AreOneAtMost) {
  for (const char* words : {"IFEQ hello IFNE x", "IFNE x NX", "XX IFDEQ x",
                            "IFEQ a IFEQ hello", "IFDNE", "IFNE", "IFREV 1"}) {
    EXPECT_EQ(Send(fmt::format("SET k new {}", words)), "-ERR syntax error\r\n")
        << words;
  }
  EXPECT_EQ(Send("DELEX k IFEQ"),
            "-ERR wrong number of arguments for 'delex' command\r\n");
  EXPECT_EQ(Send("DELEX k IFEQ hello more"),
            "-ERR wrong number of arguments for 'delex' command\r\n");
  EXPECT_EQ(Send("DELEX k NX hello"),
            "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE\r\n");
}

TEST_F(StringTest, MSetExSetsAllOrNone) {
  EXPECT_EQ(Send("MSETEX 2 a 1 b 2"), ":1\r\n");
  EXPECT_EQ(Send("MSETEX 2 b x c x NX"), ":0\r\n");
  EXPECT_EQ(Send("MSETEX 2 b x c x XX"), ":0\r\n");
  EXPECT_EQ(Send("MGET a b c"), "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n");
  EXPECT_EQ(Send("MSETEX 2 c 3 d 4 nx px 5000"), ":1\r\n");
  EXPECT_EQ(Send("PTTL d"), ":5000\r\n");
  EXPECT_EQ(Send("MSETEX 2 a 5 d 6 KEEPTTL XX"), ":1\r\n");
  EXPECT_EQ(Send("PTTL a"), ":-1\r\n");
  EXPECT_EQ(Send("PTTL d"), ":5000\r\n");
  EXPECT_EQ(Send("MSETEX 3 a 1 a 2 d 7"), ":1\r\n");
  EXPECT_EQ(Send("MGET a d"), "*2\r\n$1\r\n2\r\n$1\r\n7\r\n");
  EXPECT_EQ(Send("PTTL d"), ":-1\r\n");
  EXPECT_EQ(Send("MSETEX 1 a x PXAT 1"), ":1\r\n");
  EXPECT_EQ(Send("EXISTS a"), ":0\r\n");
}

TEST_F(StringTest, MSetExIsOneChangeOnDisk) {
  std::string reply;
  const Executed executed = Run({"MSETEX", "2", "a", "1", "b", "2"}, &reply);
  EXPECT_TRUE(store_->MustWait(executed.seen));
  EXPECT_EQ(executed.seen, store_->last_seq());
  EXPECT_EQ(Run({"GET", "b"}, &reply).seen, executed.seen);
}

TEST_F(StringTest, MSetExRefusesWhatIsNoCount) {
  for (const char* count :
       {"0", "-1", "x", "1.5", "2147483648", "9223372036854775808"}) {
    EXPECT_EQ(Send(fmt::format("MSETEX {} a 1", count)),
              "-ERR invalid numkeys value\r\n")
        << count;
  }
  for (const char* line :
       {"MSETEX 2 a 1", "MSETEX 2 a 1 b", "MSETEX 2147483647 a 1"}) {
    EXPECT_EQ(Send(line), "-ERR wrong number of key-value pairs\r\n") << line;
  }
  for (const char* options : {"NOPE", "NX XX", "EX 10 PX 10", "EX 10 KEEPTTL",
                              "KEEPTTL EX 10", "EX", "GET", "IFEQ 1", "b"}) {
    EXPECT_EQ(Send(fmt::format("MSETEX 1 a 1 {}", options)),
              "-ERR syntax error\r\n")
        << options;
  }
  EXPECT_EQ(Send("MSETEX 1 a 1 EX 0"),
            "-ERR invalid expire time in 'msetex' command\r\n");
  EXPECT_EQ(Send("MSETEX 1 a 1 EX x"),
            "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(Send("EXISTS a"), ":0\r\n");
}

TEST_F(StringTest, KeysOfMSetExAreFoundByTheirCount) {
  EXPECT_EQ(Send("COMMAND GETKEYS MSETEX 2 a 1 b 2 NX"),
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
  EXPECT_EQ(Send("COMMAND GETKEYS MSETEX 3 a 1 b 2"),
            "-ERR Invalid arguments specified for command\r\n");
  EXPECT_EQ(Send("COMMAND GETKEYS BITOP AND a b c"),
            "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
  EXPECT_EQ(Send("COMMAND GETKEYS OBJECT FREQ a"), "*1\r\n$1\r\na\r\n");
  const std::string info = Send("COMMAND INFO MSETEX");
  EXPECT_TRUE(info.starts_with("*1\r\n*10\r\n$6\r\nmsetex\r\n:-4\r\n")) << info;
  EXPECT_NE(info.find("+movablekeys\r\n:0\r\n:0\r\n:0\r\n"), std::string::npos)
      << info;
  EXPECT_NE(info.find("keynum\r\n$4\r\nspec\r\n*6\r\n$9\r\nkeynumidx\r\n:0\r\n"
                      "$8\r\nfirstkey\r\n:1\r\n$7\r\nkeystep\r\n:2\r\n"),
            std::string::npos)
      << info;
}

TEST_F(StringTest, LcsIdxIsAMapInProtocolThree) {
  Send("MSET a ohmytext b mynewtext");
  Send("HELLO 3");
  EXPECT_EQ(Send("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN"),
            "%2\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n"
            ":8\r\n:4\r\n$3\r\nlen\r\n:6\r\n");
}

// Two large values would hold up everybody.
TEST_F(StringTest, LcsEndsWhereOthersWouldWait) {
  Send(Words{"SET", "a", std::string(250'000, 'a')});
  Send(Words{"SET", "b", std::string(1024, 'b')});
  EXPECT_EQ(Send("LCS a b LEN"), ":0\r\n");
  Send("APPEND b b");
  EXPECT_EQ(Send("LCS a b LEN"),
            "-ERR String too long for LCS: the values have 250000 and 1025 "
            "bytes, and the product of the two may be 268435456 (less than 64 "
            "bytes count as 64). Take parts of them\r\n");
}

TEST_F(StringTest, SetRangeFillsWithZeros) {
  EXPECT_EQ(Send("SETRANGE k 200000 x"), ":200001\r\n");
  EXPECT_EQ(Send("GETRANGE k 0 -2"),
            "$200000\r\n" + std::string(200'000, '\0') + "\r\n");
  EXPECT_EQ(Send("SETRANGE k 2 yz"), ":200001\r\n");
  EXPECT_EQ(Send("GETRANGE k 0 5"), std::string("$6\r\n\0\0yz\0\0\r\n", 12));
}

}  // namespace
}  // namespace kvd
