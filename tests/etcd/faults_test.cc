// SPDX-License-Identifier: MIT
//
// What the client does when members fail: three real ones that are killed and
// paused, and scripted ones for the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>

#include "base/planted_bug.h"
#include "fmt/format.h"
#include "tests/etcd/nodes.h"
#include "tests/etcd/scripted_member.h"
#include "tests/etcd/test_client.h"

namespace kvd::etcd {
namespace {

using testing::HasSubstr;

TxnRequest PutRequest(const std::string& key, const std::string& value) {
  TxnRequest request;
  request.then = {Put(key, value)};
  return request;
}

class Members : public testing::Test {
 protected:
  void SetUp() override {
    if (!HaveEtcd()) GTEST_SKIP() << "no etcd here";
    nodes_ = std::make_unique<Nodes>(Nodes::Options{.count = 3});
    client_ = std::make_unique<TestClient>(nodes_->endpoints());
    PutUntilDone();
  }

  // A change that is made for certain; more than once, perhaps.
  void PutUntilDone() {
    ++puts_;
    for (int attempt = 0; attempt < 50; ++attempt) {
      const Result<TxnResponse> result =
          client_->Txn(PutRequest("k", std::to_string(puts_)), 2000);
      if (!result.ok()) continue;
      last_ = result->revision;
      return;
    }
    FAIL() << "no change was made";
  }

  // That `log` has told exactly what a new watch tells now, once.
  void ExpectAllTold(const WatchLog& log) {
    EXPECT_TRUE(client_->Await([&] { return log.revision() >= last_; }));
    WatchLog again(*client_, "k", 1);
    EXPECT_TRUE(client_->Await([&] { return again.revision() >= last_; }));
    EXPECT_EQ(log.Text(0), again.Text(0));
    EXPECT_FALSE(log.end());
  }

  void AwaitMember(size_t at) {
    for (int attempt = 0; attempt < 50; ++attempt) {
      const MemberStatus status = client_->Status(2000)[at];
      if (status.error.empty() && status.leader_id != 0) return;
      usleep(100'000);
    }
    FAIL() << "the member does not come back";
  }

  std::unique_ptr<Nodes> nodes_;
  std::unique_ptr<TestClient> client_;
  int puts_ = 0;
  int64_t last_ = 0;  // The revision of the last one.
};

TEST_F(Members, AKilledOneIsNotMissed) {
  WatchLog log(*client_, "k", 1);
  for (size_t at = 0; at < nodes_->size(); ++at) {
    nodes_->Kill(at);
    for (int i = 0; i < 3; ++i) PutUntilDone();
    EXPECT_TRUE(client_->Await([&] { return log.revision() >= last_; }));
    nodes_->Start(at);
    AwaitMember(at);
  }
  ExpectAllTold(log);
}

TEST_F(Members, APausedOneIsNotMissed) {
  WatchLog log(*client_, "k", 1);
  for (size_t at = 0; at < nodes_->size(); ++at) {
    nodes_->Pause(at);
    for (int i = 0; i < 3; ++i) PutUntilDone();
    EXPECT_TRUE(client_->Range({.key = "k", .range_end = ""}).ok());
    // While it is still paused.
    EXPECT_TRUE(client_->Await([&] { return log.revision() >= last_; }));
    nodes_->Resume(at);
    AwaitMember(at);
  }
  ExpectAllTold(log);
}

TEST_F(Members, WithoutAQuorumNothingIsDoneAndItResumesByItself) {
  WatchLog log(*client_, "k", 1);
  nodes_->Kill(0);
  nodes_->Kill(1);
  const Result<TxnResponse> txn = client_->Txn(PutRequest("k", "x"), 1500);
  ASSERT_FALSE(txn.ok());
  EXPECT_THAT(txn.error().code(),
              testing::AnyOf(ErrorCode::kTimeout, ErrorCode::kUnavailable));
  const Result<RangeResponse> range =
      client_->Range({.key = "k", .range_end = ""}, 1500);
  ASSERT_FALSE(range.ok());
  EXPECT_EQ(range.error().code(), ErrorCode::kUnavailable);
  const std::vector<MemberStatus> members = client_->Status(1500);
  EXPECT_NE(members[0].error, "");
  EXPECT_EQ(members[2].error, "");

  nodes_->Start(0);
  nodes_->Start(1);
  PutUntilDone();
  ExpectAllTold(log);
}

// A backup is put back under a watch, and others write more than was lost.
class MadeAnew : public Members {
 protected:
  void SetUp() override {
    Members::SetUp();
    if (IsSkipped()) return;
    ForAll([&](size_t at) { nodes_->Kill(at); });
    nodes_->Save();
    ForAll([&](size_t at) { nodes_->Start(at); });
    for (int i = 0; i < 3; ++i) PutUntilDone();
  }
  void ForAll(const std::function<void(size_t)>& what) {
    for (size_t at = 0; at < nodes_->size(); ++at) what(at);
  }
  void PutBackAndWrite() {
    const int64_t was = last_;
    ForAll([&](size_t at) { nodes_->Kill(at); });
    nodes_->Restore();
    ForAll([&](size_t at) { nodes_->Start(at); });
    do PutUntilDone();
    while (last_ <= was && !HasFailure());
  }
};

TEST_F(MadeAnew, AWatchDoesNotGoOn) {
  WatchLog log(*client_, "k", 1);
  EXPECT_TRUE(client_->Await([&] { return log.revision() >= last_; }));
  const std::string told = log.Text(0);
  PutBackAndWrite();
  EXPECT_TRUE(client_->Await([&] { return log.end().has_value(); }));
  EXPECT_EQ(log.end()->code(), ErrorCode::kCompacted);
  EXPECT_THAT(log.end()->message(), HasSubstr("made anew"));
  EXPECT_EQ(log.Text(0), told);
}

#ifdef KVD_PLANTED_BUGS
TEST_F(MadeAnew, IsSeenByTheTestAbove) {
  const ScopedPlantedBug planted(PlantedBug::kBelieveHistory);
  WatchLog log(*client_, "k", 1);
  EXPECT_TRUE(client_->Await([&] { return log.revision() >= last_; }));
  PutBackAndWrite();
  EXPECT_TRUE(client_->Await([&] { return log.revision() >= last_; }));
  EXPECT_FALSE(log.end());
}
#endif

TEST_F(Members, TheClientGoesWhateverIsUnderWay) {
  for (size_t at = 0; at < nodes_->size(); ++at) nodes_->Pause(at);
  int calls = 0;
  auto log = std::make_unique<WatchLog>(*client_, "k", 1);
  for (int i = 0; i < 20; ++i) {
    client_->api().Txn(PutRequest("k", "x"), 60'000,
                       [&](Result<TxnResponse>) { ++calls; });
    client_->api().Range({.key = "k", .range_end = ""}, 60'000,
                         [&](Result<RangeResponse>) { ++calls; });
    client_->api().Status(60'000, [&](std::vector<MemberStatus>) { ++calls; });
    client_->PollOnce();
  }
  log.reset();
  client_.reset();
  EXPECT_EQ(calls, 0);
}

TEST_F(Members, SignalsAndForksDoNoHarm) {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  struct sigaction before = {};
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  WatchLog log(*client_, "k", 1);
  for (int i = 0; i < 20; ++i) {
    int answers = 0;
    client_->api().Txn(PutRequest("k", std::to_string(i)), kTestTimeoutMs,
                       [&](Result<TxnResponse> result) {
                         ASSERT_TRUE(result.ok());
                         last_ = result->revision;
                         ++answers;
                       });
    kill(getpid(), SIGUSR1);
    const pid_t child = fork();
    if (child == 0) _exit(0);
    ASSERT_GT(child, 0);
    EXPECT_EQ(waitpid(child, nullptr, 0), child);
    EXPECT_TRUE(client_->Await([&] { return answers == 1; }));
  }
  ExpectAllTold(log);
  sigaction(SIGUSR1, &before, nullptr);
}

TEST(NobodyThere, IsSaidAndNothingWasDone) {
  TestClient client({"http://127.0.0.1:1", "http://no-such-host.invalid:1"});
  const Result<TxnResponse> txn = client.Txn(PutRequest("k", "x"), 1000);
  ASSERT_FALSE(txn.ok());
  EXPECT_EQ(txn.error().code(), ErrorCode::kUnavailable);
  EXPECT_THAT(txn.error().message(),
              HasSubstr("http://127.0.0.1:1: nobody listens there"));
}

class Scripted : public testing::Test {
 protected:
  // A request that tells which member is asked first: it stays the current one.
  void Settle() {
    ASSERT_TRUE(client_.Range({.key = "k", .range_end = ""}).ok());
    if (b_.requests() > a_.requests()) std::swap(first_, second_);
  }

  ScriptedMember a_;
  ScriptedMember b_;
  ScriptedMember* first_ = &a_;
  ScriptedMember* second_ = &b_;
  TestClient client_{{a_.endpoint(), b_.endpoint()}};
};

TEST_F(Scripted, ATxnWithoutAnAnswerIsNotSentAgain) {
  Settle();
  const int before = first_->requests() + second_->requests();
  first_->set_requests(Script::kSilence);
  const Result<TxnResponse> txn = client_.Txn(PutRequest("k", "x"), 1500);
  ASSERT_FALSE(txn.ok());
  EXPECT_EQ(txn.error().code(), ErrorCode::kTimeout);
  EXPECT_EQ(first_->requests() + second_->requests(), before + 1);
  // The next one goes elsewhere, at once.
  EXPECT_TRUE(client_.Txn(PutRequest("k", "x")).ok());
}

TEST_F(Scripted, ATxnThatMayHaveBeenDoneIsNotSentAgain) {
  Settle();
  const int before = second_->requests();
  first_->set_requests(Script::kUnknown);
  const Result<TxnResponse> txn = client_.Txn(PutRequest("k", "x"));
  ASSERT_FALSE(txn.ok());
  EXPECT_EQ(txn.error().code(), ErrorCode::kTimeout);
  EXPECT_THAT(txn.error().message(), HasSubstr("request timed out"));
  EXPECT_EQ(second_->requests(), before);
  EXPECT_TRUE(client_.Txn(PutRequest("k", "x")).ok());
}

TEST_F(Scripted, ATxnThatWasCertainlyNotDoneGoesToAnother) {
  Settle();
  first_->set_requests(Script::kNoLeader);
  EXPECT_TRUE(client_.Txn(PutRequest("k", "x")).ok());
  second_->set_requests(Script::kNoLeader);
  const Result<TxnResponse> txn = client_.Txn(PutRequest("k", "x"), 500);
  ASSERT_FALSE(txn.ok());
  EXPECT_EQ(txn.error().code(), ErrorCode::kUnavailable);
  EXPECT_THAT(txn.error().message(), HasSubstr("no leader"));
}

TEST_F(Scripted, AReadIsAskedOfAnotherWhenOneIsSilentOrFails) {
  Settle();
  for (const Script script :
       {Script::kSilence, Script::kNoLeader, Script::kUnknown}) {
    first_->set_requests(script);
    EXPECT_TRUE(client_.Range({.key = "k", .range_end = ""}).ok());
    first_->set_requests(Script::kAnswer);
    std::swap(first_, second_);
  }
}

TEST_F(Scripted, AnAnswerOfAnotherClusterCountsForNothing) {
  Settle();
  first_->set_requests(Script::kNoLeader);
  second_->set_cluster(2);
  const Result<RangeResponse> range =
      client_.Range({.key = "k", .range_end = ""}, 500);
  ASSERT_FALSE(range.ok());
  EXPECT_EQ(range.error().code(), ErrorCode::kUnavailable);
  EXPECT_THAT(range.error().message(), HasSubstr("another cluster"));
}

TEST_F(Scripted, StatusTellsOfAMemberOfAnotherCluster) {
  Settle();
  second_->set_cluster(2);
  second_->set_revision(1'000);
  for (const MemberStatus& member : client_.Status()) {
    if (member.endpoint == first_->endpoint()) {
      EXPECT_EQ(member.error, "");
      continue;
    }
    EXPECT_EQ(member.endpoint, second_->endpoint());
    EXPECT_THAT(member.error, HasSubstr("another cluster, 2 instead of 1"));
    EXPECT_EQ(member.revision, 0);
  }
}

class ScriptedWatch : public Scripted {
 protected:
  void SetUp() override {
    Settle();
    log_ = std::make_unique<WatchLog>(client_, "k", 1);
    ASSERT_TRUE(client_.Await(
        [&] { return first_->watches() + second_->watches() == 1; }));
    if (second_->watches() == 1) std::swap(first_, second_);
  }
  void ExpectItMoves() {
    EXPECT_TRUE(client_.Await([&] { return second_->watches() == 1; }));
    EXPECT_FALSE(log_->end());
  }

  std::unique_ptr<WatchLog> log_;
};

TEST_F(ScriptedWatch, LeavesASilentMember) {
  first_->set_watches(Script::kSilence);
  ExpectItMoves();
}

TEST_F(ScriptedWatch, LeavesAMemberThatHasLostItsLeader) {
  first_->set_watches(Script::kNoLeader);
  ExpectItMoves();
}

TEST_F(ScriptedWatch, LeavesAMemberThatTheOthersHaveLeftBehind) {
  second_->set_revision(5);
  first_->set_requests(Script::kNoLeader);
  ASSERT_TRUE(client_.Range({.key = "k", .range_end = ""}).ok());
  ExpectItMoves();
}

TEST_F(ScriptedWatch, AsksMembersOfAnotherClusterNowAndThen) {
  first_->set_cluster(2);
  second_->set_cluster(2);
  const auto watches = [this] {
    return first_->watches() + second_->watches();
  };
  ASSERT_TRUE(client_.Await([&] { return watches() >= 3; }));
  const int before = watches();
  const Result<RangeResponse> range =
      client_.Range({.key = "k", .range_end = ""}, 1000);
  ASSERT_FALSE(range.ok());
  EXPECT_THAT(range.error().message(), HasSubstr("2 instead of 1"));
  // It can be some ten, and would be thousands.
  EXPECT_LT(watches() - before, 100);
}

TEST_F(ScriptedWatch, StaysWithAQuietMemberThatAnswers) {
  // Long enough for several requests for progress.
  for (int i = 0; i < 15; ++i) {
    usleep(200'000);
    client_.PollOnce();
  }
  EXPECT_EQ(first_->watches(), 1);
  EXPECT_EQ(second_->watches(), 0);
}

}  // namespace
}  // namespace kvd::etcd
