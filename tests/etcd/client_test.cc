// SPDX-License-Identifier: MIT
//
// The client beside one real node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "fmt/format.h"
#include "tests/etcd/nodes.h"
#include "tests/etcd/test_client.h"

namespace kvd::etcd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// One node for all tests: each has a prefix of its own.
class ClientTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (HaveEtcd()) nodes_ = std::make_unique<Nodes>(Nodes::Options{});
  }
  static void TearDownTestSuite() { nodes_.reset(); }

  void SetUp() override {
    if (nodes_ == nullptr) GTEST_SKIP() << "no etcd here";
    client_ = std::make_unique<TestClient>(nodes_->endpoints());
    prefix_ = testing::UnitTest::GetInstance()->current_test_info()->name();
    prefix_ += "/";
    start_ = PutOne("", "");
    ASSERT_GT(start_, 0);
  }

  std::string Key(const std::string& name) const { return prefix_ + name; }
  int64_t PutOne(const std::string& name, const std::string& value) {
    return client_->PutOne(Key(name), value);
  }
  RangeRequest All(int64_t revision = 0) const {
    return {
        .key = Key(""), .range_end = PrefixEnd(prefix_), .revision = revision};
  }
  // Which error the Txn ends with, or nothing.
  std::optional<Error> Refusal(TxnRequest request) {
    const Result<TxnResponse> result = client_->Txn(std::move(request));
    if (result.ok()) return std::nullopt;
    return result.error();
  }

  static std::unique_ptr<Nodes> nodes_;
  std::unique_ptr<TestClient> client_;
  std::string prefix_;
  int64_t start_ = 0;  // The revision before the test.
};
std::unique_ptr<Nodes> ClientTest::nodes_;

TEST_F(ClientTest, ATxnComparesAndThenChanges) {
  const int64_t put = PutOne("a", "1");
  EXPECT_EQ(put, start_ + 1);
  TxnRequest request;
  request.compares = {IfRevision(Key("a"), put), IfRevision(Key("b"), 0),
                      IfValue(Key("a"), "1")};
  request.then = {Put(Key("b"), "2"), Delete(Key("a")), Get(Key("b")),
                  Get(Key("none"))};
  request.otherwise = {Get(Key("a"))};

  Result<TxnResponse> done = client_->Txn(request);
  ASSERT_TRUE(done.ok());
  EXPECT_TRUE(done->succeeded);
  EXPECT_EQ(done->revision, put + 1);
  ASSERT_EQ(done->found.size(), 1u);
  EXPECT_EQ(done->found[0].mod_revision, put + 1);
  EXPECT_EQ(done->found[0].create_revision, put + 1);
  EXPECT_EQ(done->found[0].value, "2");

  const int64_t again = PutOne("a", "3");
  done = client_->Txn(request);
  ASSERT_TRUE(done.ok());
  EXPECT_FALSE(done->succeeded);
  EXPECT_EQ(done->revision, again);
  EXPECT_EQ(Text(done->found), Key("a") + "=3");
}

TEST_F(ClientTest, AnAbsentKeyHasNoValueToCompareWith) {
  TxnRequest request;
  request.compares = {IfValue(Key("none"), "")};
  const Result<TxnResponse> done = client_->Txn(request);
  ASSERT_TRUE(done.ok());
  EXPECT_FALSE(done->succeeded);
}

TEST_F(ClientTest, WhatEtcdRefusesIsInvalidAndSaysWhy) {
  TxnRequest many;
  for (int i = 0; i < 129; ++i) {
    many.then.push_back(Put(Key(std::to_string(i)), ""));
  }
  std::optional<Error> refusal = Refusal(many);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code(), ErrorCode::kInvalid);
  EXPECT_THAT(refusal->message(), HasSubstr("too many operations"));
  many.then.pop_back();
  EXPECT_FALSE(Refusal(many));

  TxnRequest twice;
  twice.then = {Put(Key("a"), "1"), Put(Key("a"), "2")};
  refusal = Refusal(twice);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code(), ErrorCode::kInvalid);
  EXPECT_THAT(refusal->message(), HasSubstr("duplicate key"));

  for (const size_t bytes : {size_t{1'700'000}, size_t{5'000'000}}) {
    TxnRequest large;
    large.then = {Put(Key("a"), std::string(bytes, 'x'))};
    refusal = Refusal(large);
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->code(), ErrorCode::kInvalid) << refusal->message();
    EXPECT_THAT(refusal->message(), HasSubstr("large"));
  }
}

TEST_F(ClientTest, PagesOfOneRevisionShowNothingNewer) {
  for (const char* name : {"a", "b", "c", "d", "e"}) PutOne(name, "1");
  RangeRequest request = All();
  request.limit = 2;
  std::vector<KeyValue> all;
  for (int pages = 0; pages < 10; ++pages) {
    const Result<RangeResponse> page = client_->Range(request);
    ASSERT_TRUE(page.ok());
    if (request.revision == 0) request.revision = page->revision;
    all.insert(all.end(), page->found.begin(), page->found.end());
    if (!page->more) break;
    request.key = page->found.back().key + std::string(1, '\0');
    PutOne("d", fmt::format("newer {}", pages));
    PutOne(fmt::format("d{}", pages), "new");
  }
  std::string names;
  for (const KeyValue& kv : all) {
    names += kv.key.substr(prefix_.size()) + kv.value;
  }
  EXPECT_EQ(names, "a1b1c1d1e1");
}

TEST_F(ClientTest, KeysAloneComeWithoutValues) {
  PutOne("a", "1");
  RangeRequest request = All();
  request.keys_only = true;
  const Result<RangeResponse> keys = client_->Range(request);
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(Text(keys->found), Key("") + "= " + Key("a") + "=");
}

TEST_F(ClientTest, APageMayBeLargerThanTheLimitOfTheLibrary) {
  for (int i = 0; i < 8; ++i) {
    PutOne(std::to_string(i), std::string(1 << 20, 'x'));
  }
  const Result<RangeResponse> page = client_->Range(All());
  ASSERT_TRUE(page.ok()) << page.error().message();
  EXPECT_EQ(page->found.size(), 9u);
}

TEST_F(ClientTest, AWatchTellsAllChangesFromItsRevisionOn) {
  PutOne("a", "1");
  PutOne("b", "2");
  WatchLog log(*client_, prefix_, start_ + 2);
  TxnRequest request;
  request.then = {Put(Key("c"), "3"), Delete(Key("a")), Put(Key("b"), "4")};
  ASSERT_TRUE(client_->Txn(request).ok());
  client_->PutOne("elsewhere", "");
  const int64_t last = PutOne("d", "5");
  EXPECT_TRUE(client_->Await([&] { return log.revision() >= last; }));
  const std::string p = prefix_;
  EXPECT_EQ(log.Text(start_), "2 " + p + "b=2|3 " + p + "c=3 -" + p + "a " + p +
                                  "b=4|5 " + p + "d=5");
}

TEST_F(ClientTest, AWatchOfTheFutureWaitsForIt) {
  WatchLog log(*client_, prefix_, start_ + 3);
  PutOne("a", "1");
  PutOne("a", "2");
  const int64_t last = PutOne("a", "3");
  EXPECT_TRUE(client_->Await([&] { return log.revision() >= last; }));
  EXPECT_EQ(log.Text(start_), "3 " + Key("a") + "=3");
}

TEST_F(ClientTest, ProgressIsAnsweredAndNeverAheadOfWhatWasTold) {
  WatchLog log(*client_, prefix_, start_ + 1);
  log.watch().RequestProgress();
  EXPECT_TRUE(client_->Await([&] { return !log.updates().empty(); }));
  EXPECT_TRUE(log.updates()[0].events.empty());
  EXPECT_LE(log.revision(), start_);
  for (int i = 0; i < 200; ++i) {
    PutOne("a", std::to_string(i));
    log.watch().RequestProgress();
  }
  EXPECT_TRUE(client_->Await([&] { return log.events() == 200; }));
  int64_t told = 0;
  for (const WatchUpdate& update : log.updates()) {
    if (!update.events.empty()) {
      EXPECT_GT(update.revision, told);
    } else {
      EXPECT_LE(update.revision, std::max(told, start_));
    }
    told = std::max(told, update.revision);
  }
}

TEST_F(ClientTest, AWatchEndsWhenItsRevisionIsCompacted) {
  for (int i = 0; i < 5; ++i) PutOne("a", std::to_string(i));
  nodes_->Compact(start_ + 4);
  WatchLog old(*client_, prefix_, start_ + 2);
  EXPECT_TRUE(client_->Await([&] { return old.end().has_value(); }));
  EXPECT_EQ(old.end()->code(), ErrorCode::kCompacted);
  EXPECT_TRUE(old.updates().empty());

  const Result<RangeResponse> range = client_->Range(All(start_ + 2));
  ASSERT_FALSE(range.ok());
  EXPECT_EQ(range.error().code(), ErrorCode::kCompacted);

  WatchLog rest(*client_, prefix_, start_ + 5);
  EXPECT_TRUE(client_->Await([&] { return rest.events() == 1; }));
  EXPECT_EQ(rest.Text(start_), "5 " + Key("a") + "=4");
}

TEST_F(ClientTest, AWatchMissesNoRemovalThatIsCompacted) {
  PutOne("a", "1");
  ASSERT_TRUE(client_->Txn({{}, {Delete(Key("a"))}, {}}).ok());
  PutOne("b", "1");
  nodes_->Compact(start_ + 2);
  WatchLog at(*client_, prefix_, start_ + 2);
  WatchLog behind(*client_, prefix_, start_ + 3);
  EXPECT_TRUE(client_->Await(
      [&] { return at.end().has_value() && behind.events() == 1; }));
  EXPECT_EQ(at.end()->code(), ErrorCode::kCompacted);
  EXPECT_EQ(behind.Text(start_), "3 " + Key("b") + "=1");
}

TEST_F(ClientTest, AnOwnerThatDoesNotPollHoldsBoundedMemory) {
  constexpr int kTxns = 48;
  constexpr size_t kBytes = 1 << 20;
  constexpr size_t kUntakenMax = 16 << 20;
  WatchLog log(*client_, prefix_, start_ + 1);
  TestClient writer(nodes_->endpoints());
  for (int i = 0; i < kTxns; ++i) {
    ASSERT_GT(writer.PutOne(Key("a"), std::string(kBytes, 'x')), 0);
  }
  size_t most = 0;
  const auto polled = [&] {
    const size_t before = log.events();
    client_->PollOnce();
    most = std::max(most, (log.events() - before) * kBytes);
  };
  polled();
  // One message beyond the limit may have been on its way.
  EXPECT_LE(most, kUntakenMax + 4 * kBytes);
  EXPECT_TRUE(client_->Await([&] { return log.events() == kTxns; }));
}

TEST_F(ClientTest, ALongHistoryIsToldInWholeRevisions) {
  constexpr int kRevisions = 40;
  constexpr int kPuts = 100;
  for (int i = 0; i < kRevisions; ++i) {
    TxnRequest request;
    for (int j = 0; j < kPuts; ++j) {
      request.then.push_back(
          Put(Key(std::to_string(j)), std::string(3000, 'x')));
    }
    ASSERT_TRUE(client_->Txn(std::move(request)).ok());
  }
  WatchLog log(*client_, prefix_, start_ + 1);
  EXPECT_TRUE(
      client_->Await([&] { return log.events() == kRevisions * kPuts; }));
  ASSERT_EQ(log.updates().size(), size_t{kRevisions});
  for (int i = 0; i < kRevisions; ++i) {
    EXPECT_EQ(log.updates()[i].revision, start_ + 1 + i);
    EXPECT_EQ(log.updates()[i].events.size(), size_t{kPuts});
  }
}

TEST_F(ClientTest, AWatchMayEndItselfInItsCallback) {
  std::unique_ptr<Watch> watch;
  int told = 0;
  watch = client_->api().StartWatch(
      prefix_, PrefixEnd(prefix_), start_ + 1,
      [&](WatchUpdate) {
        ++told;
        watch.reset();
      },
      [](Error) {});
  PutOne("a", "1");
  PutOne("a", "2");
  EXPECT_TRUE(client_->Await([&] { return told > 0; }));
  PutOne("a", "3");
  EXPECT_EQ(told, 1);
}

TEST_F(ClientTest, CallbacksRunInPollAlone) {
  bool called = false;
  client_->api().Range(All(), kTestTimeoutMs,
                       [&](Result<RangeResponse>) { called = true; });
  EXPECT_FALSE(called);
  EXPECT_TRUE(client_->Await([&] { return called; }));
}

TEST_F(ClientTest, ACallbackMayAskForMore) {
  int answers = 0;
  std::function<void(Result<RangeResponse>)> next =
      [&](Result<RangeResponse> result) {
        ASSERT_TRUE(result.ok());
        if (++answers < 3) client_->api().Range(All(), kTestTimeoutMs, next);
      };
  client_->api().Range(All(), kTestTimeoutMs, next);
  EXPECT_TRUE(client_->Await([&] { return answers == 3; }));
}

TEST_F(ClientTest, ManyRequestsAreUnderWayTogether) {
  constexpr int kRequests = 200;
  int answers = 0;
  for (int i = 0; i < kRequests; ++i) {
    TxnRequest request;
    request.then = {Put(Key(std::to_string(i)), "")};
    client_->api().Txn(
        std::move(request), kTestTimeoutMs,
        [&](Result<TxnResponse> result) { answers += result.ok() ? 1 : 0; });
  }
  EXPECT_TRUE(client_->Await([&] { return answers == kRequests; }));
}

TEST_F(ClientTest, StatusTellsOfEachEndpoint) {
  TestClient client({nodes_->endpoint(0), "http://127.0.0.1:1"});
  const std::vector<MemberStatus> members = client.Status();
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[0].endpoint, nodes_->endpoint(0));
  EXPECT_EQ(members[0].error, "");
  EXPECT_THAT(members[0].version, HasSubstr("3."));
  EXPECT_NE(members[0].member_id, 0u);
  EXPECT_EQ(members[0].leader_id, members[0].member_id);
  EXPECT_GE(members[0].revision, start_);
  EXPECT_GT(members[0].raft_index, 0u);
  EXPECT_GT(members[0].db_size_bytes, 0);
  EXPECT_GT(members[0].db_size_in_use_bytes, 0);
  EXPECT_TRUE(members[0].alarms.empty());
  EXPECT_EQ(members[1].endpoint, "http://127.0.0.1:1");
  EXPECT_THAT(members[1].error, HasSubstr("nobody listens there"));
}

TEST(Client, AFullEtcdRefusesChangesAndSaysSo) {
  if (!HaveEtcd()) GTEST_SKIP() << "no etcd here";
  Nodes nodes({.arguments = {"--quota-backend-bytes=2000000"}});
  TestClient client(nodes.endpoints());
  std::optional<Error> refusal;
  // etcd takes note of its size every 100 ms.
  for (int i = 0; i < 100 && !refusal; ++i) {
    TxnRequest request;
    request.then = {Put(std::to_string(i), std::string(200'000, 'x'))};
    const Result<TxnResponse> result = client.Txn(std::move(request));
    if (!result.ok()) refusal = result.error();
  }
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code(), ErrorCode::kResources);
  EXPECT_THAT(client.Status()[0].alarms, ElementsAre("NOSPACE"));
  EXPECT_TRUE(client.Range({.key = "0", .range_end = ""}).ok());
}

}  // namespace
}  // namespace kvd::etcd
