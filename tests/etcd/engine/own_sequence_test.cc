// SPDX-License-Identifier: MIT
//
// A kvd's sequence key alone: what becomes of its Txns when the key is not as
// the kvd has left it.
#include "etcd/engine/own_sequence.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "etcd/engine/names.h"
#include "tests/support/fake_etcd.h"
#include "tests/support/manual_clock.h"

namespace kvd::etcd {
namespace {

using What = OwnSequence::Told::What;

class OwnSequenceTest : public testing::Test {
 protected:
  OwnSequenceTest() { sequence_.Found(0); }
  ~OwnSequenceTest() override = default;

  void Pass(int64_t ms) {
    for (; ms > 0; --ms) {
      sequence_.DoWhatIsDue();
      clock_.AdvanceMs(1);
      etcd_.Run();
      api_->Poll();
      if (auto told = sequence_.Take()) told_ = std::move(told);
    }
  }

  // The key was removed, and nobody has told.
  void LetAFenceOfLongAgoMoveIt() {
    etcd_.NextTxn("one", Fate::AnswerLost(5000));
    Pass(2000);
    etcd_.Delete(kKey);
    Pass(4000);
    ASSERT_TRUE(etcd_.Get(kKey));
    ASSERT_TRUE(sequence_.settled());
  }
  void Send() { sequence_.Send({{}, {{Op::Kind::kPut, "key", "1"}}, {}}); }

  static constexpr int64_t kTimeoutMs = 1000;
  const std::string kKey = "kvd/s/one";
  ManualClock clock_;
  FakeEtcd etcd_{clock_};
  std::unique_ptr<Api> api_ = etcd_.Connect("one", Wake([] {}));
  OwnSequence sequence_{*api_, clock_, {kKey, "one", "nonce", kTimeoutMs}};
  std::optional<OwnSequence::Told> told_;
};

// The first fence comes when its key was made and removed again.
TEST_F(OwnSequenceTest, AFenceOfLongAgoDecidesNothing) {
  etcd_.NextTxn("one", Fate::AnswerLost(5000));
  Pass(2000);
  ASSERT_TRUE(sequence_.settled());
  etcd_.NextTxn("one", Fate::AnswerLost());
  Send();
  Pass(1);
  etcd_.Delete(kKey);
  for (int i = 0; i < 20; ++i) etcd_.NextTxn("one", Fate::NeverDone());
  Pass(4000);
  EXPECT_EQ(DecodeSequence(etcd_.Get(kKey)->value)->number, 1u);
  Pass(20'000);
  ASSERT_TRUE(told_);
  EXPECT_EQ(told_->what, What::kNeverKnown);
  EXPECT_TRUE(sequence_.settled());
}

// It comes between two Txns: the next one is refused, and the one after that
// is done.
TEST_F(OwnSequenceTest, AFenceOfLongAgoHoldsNothingUp) {
  LetAFenceOfLongAgoMoveIt();
  for (const auto what : {What::kRefused, What::kCommitted}) {
    ASSERT_TRUE(sequence_.settled());
    Send();
    Pass(100);
    ASSERT_TRUE(told_);
    EXPECT_EQ(told_->what, what);
  }
}

// The Txn was not done.
TEST_F(OwnSequenceTest, WithoutSpaceWhatMovedTheKeyIsLookedAt) {
  LetAFenceOfLongAgoMoveIt();
  etcd_.state().set_no_space(true);
  Send();
  Pass(100);
  ASSERT_TRUE(told_);
  EXPECT_EQ(told_->what, What::kNeverKnown);
}

// --- An etcd that was made anew ---------------------------------------------

// By its revision it shows.
TEST_F(OwnSequenceTest, AnOlderStateOfEtcdIsNoticed) {
  for (int i = 0; i < 10; ++i) etcd_.Put("other", "1");
  Pass(100);
  ASSERT_TRUE(sequence_.settled());
  etcd_.state() = EtcdState();
  Send();
  Pass(100);
  ASSERT_TRUE(sequence_.failure());
  EXPECT_NE(sequence_.failure()->message().find("made it anew"),
            std::string::npos);
  EXPECT_FALSE(etcd_.Get("key"));
}

// By its revision it does not: others have written since. What was in the key
// when the backup was taken:
struct InBackup {
  const char* name;
  std::optional<std::string> nonce;
};

class OwnSequencePutBack : public OwnSequenceTest,
                           public testing::WithParamInterface<InBackup> {
 protected:
  void SetUp() override {
    if (const auto& nonce = GetParam().nonce) {
      etcd_.Put(kKey, EncodeSequence({*nonce, 1, 0}));
    }
    const EtcdState backup = etcd_.state();
    Pass(100);
    Send();
    Pass(100);
    ASSERT_EQ(told_->what, What::kCommitted);
    etcd_.PutBack(backup);
    for (int i = 0; i < 10; ++i) etcd_.Put("other", "1");
    told_.reset();
  }
  // It goes on, and says that all has to be loaded anew.
  void ExpectAnew() {
    EXPECT_FALSE(sequence_.failure()) << sequence_.failure()->message();
    EXPECT_TRUE(sequence_.TakeBeganAnew());
    etcd_.state().set_no_space(false);
    Pass(2000);
    ASSERT_TRUE(sequence_.settled());
    Send();
    Pass(100);
    EXPECT_EQ(told_->what, What::kCommitted);
    EXPECT_FALSE(sequence_.TakeBeganAnew());
  }
};

TEST_P(OwnSequencePutBack, ATxnIsRefused) {
  Send();
  Pass(100);
  ASSERT_TRUE(told_);
  EXPECT_EQ(told_->what, What::kRefused);
  EXPECT_FALSE(etcd_.Get("key"));
  ExpectAnew();
}

TEST_P(OwnSequencePutBack, NobodyKnowsOfATxnInDoubt) {
  etcd_.NextTxn("one", Fate::NeverDone());
  Send();
  Pass(2000);
  ASSERT_TRUE(told_);
  EXPECT_EQ(told_->what, What::kNeverKnown);
  ExpectAnew();
}

TEST_P(OwnSequencePutBack, NobodyKnowsOfATxnThatHadNoSpace) {
  etcd_.state().set_no_space(true);
  Send();
  Pass(100);
  ASSERT_TRUE(told_);
  EXPECT_EQ(told_->what, What::kNeverKnown);
  ExpectAnew();
}

// Who has loaded all meanwhile need not do so again.
TEST_P(OwnSequencePutBack, WhatWasLoadedSinceCounts) {
  sequence_.Doubt();
  Pass(100);
  EXPECT_FALSE(sequence_.settled());
  const auto key = etcd_.Get(kKey);
  sequence_.Found(key ? key->mod_revision : 0);
  Pass(100);
  Send();
  Pass(100);
  EXPECT_EQ(told_->what, What::kCommitted);
  EXPECT_FALSE(sequence_.TakeBeganAnew());
}

INSTANTIATE_TEST_SUITE_P(
    With, OwnSequencePutBack,
    testing::Values(InBackup{"NoKey", std::nullopt},
                    InBackup{"AKeyOfAnEarlierLife", "another"},
                    InBackup{"AnOlderKeyOfIt", "nonce"}),
    [](const auto& info) { return std::string(info.param.name); });

// A fence is under way by then.
TEST_P(OwnSequencePutBack, WhatWasLoadedMeanwhileCounts) {
  etcd_.NextTxn("one", Fate::NeverDone());
  Send();
  Pass(kTimeoutMs / 2 - 1);
  etcd_.NextTxn("one", Fate::Answered(20, 20));
  Pass(10);
  ASSERT_FALSE(sequence_.settled());
  sequence_.Forget();
  sequence_.Doubt();
  const auto key = etcd_.Get(kKey);
  sequence_.Found(key ? key->mod_revision : 0);
  Pass(100);
  EXPECT_FALSE(sequence_.failure()) << sequence_.failure()->message();
  EXPECT_TRUE(sequence_.settled());
}

// It has not settled since its start.
TEST_F(OwnSequenceTest, AnOlderKeyOfAnEarlierLifeBeginsAnew) {
  etcd_.Put(kKey, EncodeSequence({"another", 1, 0}));
  const EtcdState backup = etcd_.state();
  etcd_.Put(kKey, EncodeSequence({"another", 2, 0}));
  sequence_.Found(etcd_.Get(kKey)->mod_revision);
  etcd_.PutBack(backup);
  for (int i = 0; i < 10; ++i) etcd_.Put("other", "1");
  Pass(1000);
  EXPECT_TRUE(sequence_.settled());
  EXPECT_TRUE(sequence_.TakeBeganAnew());
}

// A copy of its data directory is no backup of etcd's.
TEST_F(OwnSequenceTest, WhoHasMovedItSinceIsAnotherKvd) {
  Pass(100);
  ASSERT_TRUE(sequence_.settled());
  etcd_.Put(kKey, EncodeSequence({"another", 1, 0}));
  Send();
  Pass(100);
  ASSERT_TRUE(sequence_.failure());
  EXPECT_EQ(sequence_.failure()->code(), ErrorCode::kHeld);
}

}  // namespace
}  // namespace kvd::etcd
