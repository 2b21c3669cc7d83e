// SPDX-License-Identifier: MIT
//
// What semantics_table.h cannot ask through the Api: compaction and space.
#include "tests/support/etcd_state.h"

#include <gtest/gtest.h>

#include "tests/etcd/semantics_table.h"

namespace kvd::etcd {
namespace {

using semantics::DeleteOp;
using semantics::GetOp;
using semantics::IfMod;
using semantics::PutOp;

class EtcdStateTest : public ::testing::Test {
 protected:
  int64_t Put(const std::string& key, const std::string& value) {
    return state_.Txn({{}, {PutOp(key, value)}, {}}).value().revision;
  }
  int64_t Delete(const std::string& key) {
    return state_.Txn({{}, {DeleteOp(key)}, {}}).value().revision;
  }
  // Of the value that the key had then; "-" without one, else the error.
  std::string Read(const std::string& key, int64_t revision) {
    const auto answer = state_.Range({key, "", 0, revision, false});
    if (!answer.ok()) return answer.error().message();
    return answer->found.empty() ? "-" : answer->found.front().value;
  }
  ErrorCode CodeOf(const TxnRequest& request) {
    return state_.Txn(request).error().code();
  }

  const std::string compacted_ =
      "etcdserver: mvcc: required revision has been compacted";
  EtcdState state_;
};

TEST_F(EtcdStateTest, CompactionForgetsWhatIsOlder) {
  const int64_t one = Put("a", "1");
  const int64_t two = Put("a", "2");
  const int64_t three = Put("b", "1");
  Put("a", "3");

  ASSERT_TRUE(state_.Compact(three).ok());
  EXPECT_EQ(Read("a", one), compacted_);
  EXPECT_EQ(Read("a", two), compacted_);
  EXPECT_EQ(Read("a", three), "2");
  EXPECT_EQ(Read("a", 0), "3");
  EXPECT_EQ(state_.history().begin()->first, three);
}

TEST_F(EtcdStateTest, CompactionForgetsARemovedKey) {
  Put("a", "1");
  const int64_t removed = Delete("a");
  Put("b", "1");
  ASSERT_TRUE(state_.Compact(removed).ok());
  EXPECT_EQ(Read("a", removed), "-");
  EXPECT_EQ(state_.size_in_use_bytes(), EtcdState::kPutOverheadBytes + 2);
}

TEST_F(EtcdStateTest, CompactionGoesForwardAndNotBeyondTheNewestRevision) {
  const int64_t one = Put("a", "1");
  EXPECT_FALSE(state_.Compact(one + 1).ok());
  ASSERT_TRUE(state_.Compact(one).ok());
  EXPECT_EQ(state_.Compact(one).error().code(), ErrorCode::kCompacted);
}

TEST_F(EtcdStateTest, APutBeyondTheQuotaRaisesTheAlarm) {
  Put("a", std::string(1000, 'v'));
  state_.set_quota_bytes(2000);
  EXPECT_EQ(CodeOf({{}, {PutOp("b", std::string(1000, 'v'))}, {}}),
            ErrorCode::kResources);
  EXPECT_TRUE(state_.no_space());
  EXPECT_EQ(Read("b", 0), "-");
  // Also of one that would fit, and in the branch that is not taken.
  EXPECT_EQ(CodeOf({{}, {PutOp("c", "1")}, {}}), ErrorCode::kResources);
  EXPECT_EQ(CodeOf({{IfMod("none", 1)}, {PutOp("c", "1")}, {GetOp("a")}}),
            ErrorCode::kResources);
}

TEST_F(EtcdStateTest, TheAlarmLetsReadsAndRemovalsPass) {
  Put("a", "1");
  state_.set_no_space(true);
  EXPECT_TRUE(state_.Txn({{}, {GetOp("a")}, {}}).ok());
  Delete("a");
  EXPECT_EQ(Read("a", 0), "-");
}

TEST_F(EtcdStateTest, RoomComesBackByCompactionDefragmentationAndDisarming) {
  state_.set_quota_bytes(2000);
  const std::string large(1000, 'v');
  Put("a", large);
  EXPECT_FALSE(state_.Txn({{}, {PutOp("a", large)}, {}}).ok());
  const int64_t removed = Delete("a");
  ASSERT_TRUE(state_.Compact(removed).ok());
  EXPECT_GT(state_.size_bytes(), 1000);
  state_.Defragment();
  EXPECT_EQ(state_.size_bytes(), 0);
  EXPECT_FALSE(state_.Txn({{}, {PutOp("a", "1")}, {}}).ok());
  state_.set_no_space(false);
  Put("a", "1");
}

}  // namespace
}  // namespace kvd::etcd
