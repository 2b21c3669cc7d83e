// SPDX-License-Identifier: MIT
//
// EXEC and scripts on a full disk: each is refused as a whole, reads go on,
// what only removes has the reserve, and service resumes by itself.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "log/write/trouble.h"
#include "tests/daemon/transactions/together_rig.h"

namespace kvd {
namespace {

using Words = TogetherRig::Words;

const std::string kLarge(30'000, 'x');
constexpr std::string_view kDiskFull =
    "DISKFULL the disk has no room for this write; nothing was changed";

class FullDisk : public testing::TestWithParam<Way>, protected TogetherRig {
 protected:
  using TogetherRig::Run;  // Not the private one of testing::Test.

  FullDisk() {
    for (const char* database : {"3", "0"}) {
      Send({"SELECT", database});
      Send("MSET a 1 b 2 c 3");
      Send("SET brief 4 PX 60000");
    }
    // What is allocated already has room for a while.
    disk_.SetCapacity(disk_.used_bytes());
    Fill(20'000);
  }

  // Until not even a value of that size has room.
  void Fill(size_t value_bytes) {
    const Words set = {"SET", "filler", std::string(value_bytes, 'f')};
    for (int i = 0; i < 100'000; ++i) {
      if (Answer(set).starts_with("-DISKFULL ")) return;
    }
    ADD_FAILURE() << "the disk is never full";
  }

  // After as many tries as it takes.
  std::string Answer(const Words& words) {
    std::string reply;
    for (int tries = 0; tries < 1000; ++tries) {
      const Executed executed = Run(words, &reply);
      MakeDurable();
      if (executed.waits_for == WaitsFor::kNothing) return reply;
      EXPECT_EQ(executed.waits_for, WaitsFor::kRoom);
    }
    ADD_FAILURE() << words[0] << " waits for ever";
    return reply;
  }
  std::string AnswerTogether(const std::vector<Words>& commands) {
    return Answer(Together(GetParam(), commands));
  }

  void ExpectRefused(const std::vector<Words>& commands) {
    const std::string before = Everything();
    const Seq last = store_->last_seq();
    const std::string reply = AnswerTogether(commands);
    EXPECT_NE(reply.find(kDiskFull), std::string::npos) << reply;
    EXPECT_TRUE(reply.starts_with(
        GetParam() == Way::kExec
            ? "-EXECABORT Transaction discarded because of: DISKFULL "
            : "-DISKFULL "))
        << reply;
    EXPECT_EQ(store_->last_seq(), last);
    EXPECT_EQ(Everything(), before);
    EXPECT_EQ(session_.database, 0);
    EXPECT_EQ(session_.undone_bytes, 0u);
  }
};

// The first of the commands would have room.
TEST_P(FullDisk, RefusesTheWhole) {
  const std::vector<std::vector<Words>> all = {
      {{"SET", "a", "new"}, {"DEL", "b"}, {"SET", "large", kLarge}},
      {{"SET", "large", kLarge}, {"DEL", "b"}},
      {{"INCR", "c"}, {"FLUSHALL"}, {"SET", "a", kLarge}},
      {{"SELECT", "3"},
       {"PERSIST", "brief"},
       {"RENAME", "a", "z"},
       {"SWAPDB", "0", "3"},
       {"APPEND", "b", kLarge}},
      {{"GET", "a"}, {"GETDEL", "a"}, {"SETRANGE", "b", "29999", "x"}},
  };
  for (size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(i);
    ExpectRefused(all[i]);
  }
  EXPECT_TRUE(store_->Stats().disk_full);
  EXPECT_TRUE(AnswerTogether({{"SET", "b", "5"}, {"GET", "b"}})
                  .ends_with("$1\r\n5\r\n"));
}

TEST_P(FullDisk, ReadsGoOn) {
  Fill(0);
  EXPECT_TRUE(AnswerTogether({{"DBSIZE"}, {"MGET", "a", "b"}, {"GET", "c"}})
                  .ends_with("$1\r\n3\r\n"));
  EXPECT_EQ(Answer({"GET", "a"}), "$1\r\n1\r\n");
}

// Not even the smallest write has room.
TEST_P(FullDisk, WhatOnlyRemovesHasTheReserve) {
  Fill(0);
  ExpectRefused({{"DEL", "a"}, {"SET", "b", ""}});
  ExpectRefused({{"FLUSHALL"}, {"SET", "b", ""}});
  EXPECT_TRUE(AnswerTogether({{"DEL", "a"}, {"UNLINK", "b"}, {"DEL", "brief"}})
                  .ends_with(":1\r\n"));
  EXPECT_EQ(Answer({"EXISTS", "a", "b", "c", "brief"}), ":1\r\n");
  EXPECT_TRUE(
      AnswerTogether({{"GETDEL", "c"}, {"FLUSHALL"}}).ends_with("+OK\r\n"));
  EXPECT_EQ(Everything(), "");
}

TEST_P(FullDisk, ServiceResumesByItself) {
  const std::vector<Words> commands = {
      {"DEL", "b"}, {"SET", "large", kLarge}, {"INCR", "c"}};
  ExpectRefused(commands);
  disk_.SetCapacity(uint64_t{1} << 40);
  clock_.AdvanceMs(2 * kDiskFullRetryMs);
  store_->Tick();
  EXPECT_TRUE(AnswerTogether(commands).ends_with(":4\r\n"));
  EXPECT_FALSE(store_->Stats().disk_full);
  EXPECT_EQ(Answer({"EXISTS", "b", "large"}), ":1\r\n");
}

INSTANTIATE_TEST_SUITE_P(Together, FullDisk, testing::ValuesIn(Ways()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace kvd
