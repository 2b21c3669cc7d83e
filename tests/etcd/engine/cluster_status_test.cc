// SPDX-License-Identifier: MIT
#include "etcd/engine/cluster_status.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/support/fake_etcd.h"
#include "tests/support/manual_clock.h"

namespace kvd::etcd {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kIntervalMs = 1000;
constexpr int64_t kWarnRevisions = 50;
constexpr int64_t kWarnMs = 60'000;

// Answers as it is told.
class ToldApi final : public Api {
 public:
  void Txn(TxnRequest, int64_t, Done<TxnResponse>) override { FAIL(); }
  void Range(RangeRequest, int64_t, Done<RangeResponse> done) override {
    ready_.push_back([this, done = std::move(done)] { done(range); });
  }
  std::unique_ptr<Watch> StartWatch(std::string, std::string, int64_t,
                                    std::function<void(WatchUpdate)>,
                                    std::function<void(Error)>) override {
    ADD_FAILURE();
    return nullptr;
  }
  void Status(int64_t,
              std::function<void(std::vector<MemberStatus>)> done) override {
    ready_.push_back([this, done = std::move(done)] { done(members); });
  }
  void Poll() override {
    for (const Job& job : std::exchange(ready_, {})) job();
  }

  std::vector<MemberStatus> members;
  Result<RangeResponse> range;

 private:
  std::vector<Job> ready_;
};

class ClusterStatusTest : public testing::Test {
 protected:
  // Lets it ask, and ask again.
  void Pass(int64_t ms = 2 * kIntervalMs) {
    for (int64_t passed = 0; passed < ms; passed += 100) {
      status_.Tick(NowMs(), revision_);
      clock_.AdvanceMs(100);
      etcd_.Run();
      api_->Poll();
    }
    status_.Tick(NowMs(), revision_);
  }
  int64_t NowMs() const { return clock_.MonotonicNs() / 1'000'000; }
  void Put(int times) {
    for (int i = 0; i < times; ++i) etcd_.Put("other", "x");
  }

  BackingStatus Describe() const {
    return status_.Describe(
        {.id = "me", .now_ms = NowMs(), .revision = revision_}, heard_ms_ago_);
  }
  // "name:value" lines.
  std::string Text() const {
    std::string text;
    const BackingStatus status = Describe();
    for (const auto& field : status.fields) {
      std::visit(
          [&](const auto& value) {
            text += fmt::format("{}:{}\n", field.first, value);
          },
          field.second);
    }
    return text;
  }

  ManualClock clock_;
  FakeEtcd etcd_{clock_};
  std::unique_ptr<Api> api_ = etcd_.Connect("me", Wake([] {}));
  ClusterStatus status_{*api_,
                        "kvd/s/",
                        {.interval_ms = kIntervalMs,
                         .history_warn_revisions = kWarnRevisions,
                         .history_warn_ms = kWarnMs}};
  std::map<std::string, int64_t> heard_ms_ago_;
  int64_t revision_ = 0;
};

TEST_F(ClusterStatusTest, SaysLittleBeforeItHasAsked) {
  EXPECT_EQ(Describe().title, "Etcd");
  EXPECT_EQ(Describe().reason, "");
  EXPECT_THAT(Text(), Not(HasSubstr("etcd_leader")));
}

TEST_F(ClusterStatusTest, ShowsMembersAndWhoIsAway) {
  Pass();
  EXPECT_THAT(Text(), HasSubstr("etcd_leader:http://fake-1:2379\n"
                                "etcd_endpoints:3\n"
                                "etcd_endpoints_answering:3\n"
                                "etcd_endpoint0:endpoint=http://fake-1:2379,"
                                "version=3.4.23,role=leader,"));
  EXPECT_THAT(Text(), Not(HasSubstr("etcd_warning")));
  etcd_.SetMember(0, false);
  Pass();
  EXPECT_THAT(Text(), HasSubstr("etcd_leader:http://fake-2:2379\n"));
  EXPECT_THAT(Text(), HasSubstr("etcd_endpoint0:endpoint=http://fake-1:2379,"
                                "error=connection refused\n"));
  EXPECT_THAT(
      Text(),
      HasSubstr(
          "etcd_warning0:etcd at http://fake-1:2379: connection refused"));
  EXPECT_EQ(Describe().state, "ok");
}

TEST_F(ClusterStatusTest, WithoutALeaderItIsDegraded) {
  etcd_.SetQuorum(false);
  Pass();
  EXPECT_EQ(Describe().state, "degraded");
  EXPECT_THAT(Text(), HasSubstr("etcd_leader:none\n"));
  // What did not answer does not keep it from asking again.
  etcd_.SetQuorum(true);
  Pass(5000);
  EXPECT_EQ(Describe().state, "ok");
}

TEST_F(ClusterStatusTest, NoSpaceIsFull) {
  etcd_.state().set_quota_bytes(100);
  etcd_
      .Do({.compares = {},
           .then = {{Op::Kind::kPut, "k", std::string(200, 'x')}},
           .otherwise = {}})
      .ok();
  Pass();
  EXPECT_EQ(Describe().state, "full");
  EXPECT_THAT(Describe().reason, HasSubstr("NOSPACE"));
  EXPECT_THAT(Text(), HasSubstr("etcd_alarms:NOSPACE\n"));
}

TEST_F(ClusterStatusTest, FindsWhereHistoryBegins) {
  Put(1000);
  Pass();
  EXPECT_EQ(status_.oldest_revision(), 1);
  for (const int64_t compacted : {2, 3, 500, 998, 1001}) {
    ASSERT_TRUE(etcd_.Compact(compacted).ok());
    Pass();
    EXPECT_EQ(status_.oldest_revision(), compacted);
    EXPECT_THAT(Text(), HasSubstr(fmt::format("etcd_history_revisions:{}\n",
                                              1001 - compacted)));
  }
}

TEST_F(ClusterStatusTest, WarnsWhenNobodyCompacts) {
  const auto warning = HasSubstr("nobody compacts etcd's history: it keeps");
  Put(kWarnRevisions - 1);
  Pass();
  EXPECT_THAT(Text(), Not(warning));
  Put(2);
  Pass();
  EXPECT_THAT(Text(), warning);
  // Somebody does; then no longer.
  ASSERT_TRUE(etcd_.Compact(10).ok());
  Put(2 * kWarnRevisions);
  Pass();
  EXPECT_THAT(Text(), Not(warning));
  Pass(kWarnMs);
  EXPECT_THAT(Text(), warning);
}

TEST_F(ClusterStatusTest, IsBehindForAsLongAsKvdsHaveChangedMore) {
  Put(10);
  etcd_.Put("kvd/s/other", "n 1 1");
  Put(10);
  revision_ = 11;
  Pass();
  EXPECT_THAT(Text(), HasSubstr("etcd_lag_revisions:1\n"));
  EXPECT_THAT(Text(), Not(HasSubstr("etcd_lag_ms:0\n")));
  // What others change in etcd is none of it.
  revision_ = 12;
  Pass();
  EXPECT_THAT(Text(), HasSubstr("etcd_revision:22\netcd_lag_revisions:0\n"
                                "etcd_lag_ms:0\n"));
}

TEST(ToldStatus, WhatEtcdRefusesIsSaid) {
  ToldApi api;
  MemberStatus leader;
  leader.endpoint = "http://a";
  leader.member_id = leader.leader_id = 1;
  api.members = {leader};
  ClusterStatus status(api, "kvd/s/", {.interval_ms = 1});
  int64_t now_ms = 0;
  const auto state_and_reason = [&] {
    status.Tick(now_ms += 10, 0);
    api.Poll();
    const BackingStatus described =
        status.Describe({.id = "me", .now_ms = now_ms, .revision = 0}, {});
    return described.state + ":" + described.reason;
  };
  api.range = Unexpected(Error(ErrorCode::kInvalid, "not\nfor you"));
  EXPECT_EQ(state_and_reason(),
            "degraded:etcd refuses what kvd asks: not for you");
  // An endpoint that is away says so itself.
  api.range = Unexpected(Error(ErrorCode::kUnavailable, "away"));
  EXPECT_EQ(state_and_reason(), "ok:");
  api.range = RangeResponse();
  EXPECT_EQ(state_and_reason(), "ok:");
}

TEST(ToldStatus, AnEtcdThatHasGoneBackIsDamage) {
  ToldApi api;
  MemberStatus leader;
  leader.member_id = leader.leader_id = 1;
  api.members = {leader};
  ClusterStatus status(api, "kvd/s/", {.interval_ms = 1});
  int64_t now_ms = 0;
  const auto state_at = [&](int64_t index_revision, int64_t revision) {
    api.range->revision = revision;
    status.Tick(now_ms += 10, index_revision);
    api.Poll();
    return status.Describe(
        {.id = "me", .now_ms = now_ms, .revision = index_revision}, {});
  };
  EXPECT_EQ(state_at(53, 53).state, "ok");
  EXPECT_EQ(state_at(53, 60).state, "ok");
  EXPECT_EQ(state_at(53, 2).state, "damaged");
  EXPECT_THAT(state_at(53, 2).reason, HasSubstr("from revision 53 to 2"));
  EXPECT_EQ(state_at(2, 2).state, "ok");
}

TEST(ToldStatus, ShowsTheRoleOfEach) {
  ToldApi api;
  const auto member = [](uint64_t id, uint64_t leader_id, bool is_learner) {
    MemberStatus made;
    made.endpoint = fmt::format("http://{}", id);
    made.member_id = id;
    made.leader_id = leader_id;
    made.is_learner = is_learner;
    return made;
  };
  api.members = {member(1, 2, false), member(2, 2, false), member(3, 2, true),
                 member(4, 0, false)};
  ClusterStatus status(api, "kvd/s/", {.interval_ms = 1});
  status.Tick(10, 0);
  api.Poll();
  const BackingStatus described =
      status.Describe({.id = "me", .now_ms = 10, .revision = 0}, {});
  std::string roles;
  for (const auto& [name, value] : described.fields) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) continue;
    const size_t role = text->find("role=");
    if (role == text->npos) continue;
    roles += text->substr(role, text->find(',', role) - role) + " ";
  }
  EXPECT_EQ(roles, "role=follower role=leader role=learner role=none ");
}

TEST_F(ClusterStatusTest, ShowsWhoSharesTheKeys) {
  heard_ms_ago_ = {{"me", 0}, {"you", 4000}};
  EXPECT_THAT(Text(), HasSubstr("etcd_kvds:2\n"
                                "etcd_kvd0:id=me,self=1,heard_ms_ago=0\n"
                                "etcd_kvd1:id=you,self=0,heard_ms_ago=4000\n"));
}

}  // namespace
}  // namespace kvd::etcd
