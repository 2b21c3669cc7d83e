// SPDX-License-Identifier: MIT
#include "tests/support/fake_etcd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/etcd/semantics_run.h"
#include "tests/support/manual_clock.h"

namespace kvd::etcd {
namespace {

using semantics::DeleteOp;
using semantics::GetOp;
using semantics::IfMod;
using semantics::PutOp;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kTimeoutMs = 1000;

// One kvd's end: remembers what it was told, as words.
class User {
 public:
  User(FakeEtcd& etcd, const std::string& name)
      : api_(etcd.Connect(name, Wake([this] { woken_ = true; }))) {}

  void Put(const std::string& key, const std::string& value,
           std::vector<Compare> compares = {}) {
    api_->Txn({std::move(compares), {PutOp(key, value)}, {}}, kTimeoutMs,
              [this, value](Result<TxnResponse> answer) {
                told_.push_back(value + ": " + Words(answer));
              });
  }

  void Get(const std::string& key) {
    api_->Range({key, "", 0, 0, false}, kTimeoutMs,
                [this](Result<RangeResponse> answer) {
                  told_.push_back(!answer.ok() ? Code(answer.error())
                                  : answer->found.empty()
                                      ? "-"
                                      : answer->found.front().value);
                });
  }

  void StartWatch(int64_t from_revision) {
    watch_ = api_->StartWatch(
        "a", "z", from_revision,
        [this](const WatchUpdate& update) { Remember(update); },
        [this](const Error& error) { told_.push_back(Code(error)); });
  }
  Watch& watch() { return *watch_; }
  void EndWatch() { watch_.reset(); }

  // What it was told since the last call.
  std::vector<std::string> Told() {
    woken_ = false;
    api_->Poll();
    return std::exchange(told_, {});
  }
  bool woken() const { return woken_; }
  Api& api() { return *api_; }

 private:
  static std::string Code(const Error& error) {
    switch (error.code()) {
      case ErrorCode::kTimeout:
        return "timeout";
      case ErrorCode::kUnavailable:
        return "unavailable";
      case ErrorCode::kCompacted:
        return "compacted";
      case ErrorCode::kResources:
        return "no space";
      default:
        return error.message();
    }
  }

  static std::string Words(const Result<TxnResponse>& answer) {
    if (!answer.ok()) return Code(answer.error());
    return (answer->succeeded ? "done at " : "not so at ") +
           std::to_string(answer->revision);
  }

  void Remember(const WatchUpdate& update) {
    std::string words = std::to_string(update.revision) + ":";
    for (const Event& event : update.events) {
      words +=
          " " + event.kv.key + "=" + (event.is_delete ? "-" : event.kv.value);
    }
    told_.push_back(std::move(words));
  }

  std::vector<std::string> told_;
  bool woken_ = false;
  std::unique_ptr<Api> api_;
  std::unique_ptr<Watch> watch_;
};

class FakeEtcdTest : public ::testing::Test {
 protected:
  void Pass(int64_t ms) {
    clock_.AdvanceMs(ms);
    etcd_.Run();
  }
  std::string ValueOf(const std::string& key) {
    const auto pair = etcd_.Get(key);
    return pair ? pair->value : "-";
  }

  ManualClock clock_;
  FakeEtcd etcd_{clock_};
  User one_{etcd_, "one"};
  User two_{etcd_, "two"};
};

class Semantics : public ::testing::TestWithParam<semantics::Case> {};

TEST_P(Semantics, OfTheFake) {
  ManualClock clock;
  FakeEtcd etcd(clock);
  const auto api = etcd.Connect("one", Wake([] {}));
  const auto await = [&](const std::function<bool()>& done) {
    for (int polls = 0; polls < 10 && !done(); ++polls) api->Poll();
    return done();
  };
  semantics::Run run(*api, await, "fake/");
  run(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Etcd, Semantics,
                         ::testing::ValuesIn(semantics::AllCases()),
                         [](const auto& info) { return info.param.name; });

TEST_F(FakeEtcdTest, CallsBackInPollAndWakesForIt) {
  one_.Put("a", "1");
  EXPECT_TRUE(one_.woken());
  EXPECT_FALSE(two_.woken());
  EXPECT_THAT(one_.Told(), ElementsAre("1: done at 2"));
  EXPECT_FALSE(one_.woken());
  EXPECT_THAT(one_.Told(), IsEmpty());
}

TEST_F(FakeEtcdTest, AnswersComeInTheOrderOfTheirTimes) {
  etcd_.NextTxn("one", Fate::Answered(30));
  etcd_.NextTxn("one", Fate::Answered(10, 40));
  etcd_.NextTxn("one", Fate::Answered(20));
  one_.Put("a", "first");
  one_.Put("a", "second");
  one_.Put("a", "third");
  EXPECT_THAT(one_.Told(), IsEmpty());
  EXPECT_EQ(etcd_.NextDueMs(), 10);
  Pass(10);
  EXPECT_EQ(ValueOf("a"), "second");
  EXPECT_FALSE(one_.woken());
  Pass(1000);
  EXPECT_THAT(one_.Told(), ElementsAre("third: done at 3", "first: done at 4",
                                       "second: done at 2"));
  EXPECT_EQ(etcd_.NextDueMs(), std::nullopt);
}

TEST_F(FakeEtcdTest, ARefusedRequestIsNeverDone) {
  etcd_.NextTxn("one", Fate::Refused());
  one_.Put("a", "1");
  EXPECT_THAT(one_.Told(), ElementsAre("1: unavailable"));
  Pass(kTimeoutMs);
  EXPECT_EQ(ValueOf("a"), "-");
  EXPECT_THAT(one_.Told(), IsEmpty());
}

TEST_F(FakeEtcdTest, ATimeoutDoesNotSayWhetherItWasDone) {
  etcd_.NextTxn("one", Fate::NeverDone());
  etcd_.NextTxn("one", Fate::AnswerLost());
  one_.Put("a", "1");
  one_.Put("b", "2");
  EXPECT_EQ(ValueOf("a"), "-");
  EXPECT_EQ(ValueOf("b"), "2");
  Pass(kTimeoutMs - 1);
  EXPECT_THAT(one_.Told(), IsEmpty());
  Pass(1);
  EXPECT_THAT(one_.Told(), ElementsAre("1: timeout", "2: timeout"));
}

TEST_F(FakeEtcdTest, ALateTxnIsDoneAfterItsTimeoutWasTold) {
  etcd_.NextTxn("one", Fate::AnswerLost(kTimeoutMs + 500));
  one_.Put("a", "late");
  Pass(kTimeoutMs);
  EXPECT_THAT(one_.Told(), ElementsAre("late: timeout"));
  EXPECT_EQ(ValueOf("a"), "-");
  one_.Put("a", "fence");
  EXPECT_THAT(one_.Told(), ElementsAre("fence: done at 2"));
  Pass(500);
  EXPECT_EQ(ValueOf("a"), "late");
  EXPECT_THAT(one_.Told(), IsEmpty());
}

TEST_F(FakeEtcdTest, ALateTxnComparesWithWhatIsThereByThen) {
  etcd_.NextTxn("one", Fate::AnswerLost(kTimeoutMs + 500));
  one_.Put("a", "late", {IfMod("fence", 0)});
  Pass(kTimeoutMs);
  one_.Put("fence", "up");
  Pass(500);
  EXPECT_EQ(ValueOf("a"), "-");
  EXPECT_TRUE(etcd_.history()[0].done);
  EXPECT_FALSE(etcd_.history()[0].succeeded);
}

TEST_F(FakeEtcdTest, ABrokenConnectionIsToldAtOnce) {
  etcd_.NextTxn("one", Fate::Broken(0));
  etcd_.NextTxn("one", Fate::Broken(10));
  etcd_.NextTxn("one", Fate::Broken(std::nullopt));
  one_.Put("a", "1");
  one_.Put("b", "2");
  one_.Put("c", "3");
  EXPECT_THAT(one_.Told(),
              ElementsAre("1: timeout", "2: timeout", "3: timeout"));
  Pass(2 * kTimeoutMs);
  EXPECT_EQ(ValueOf("a"), "1");
  EXPECT_EQ(ValueOf("b"), "2");
  EXPECT_EQ(ValueOf("c"), "-");
  EXPECT_THAT(one_.Told(), IsEmpty());
}

TEST_F(FakeEtcdTest, WhatADeadClientSentIsDoneAllTheSame) {
  auto dead = std::make_unique<User>(etcd_, "dead");
  etcd_.NextTxn("dead", Fate::Answered(10));
  dead->Put("a", "1");
  dead.reset();
  Pass(10);
  EXPECT_EQ(ValueOf("a"), "1");
}

TEST_F(FakeEtcdTest, AReadSeesWhatWasDoneWhenItArrives) {
  etcd_.NextRange("one", Fate::Answered(10, 20));
  one_.Get("a");
  etcd_.Put("a", "1");
  Pass(10);
  etcd_.Put("a", "2");
  Pass(10);
  EXPECT_THAT(one_.Told(), ElementsAre("1"));
}

TEST_F(FakeEtcdTest, NothingAnswersWithoutAQuorum) {
  etcd_.SetQuorum(false);
  one_.Put("a", "1");
  one_.Get("a");
  two_.Put("b", "1");
  Pass(kTimeoutMs);
  EXPECT_THAT(one_.Told(), ElementsAre("1: timeout", "timeout"));
  EXPECT_EQ(ValueOf("a"), "-");
  one_.Put("c", "in time");
  etcd_.SetQuorum(true);
  EXPECT_EQ(ValueOf("a"), "1");
  EXPECT_EQ(ValueOf("b"), "1");
  EXPECT_THAT(one_.Told(), ElementsAre("in time: done at 4"));
}

TEST_F(FakeEtcdTest, WhatWaitsForAQuorumMayBeLost) {
  etcd_.SetQuorum(false);
  one_.Put("a", "1");
  etcd_.SetQuorum(true, /*keep=*/false);
  EXPECT_EQ(ValueOf("a"), "-");
  EXPECT_THAT(one_.Told(), IsEmpty());
  Pass(kTimeoutMs);
  EXPECT_THAT(one_.Told(), ElementsAre("1: timeout"));
}

TEST_F(FakeEtcdTest, AWatchTellsEachChangeOnceWholeAndInOrder) {
  etcd_.Put("a", "1");
  one_.StartWatch(2);
  etcd_.Put("zz", "of others");
  ASSERT_TRUE(
      etcd_.Do({{}, {PutOp("b", "1"), PutOp("zz", "2"), DeleteOp("a")}, {}})
          .ok());
  EXPECT_TRUE(one_.woken());
  EXPECT_THAT(one_.Told(), ElementsAre("2: a=1", "4: b=1 a=-"));
  one_.EndWatch();
  etcd_.Put("a", "2");
  EXPECT_THAT(one_.Told(), IsEmpty());
}

TEST_F(FakeEtcdTest, AWatchMayBeginInTheFuture) {
  one_.StartWatch(3);
  etcd_.Put("a", "1");
  etcd_.Put("a", "2");
  EXPECT_THAT(one_.Told(), ElementsAre("3: a=2"));
}

TEST_F(FakeEtcdTest, NothingIsToldOfAWatchThatHasEnded) {
  one_.StartWatch(2);
  etcd_.Put("a", "1");
  EXPECT_TRUE(one_.woken());
  one_.EndWatch();
  EXPECT_THAT(one_.Told(), IsEmpty());
}

TEST_F(FakeEtcdTest, ProgressIsWhatHasBeenToldByThen) {
  one_.StartWatch(2);
  etcd_.set_watch_lag_ms(50);
  etcd_.Put("a", "1");
  etcd_.Put("zz", "of others");
  one_.watch().RequestProgress();
  EXPECT_THAT(one_.Told(), IsEmpty());
  etcd_.set_watch_lag_ms(0);
  etcd_.Put("a", "2");
  EXPECT_THAT(one_.Told(), IsEmpty());
  Pass(50);
  EXPECT_THAT(one_.Told(), ElementsAre("2: a=1", "2:", "4: a=2"));
}

TEST_F(FakeEtcdTest, AHeldWatchFallsBehindItsOwnAnswers) {
  one_.StartWatch(2);
  two_.StartWatch(2);
  etcd_.HoldWatches("one", true);
  one_.Put("a", "1");
  EXPECT_THAT(one_.Told(), ElementsAre("1: done at 2"));
  EXPECT_THAT(two_.Told(), ElementsAre("2: a=1"));
  etcd_.HoldWatches("one", false);
  EXPECT_THAT(one_.Told(), ElementsAre("2: a=1"));
}

TEST_F(FakeEtcdTest, ABrokenWatchGoesOnFromWhatItHadTold) {
  one_.StartWatch(2);
  etcd_.Put("a", "1");
  EXPECT_THAT(one_.Told(), ElementsAre("2: a=1"));
  etcd_.set_watch_lag_ms(50);
  etcd_.Put("a", "2");  // On its way when the watch breaks.
  etcd_.BreakWatches();
  etcd_.Put("a", "3");
  Pass(50);
  EXPECT_THAT(one_.Told(), IsEmpty());
  etcd_.set_watch_lag_ms(0);
  etcd_.ResumeWatches();
  EXPECT_THAT(one_.Told(), ElementsAre("3: a=2", "4: a=3"));
}

TEST_F(FakeEtcdTest, ABrokenWatchEndsWhenItsNextRevisionIsCompacted) {
  one_.StartWatch(2);
  two_.StartWatch(2);
  etcd_.Put("a", "1");
  EXPECT_THAT(one_.Told(), ElementsAre("2: a=1"));
  etcd_.BreakWatches();
  etcd_.Put("a", "2");
  etcd_.Put("a", "3");
  ASSERT_TRUE(etcd_.Compact(4).ok());
  etcd_.ResumeWatches();
  EXPECT_THAT(one_.Told(), ElementsAre("compacted"));
  EXPECT_THAT(two_.Told(), ElementsAre("2: a=1", "compacted"));
  etcd_.Put("a", "4");
  EXPECT_THAT(one_.Told(), IsEmpty());
  one_.StartWatch(4);
  EXPECT_THAT(one_.Told(), ElementsAre("compacted"));
  one_.StartWatch(5);
  EXPECT_THAT(one_.Told(), ElementsAre("5: a=4"));
}

TEST_F(FakeEtcdTest, CompactionDoesNotTouchAWatchThatKeepsUp) {
  one_.StartWatch(2);
  etcd_.set_watch_lag_ms(50);
  etcd_.Put("a", "1");
  etcd_.Put("a", "2");
  ASSERT_TRUE(etcd_.Compact(3).ok());
  Pass(50);
  EXPECT_THAT(one_.Told(), ElementsAre("2: a=1", "3: a=2"));
}

TEST_F(FakeEtcdTest, WatchesBreakWithTheQuorum) {
  one_.StartWatch(2);
  etcd_.SetQuorum(false);
  two_.Put("a", "1");
  EXPECT_THAT(one_.Told(), IsEmpty());
  etcd_.SetQuorum(true);
  EXPECT_THAT(one_.Told(), ElementsAre("2: a=1"));
}

TEST_F(FakeEtcdTest, NoSpaceIsAnErrorOfItsOwn) {
  etcd_.state().set_no_space(true);
  one_.Put("a", "1");
  EXPECT_THAT(one_.Told(), ElementsAre("1: no space"));
}

TEST_F(FakeEtcdTest, StatusShowsMembersLeaderSizeAndAlarms) {
  std::vector<MemberStatus> members;
  const auto ask = [&] {
    members.clear();
    one_.api().Status(kTimeoutMs, [&](auto answer) { members = answer; });
    EXPECT_THAT(members, IsEmpty());
    one_.api().Poll();
    return members.size();
  };
  etcd_.Put("a", "1");
  etcd_.state().set_no_space(true);
  etcd_.SetMember(0, false);
  ASSERT_EQ(ask(), 3u);
  EXPECT_NE(members[0].error, "");
  EXPECT_EQ(members[1].error, "");
  EXPECT_EQ(members[1].leader_id, members[1].member_id);
  EXPECT_EQ(members[2].leader_id, members[1].member_id);
  EXPECT_EQ(members[2].revision, 2);
  EXPECT_GT(members[2].db_size_bytes, 0);
  EXPECT_THAT(members[2].alarms, ElementsAre("NOSPACE"));
  etcd_.SetQuorum(false);
  ASSERT_EQ(ask(), 3u);
  EXPECT_EQ(members[2].leader_id, 0u);
}

TEST_F(FakeEtcdTest, AnUpdateMayEndItsWatch) {
  std::unique_ptr<Watch> watch;
  int updates = 0;
  watch = one_.api().StartWatch(
      "a", "z", 2,
      [&](const WatchUpdate&) {
        ++updates;
        watch.reset();
      },
      [](const Error&) {});
  etcd_.Put("a", "1");
  etcd_.Put("a", "2");
  one_.api().Poll();
  EXPECT_EQ(updates, 1);
}

TEST_F(FakeEtcdTest, HistoryTellsWhatBecameOfEachTxn) {
  using Told = TxnRecord::Told;
  etcd_.NextTxn("one", Fate::AnswerLost());
  one_.Put("a", "1");
  two_.Put("a", "2", {IfMod("a", 0)});
  etcd_.NextTxn("two", Fate::Refused());
  two_.Put("a", "3");
  one_.Told();
  two_.Told();
  const auto& history = etcd_.history();
  ASSERT_EQ(history.size(), 3u);
  EXPECT_EQ(history[0].client, "one");
  EXPECT_EQ(history[0].request.then[0].value, "1");
  EXPECT_TRUE(history[0].succeeded);
  EXPECT_EQ(history[0].revision, 2);
  EXPECT_EQ(history[0].told, Told::kNothing);
  EXPECT_TRUE(history[1].done);
  EXPECT_FALSE(history[1].succeeded);
  EXPECT_EQ(history[1].told, Told::kAnswer);
  EXPECT_FALSE(history[2].done);
  EXPECT_EQ(history[2].told, Told::kRefusal);
  Pass(kTimeoutMs);
  one_.Told();
  EXPECT_EQ(history[0].told, Told::kTimeout);
}

// --- By a seed ---------------------------------------------------------------

constexpr Odds kEverything = {.refused = 0.05,
                              .never_done = 0.05,
                              .answer_lost = 0.05,
                              .late = 0.05,
                              .broken = 0.05,
                              .delay_ms = 20,
                              .late_ms = 3 * kTimeoutMs,
                              .quorum_lost = 0.01,
                              .watches_broken = 0.03,
                              .compacted = 0.05,
                              .outage_ms = 500,
                              .watch_lag_ms = 100};

// A cluster in trouble with two who write to it and follow their own watches.
class Trouble {
 public:
  explicit Trouble(uint64_t seed) { etcd_.Misbehave(kEverything, seed); }

  // What was told to both, as one text.
  std::string Live() {
    for (int i = 0; i < kPuts; ++i) {
      User& user = i % 2 == 0 ? one_ : two_;
      Follow(i % 2);
      user.Put("k" + std::to_string(i % 5), std::to_string(i));
      clock_.AdvanceMs(7);
      Follow(0);
      Follow(1);
    }
    etcd_.Behave();
    while (const auto wait_ms = etcd_.NextDueMs()) {
      clock_.AdvanceMs(*wait_ms);
      etcd_.Run();
      Follow(0);
      Follow(1);
    }
    return log_;
  }

  const FakeEtcd& etcd() const { return etcd_; }
  const std::map<std::string, int>& outcomes() const { return outcomes_; }
  int reloads() const { return reloads_; }
  const std::vector<std::string>& updates(int user) const {
    return updates_[user];
  }

 private:
  static constexpr int kPuts = 400;

  void Follow(int index) {
    User& user = index == 0 ? one_ : two_;
    if (!watched_[index]) {
      user.StartWatch(etcd_.state().revision() + 1);
      watched_[index] = true;
    }
    for (const std::string& words : user.Told()) {
      log_ += std::to_string(index) + " " + words + "\n";
      if (words == "compacted") {
        watched_[index] = false;
        ++reloads_;
      } else if (words.find(": k") != std::string::npos) {
        updates_[index].push_back(words);
      } else {
        ++outcomes_[words.substr(words.find(": ") + 2, 4)];
      }
    }
  }

  ManualClock clock_;
  FakeEtcd etcd_{clock_};
  User one_{etcd_, "one"};
  User two_{etcd_, "two"};
  bool watched_[2] = {false, false};
  std::vector<std::string> updates_[2];
  std::map<std::string, int> outcomes_;
  int reloads_ = 0;
  std::string log_;
};

TEST(TroubleBySeed, IsTheSameAgain) {
  EXPECT_EQ(Trouble(1).Live(), Trouble(1).Live());
  EXPECT_NE(Trouble(1).Live(), Trouble(2).Live());
}

TEST(TroubleBySeed, HasEachKind) {
  std::map<std::string, int> outcomes;
  int reloads = 0;
  int late = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Trouble trouble(seed);
    trouble.Live();
    for (const auto& [words, count] : trouble.outcomes()) {
      outcomes[words] += count;
    }
    reloads += trouble.reloads();
    for (const TxnRecord& record : trouble.etcd().history()) {
      late += record.told == TxnRecord::Told::kTimeout && record.done;
    }
  }
  EXPECT_GT(outcomes["done"], 2000);
  EXPECT_GT(outcomes["time"], 500);
  EXPECT_GT(outcomes["unav"], 100);
  EXPECT_GT(late, 200);
  EXPECT_GT(reloads, 5);
}

// The revisions of the updates of a watch, which tells several together.
std::vector<int64_t> RevisionsOf(const std::vector<std::string>& updates) {
  std::vector<int64_t> revisions;
  for (const std::string& words : updates) {
    revisions.push_back(std::stoll(words));
  }
  return revisions;
}

TEST(TroubleBySeed, BreaksNoPromiseOfEtcd) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Trouble trouble(seed);
    trouble.Live();
    std::set<int64_t> revisions;
    for (const TxnRecord& record : trouble.etcd().history()) {
      if (record.told == TxnRecord::Told::kAnswer) {
        EXPECT_TRUE(record.done);
      }
      if (record.told == TxnRecord::Told::kRefusal) {
        EXPECT_FALSE(record.done);
      }
      if (record.succeeded) {
        EXPECT_TRUE(revisions.insert(record.revision).second);
      }
    }
    EXPECT_EQ(revisions.size() + 1,
              static_cast<size_t>(trouble.etcd().state().revision()));
    for (const int user : {0, 1}) {
      const auto told = RevisionsOf(trouble.updates(user));
      EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
      EXPECT_EQ(std::adjacent_find(told.begin(), told.end()), told.end());
    }
  }
}

}  // namespace
}  // namespace kvd::etcd
