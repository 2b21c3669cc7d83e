// SPDX-License-Identifier: MIT
//
// What semantics_table.h cannot ask through the Api: compaction and space.
#include "tests/support/etcd_store.h"

#include <gtest/gtest.h>

#include "tests/etcd/semantics_table.h"

namespace kvd::etcd {
namespace {

using semantics::DeleteOp;
using semantics::GetOp;
using semantics::IfMod;
using semantics::PutOp;

class EtcdStoreTest : public ::testing::Test {
 protected:
  int64_t Put(const std::string& key, const std::string& value) {
    return store_.Txn({{}, {PutOp(key, value)}, {}}).value().revision;
  }
  int64_t Delete(const std::string& key) {
    return store_.Txn({{}, {DeleteOp(key)}, {}}).value().revision;
  }
  // Of the value that the key had then; "-" without one, else the error.
  std::string Read(const std::string& key, int64_t revision) {
    const auto answer = store_.Range({key, "", 0, revision, false});
    if (!answer.ok()) return answer.error().message();
    return answer->found.empty() ? "-" : answer->found.front().value;
  }
  ErrorCode CodeOf(const TxnRequest& request) {
    return store_.Txn(request).error().code();
  }

  const std::string compacted_ =
      "etcdserver: mvcc: required revision has been compacted";
  EtcdStore store_;
};

TEST_F(EtcdStoreTest, CompactionForgetsWhatIsOlder) {
  const int64_t one = Put("a", "1");
  const int64_t two = Put("a", "2");
  const int64_t three = Put("b", "1");
  Put("a", "3");

  ASSERT_TRUE(store_.Compact(three).ok());
  EXPECT_EQ(Read("a", one), compacted_);
  EXPECT_EQ(Read("a", two), compacted_);
  EXPECT_EQ(Read("a", three), "2");
  EXPECT_EQ(Read("a", 0), "3");
  EXPECT_EQ(store_.history().begin()->first, three);
}

TEST_F(EtcdStoreTest, CompactionForgetsARemovedKey) {
  Put("a", "1");
  const int64_t removed = Delete("a");
  Put("b", "1");
  ASSERT_TRUE(store_.Compact(removed).ok());
  EXPECT_EQ(Read("a", removed), "-");
  EXPECT_EQ(store_.size_in_use_bytes(), EtcdStore::kPutOverheadBytes + 2);
}

TEST_F(EtcdStoreTest, CompactionGoesForwardAndNotBeyondTheNewestRevision) {
  const int64_t one = Put("a", "1");
  EXPECT_FALSE(store_.Compact(one + 1).ok());
  ASSERT_TRUE(store_.Compact(one).ok());
  EXPECT_EQ(store_.Compact(one).error().code(), ErrorCode::kCompacted);
}

TEST_F(EtcdStoreTest, APutBeyondTheQuotaRaisesTheAlarm) {
  Put("a", std::string(1000, 'v'));
  store_.set_quota_bytes(2000);
  EXPECT_EQ(CodeOf({{}, {PutOp("b", std::string(1000, 'v'))}, {}}),
            ErrorCode::kResources);
  EXPECT_TRUE(store_.no_space());
  EXPECT_EQ(Read("b", 0), "-");
  // Also of one that would fit, and in the branch that is not taken.
  EXPECT_EQ(CodeOf({{}, {PutOp("c", "1")}, {}}), ErrorCode::kResources);
  EXPECT_EQ(CodeOf({{IfMod("none", 1)}, {PutOp("c", "1")}, {GetOp("a")}}),
            ErrorCode::kResources);
}

TEST_F(EtcdStoreTest, TheAlarmLetsReadsAndRemovalsPass) {
  Put("a", "1");
  store_.set_no_space(true);
  EXPECT_TRUE(store_.Txn({{}, {GetOp("a")}, {}}).ok());
  Delete("a");
  EXPECT_EQ(Read("a", 0), "-");
}

TEST_F(EtcdStoreTest, RoomComesBackByCompactionDefragmentationAndDisarming) {
  store_.set_quota_bytes(2000);
  const std::string large(1000, 'v');
  Put("a", large);
  EXPECT_FALSE(store_.Txn({{}, {PutOp("a", large)}, {}}).ok());
  const int64_t removed = Delete("a");
  ASSERT_TRUE(store_.Compact(removed).ok());
  EXPECT_GT(store_.size_bytes(), 1000);
  store_.Defragment();
  EXPECT_EQ(store_.size_bytes(), 0);
  EXPECT_FALSE(store_.Txn({{}, {PutOp("a", "1")}, {}}).ok());
  store_.set_no_space(false);
  Put("a", "1");
}

}  // namespace
}  // namespace kvd::etcd
