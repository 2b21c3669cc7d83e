// SPDX-License-Identifier: MIT
//
// A transaction that takes more than it may is refused as a whole.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/planted_bug.h"
#include "tests/daemon/transactions/transaction_rig.h"

namespace kvd {
namespace {

// What limits.transaction_bytes and others forbid is refused before anything is
// changed.
class TransactionLimits : public TransactionTest {
 protected:
  static constexpr uint64_t kLimit = 20'000;

  TransactionLimits() {
    config_.limits.transaction_bytes = kLimit;
    config_.limits.value_bytes = 32 << 10;
    Send("SET old value");
  }

  // The answer to these after a first command that could run. Nothing may have
  // changed.
  std::string Refusal(const std::vector<std::string>& lines) {
    const Seq before = store_->last_seq();
    Send("MULTI");
    Send("SET old changed");
    for (const std::string& line : lines) Send(line);
    const std::string reply = Send("EXEC");
    EXPECT_EQ(store_->last_seq(), before);
    EXPECT_EQ(Send("GET old"), "$5\r\nvalue\r\n");
    EXPECT_EQ(session_.queued, nullptr);
    return reply;
  }
};

constexpr std::string_view kTooLarge =
    "-EXECABORT Transaction discarded because of: the words, new values and "
    "replies of the transaction take more than limits.transaction_bytes, which "
    "is 20000B; nothing was changed. Send it in parts\r\n";

TEST_F(TransactionLimits, OfWords) {
  Send("MULTI");
  std::string reply;
  for (int i = 0; i < 100 && !reply.starts_with('-'); ++i) {
    reply = Send("GET " + std::string(1000, 'k'));
    EXPECT_LE(session_.memory_bytes(), kLimit + 200);
  }
  EXPECT_EQ(reply,
            "-ERR the transaction's words take more than "
            "limits.transaction_bytes, which is 20000B; nothing was changed. "
            "Send it in parts\r\n");
  EXPECT_LT(session_.memory_bytes(), 200u);
  EXPECT_EQ(Send("EXEC"), kPreviousErrors);
}

TEST_F(TransactionLimits, OfValuesThatFewWordsMake) {
  EXPECT_EQ(Refusal({"SETRANGE a 19999 x"}), kTooLarge);
  EXPECT_EQ(
      Refusal({"SETRANGE a 9000 x", "SETRANGE b 9000 x", "PING", "APPEND b y"}),
      kTooLarge);
  Send("SETRANGE large 12000 x");
  EXPECT_EQ(Refusal({"RENAME large larger", "RENAME larger large"}), kTooLarge);
  EXPECT_EQ(Refusal({"EXPIRE large 100", "PERSIST large"}), kTooLarge);
  EXPECT_EQ(Refusal({"COPY large a", "MOVE large 1"}), kTooLarge);
  EXPECT_EQ(Refusal({"SETBIT a 159999 1"}), kTooLarge);
  EXPECT_EQ(Refusal({"BITFIELD a SET u1 159999 1"}), kTooLarge);
  EXPECT_EQ(Refusal({"BITOP NOT a large", "BITOP NOT b large"}), kTooLarge);
  EXPECT_EQ(Exec({"SETRANGE a 9000 x", "STRLEN a"}),
            "*2\r\n:9001\r\n:9001\r\n");
}

TEST_F(TransactionLimits, OfReplies) {
  Send("SETRANGE large 9000 x");
  EXPECT_EQ(Refusal({"GET large", "GET large", "GET large"}), kTooLarge);
  for (int i = 0; i < 30; ++i) {
    Send("SET " + std::string(1000, 'k') + std::to_string(i) + " v");
  }
  EXPECT_EQ(Refusal({"KEYS k*"}), kTooLarge);
  const std::string reply = Exec({"GET large", "GET large"});
  EXPECT_EQ(reply.size(), 4 + 2 * (7 + 9001 + 2u));
}

TEST_F(TransactionLimits, OfOneReplyToEverything) {
  config_.limits.transaction_bytes = 1 << 20;
  config_.limits.output_bytes = 10'000;
  Send("SETRANGE large 6000 x");
  EXPECT_EQ(Refusal({"GET large", "GET large"}),
            "-EXECABORT Transaction discarded because of: the reply takes "
            "12029 bytes or more, and limits.output_bytes is 10000B; nothing "
            "was changed. Ask for less at once\r\n");
  for (int i = 0; i < 30; ++i) {
    Send("SET " + std::string(1000, 'k') + std::to_string(i) + " v");
  }
  EXPECT_TRUE(
      Refusal({"KEYS *"})
          .starts_with(
              "-EXECABORT Transaction discarded because of: the reply takes "));
}

#ifdef KVD_PLANTED_BUGS
TEST_F(TransactionLimits, WouldChangeSomethingIfLookedAtAfterwards) {
  const ScopedPlantedBug planted(PlantedBug::kTransactionLimitAfterChange);
  Send("MULTI");
  Send("SETRANGE a 19999 x");
  EXPECT_EQ(Send("EXEC"), kTooLarge);
  EXPECT_EQ(Send("STRLEN a"), ":20000\r\n");
}
#endif

class TransactionsAtTheMemoryLimit : public TransactionTest {
 protected:
  TransactionsAtTheMemoryLimit() : TransactionTest(OneMebibyte()) {
    Send("SET old value");
    for (char c = 'a'; !store_->Stats().memory_full; ++c) {
      KVD_CHECK(c <= 'z');
      Send("SET " + std::string(60'000, c) + " v");
    }
  }

  static StoreOptions OneMebibyte() {
    StoreOptions options = SmallStore();
    options.memory_limit_bytes = 1 << 20;
    return options;
  }
};

TEST_F(TransactionsAtTheMemoryLimit, AreRefusedWholeIfOneNeedsMore) {
  const Seq before = store_->last_seq();
  const std::string reply = Exec({"SET old other", "GET old", "SET new v"});
  EXPECT_TRUE(
      reply.starts_with("-EXECABORT Transaction discarded because of: "
                        "OOM command not allowed when used memory > "))
      << reply;
  EXPECT_EQ(store_->last_seq(), before);
  EXPECT_EQ(Exec({"SET old other", "GET old"}), "*2\r\n+OK\r\n$5\r\nother\r\n");
  EXPECT_EQ(Exec({"GET old", "PING"}), "*2\r\n$5\r\nother\r\n+PONG\r\n");
}

}  // namespace
}  // namespace kvd
