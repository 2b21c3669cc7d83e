// SPDX-License-Identifier: MIT
//
// Values as rows of bits: words and replies, those that Redis 7.0 does not have
// above all; tests/e2e/commands/test_commands.py compares the others with it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using Words = std::vector<std::string>;

class BitsTest : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.

  BitsTest() { config_.limits.value_bytes = kValueLimit; }

  std::string Get(const std::string& key) {
    const std::string reply = Send(Words{"GET", key});
    const size_t line = reply.find("\r\n") + 2;
    return line == reply.size() ? "none"
                                : reply.substr(line, reply.size() - line - 2);
  }
  // The bytes of this text in hex digits become the key's value.
  void SetHex(const std::string& key, const std::string& hex) {
    std::string value;
    for (size_t i = 0; i < hex.size(); i += 2) {
      value += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    }
    Send(Words{"SET", key, value});
  }
  std::string Hex(const std::string& key) {
    std::string hex;
    for (const unsigned char c : Get(key)) hex += fmt::format("{:02x}", c);
    return hex;
  }

  static constexpr uint64_t kValueLimit = 32 << 10;
};

TEST_F(BitsTest, SetBitMakesRoomWithZeros) {
  EXPECT_EQ(Send("SETBIT k 23 1"), ":0\r\n");
  EXPECT_EQ(Hex("k"), "000001");
  EXPECT_EQ(Send("SETBIT k 23 0"), ":1\r\n");
  EXPECT_EQ(Hex("k"), "000000");
  EXPECT_EQ(Send("SETBIT k 0 1"), ":0\r\n");
  EXPECT_EQ(Hex("k"), "800000");
  EXPECT_EQ(Send("GETBIT k 0"), ":1\r\n");
  EXPECT_EQ(Send("GETBIT k 24"), ":0\r\n");
}

TEST_F(BitsTest, AZeroMakesTheKeyAndIsNoChangeAfterwards) {
  EXPECT_EQ(Send("SETBIT k 9 0"), ":0\r\n");
  EXPECT_EQ(Hex("k"), "0000");
  const Seq before = store_->last_seq();
  EXPECT_EQ(Send("SETBIT k 9 0"), ":0\r\n");
  EXPECT_EQ(store_->last_seq(), before);
  EXPECT_EQ(Send("SETBIT k 9 1"), ":0\r\n");
  EXPECT_EQ(store_->last_seq(), before + 1);
}

TEST_F(BitsTest, AChangedBitKeepsTheDeadline) {
  Send("SET k v PX 5000");
  Send("SETBIT k 20 1");
  Send("BITFIELD k SET u8 32 7");
  EXPECT_EQ(Send("PTTL k"), ":5000\r\n");
  Send("BITOP NOT k k");
  EXPECT_EQ(Send("PTTL k"), ":-1\r\n");
}

// However few the words, no value grows beyond its limit.
TEST_F(BitsTest, OffsetsEndWhereValuesMust) {
  const char kError[] = "-ERR bit offset is not an integer or out of range\r\n";
  const uint64_t bits = kValueLimit * 8;
  EXPECT_EQ(Send(fmt::format("SETBIT k {} 1", bits - 1)), ":0\r\n");
  EXPECT_EQ(Send("STRLEN k"), fmt::format(":{}\r\n", kValueLimit));
  for (const std::string& offset :
       {std::to_string(bits), std::string("-1"), std::string("x"),
        std::string(""), std::string("4294967296"),
        std::string("9223372036854775807"),
        std::string("9223372036854775808")}) {
    EXPECT_EQ(Send(Words{"SETBIT", "k", offset, "1"}), kError) << offset;
    EXPECT_EQ(Send(Words{"GETBIT", "k", offset}), kError) << offset;
    EXPECT_EQ(Send(Words{"BITFIELD", "k", "GET", "u8", offset}), kError);
  }
  // These are multiplied by the field's size.
  for (const char* offset :
       {"#32768", "#9223372036854775807", "#2305843009213693952", "#-1", "#"}) {
    EXPECT_EQ(Send(Words{"BITFIELD", "k", "SET", "u8", offset, "1"}), kError)
        << offset;
  }
  EXPECT_EQ(Send("BITFIELD k SET u8 #32767 1"), "*1\r\n:1\r\n");
  EXPECT_TRUE(Send(fmt::format("BITFIELD k SET u2 {} 1", bits - 1))
                  .starts_with("-ERR string exceeds maximum allowed size"));
  // What is behind the end can be read.
  EXPECT_EQ(Send(fmt::format("BITFIELD k GET u2 {}", bits - 1)),
            "*1\r\n:2\r\n");
}

TEST_F(BitsTest, BitCountTakesAStartAlone) {
  Send("SET k foobar");
  EXPECT_EQ(Send("BITCOUNT k 1"), ":22\r\n");
  EXPECT_EQ(Send("BITCOUNT k -1"), ":4\r\n");
  EXPECT_EQ(Send("BITCOUNT none 1"), ":0\r\n");
}

TEST_F(BitsTest, BitOpOfLaterReleases) {
  SetHex("x", "f0");
  SetHex("y", "aa0f");
  SetHex("z", "0f");
  for (const auto& [op, expected] :
       std::vector<std::pair<std::string, std::string>>{{"DIFF", "5000"},
                                                        {"DIFF1", "0f0f"},
                                                        {"ANDOR", "a000"},
                                                        {"ONE", "550f"},
                                                        {"one", "550f"}}) {
    EXPECT_EQ(Send("BITOP " + op + " r x y z"), ":2\r\n") << op;
    EXPECT_EQ(Hex("r"), expected) << op;
  }
  EXPECT_EQ(Send("BITOP ONE r x"), ":1\r\n");
  EXPECT_EQ(Hex("r"), "f0");
  for (const std::string op : {"DIFF", "DIFF1", "ANDOR"}) {
    EXPECT_EQ(Send("BITOP " + op + " r x"),
              "-ERR BITOP " + op +
                  " must be called with at least two source keys.\r\n");
  }
}

TEST_F(BitsTest, BitOpOfNothingRemovesTheTarget) {
  Send("SET r old");
  Send(Words{"SET", "empty", ""});
  EXPECT_EQ(Send("BITOP OR r empty none"), ":0\r\n");
  EXPECT_EQ(Send("EXISTS r"), ":0\r\n");
  const Seq before = store_->last_seq();
  EXPECT_EQ(Send("BITOP NOT r none"), ":0\r\n");
  EXPECT_EQ(store_->last_seq(), before);
}

// A few words that name a large value again and again would hold up everybody.
TEST_F(BitsTest, BitOpReadsNoMoreThanOthersWaitFor) {
  Send(Words{"SET", "k", std::string(kValueLimit, 'x')});
  Words words(3 + (512 << 20) / kValueLimit + 1, "k");
  words[0] = "BITOP";
  words[1] = "OR";
  words[2] = "r";
  EXPECT_EQ(Send(words),
            "-ERR the values that this BITOP reads take 536903680 bytes, and "
            "536870912 is the most; name fewer keys at once\r\n");
  words.resize(100);
  EXPECT_EQ(Send(words), fmt::format(":{}\r\n", kValueLimit));
}

TEST_F(BitsTest, BitFieldOfOverflows) {
  // A number without a sign is set as one: -1 is the largest there is.
  EXPECT_EQ(Send("BITFIELD k OVERFLOW SAT SET u8 0 -1 GET u8 0"),
            "*2\r\n:0\r\n:255\r\n");
  EXPECT_EQ(Send("BITFIELD k OVERFLOW SAT INCRBY u8 0 -300"), "*1\r\n:0\r\n");
  // What Redis's arithmetic does with the smallest numbers.
  EXPECT_EQ(Send("BITFIELD s OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 "
                 "0 SET i8 0 -9223372036854775680 GET i8 0"),
            "*4\r\n:0\r\n:127\r\n:127\r\n:-128\r\n");
  EXPECT_EQ(Send("BITFIELD s OVERFLOW FAIL SET i64 0 -9223372036854775808"),
            "*1\r\n:-9223372036854775808\r\n");
  EXPECT_EQ(Send("BITFIELD k OVERFLOW WRAP INCRBY u8 0 -1"), "*1\r\n:255\r\n");
  EXPECT_EQ(Send("BITFIELD k OVERFLOW FAIL INCRBY u8 0 1 GET u8 0"),
            "*2\r\n$-1\r\n:255\r\n");
  Send("HELLO 3");
  EXPECT_EQ(Send("BITFIELD k OVERFLOW FAIL INCRBY u8 0 1"), "*1\r\n_\r\n");
}

TEST_F(BitsTest, BitFieldThatChangesNothingIsNoChange) {
  Send("BITFIELD k SET u8 0 200");
  const Seq before = store_->last_seq();
  Send("BITFIELD k SET u8 0 200");
  Send("BITFIELD k OVERFLOW FAIL INCRBY u8 0 100");
  Send("BITFIELD k GET u8 100 INCRBY u8 0 0");
  EXPECT_EQ(store_->last_seq(), before);
  // But room that it makes is one, as in Redis.
  Send("BITFIELD k OVERFLOW FAIL INCRBY u8 8 300");
  EXPECT_EQ(Hex("k"), "c800");
}

TEST_F(BitsTest, ATooLargeReplyOfBitFieldChangesNothing) {
  config_.limits.output_bytes = 20;
  const std::string reply =
      Send("BITFIELD k SET u8 0 200 GET u8 0 GET u8 0 GET u8 0");
  EXPECT_TRUE(reply.starts_with("-ERR the reply takes ")) << reply;
  EXPECT_EQ(Send("EXISTS k"), ":0\r\n");
}

TEST_F(BitsTest, BitFieldRoOnlyReads) {
  EXPECT_EQ(Send("BITFIELD_RO k SET u8 0 1"),
            "-ERR BITFIELD_RO only supports the GET subcommand\r\n");
  EXPECT_EQ(Send("BITFIELD_RO k"), "*0\r\n");
  EXPECT_EQ(Send("BITFIELD_RO k GET i8 0"), "*1\r\n:0\r\n");
}

TEST_F(BitsTest, ReadersAreCountedAsSuch) {
  Send("SET k v");
  const uint64_t hits = service_->stats.keyspace_hits;
  Send("GETBIT k 1");
  Send("BITCOUNT k");
  Send("BITPOS k 1");
  Send("BITFIELD_RO k GET u8 0");
  EXPECT_EQ(service_->stats.keyspace_hits, hits + 4);
}

}  // namespace
}  // namespace kvd
