// SPDX-License-Identifier: MIT
//
// Somebody makes etcd anew, from a backup or empty, under kvds that run: nobody
// reads or keeps what is not there any more.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/planted_bug.h"
#include "tests/etcd/engine_host.h"
#include "tests/support/fake_etcd.h"

namespace kvd::etcd {
namespace {

// --- By its revision it shows -----------------------------------------------

TEST_F(EngineTest, AReadSeesThatEtcdIsAnotherOne) {
  Ready();
  Get(one_, "ready");
  etcd_.state() = EtcdState();
  EXPECT_EQ(one_.Get("ready", [this] { Pass(); }), std::nullopt);
  ASSERT_TRUE(one_.store().failure());
  const std::string& why = one_.store().failure()->message();
  EXPECT_NE(why.find("made it anew"), why.npos) << why;
}

// --- By its revision it does not --------------------------------------------

// One host, which has written since the backup was taken; then others write
// until etcd has come further than it was.
class EngineBackup : public TurnsTest {
 protected:
  struct Case {
    bool told = false;         // The host, of what it had written.
    bool by_kvd = false;       // Another one wrote behind the backup.
    bool is_local = false;     // reads = "local".
    int64_t heartbeat_ms = 0;  // Of the host.
  };

  void Turn() override { Pass(); }
  void Pass(int64_t ms = 1) {
    host_->store().Pump();
    clock_.AdvanceMs(ms);
    etcd_.Run();
    host_->store().Poll();
    host_->store().Tick();
  }
  void Start(const Case& c) {
    case_ = c;
    EtcdStoreOptions options;
    options.heartbeat_ms = c.heartbeat_ms;
    options.linearizable = !c.is_local;
    options.log = [this](Severity, const std::string& line) {
      if (line.find("loading all anew") != line.npos) ++reloads_;
    };
    host_.emplace(etcd_, clock_, "host", options);
    Set("kept", "1");
    Set("changed", "1");
    EXPECT_EQ(Get("changed"), "1");
    backup_ = etcd_.state();
  }
  void WriteOn() {
    if (!case_.told) etcd_.HoldWatches("host", true);
    Set("changed", "2");
    Set("lost", "2");
    Pass(100);
  }
  void PutBack() {
    const int64_t was = etcd_.state().revision();
    etcd_.PutBack(backup_);
    etcd_.HoldWatches("host", false);
    while (etcd_.state().revision() <= was) OtherWrites();
  }
  void OtherWrites() {
    ++writes_;
    if (!case_.by_kvd) return etcd_.Put("not/of/kvd", "1");
    SetBy("another", "other", std::to_string(writes_));
  }
  // As another kvd does.
  void SetBy(const std::string& id, const std::string& key,
             const std::string& value) {
    const Sequence sequence{id + "-1", 1, clock_.WallMs()};
    const Op ops[] = {
        {Op::Kind::kPut, "kvd/0/0/" + key, "0" + value},
        {Op::Kind::kPut, "kvd/s/" + id, EncodeSequence(sequence)},
    };
    ASSERT_TRUE(etcd_.Do({{}, {ops[0], ops[1]}, {}}).ok());
  }
  // As a daemon does it: what is refused runs again.
  void Do(const std::function<bool()>& command) {
    Outcome outcome = Outcome::kRefused;
    for (int i = 0; i < 5 && outcome == Outcome::kRefused; ++i) {
      Until(command);
      outcome = OutcomeOf(*host_);
    }
    EXPECT_EQ(outcome, Outcome::kCommitted);
  }
  void Set(const std::string& key, const std::string& value) {
    Do([&] { return host_->Set(key, value); });
  }
  // Watches come back while it waits.
  std::string Get(const std::string& key) {
    int turns = 0;
    return host_
        ->Get(key,
              [&] {
                if (++turns == 300) etcd_.ResumeWatches();
                Pass();
              })
        .value_or("(nothing)");
  }
  void ExpectWhatIsThere() {
    EXPECT_EQ(Get("lost"), "(none)");
    EXPECT_EQ(Get("changed"), "1");
    EXPECT_EQ(Get("kept"), "1");
    EXPECT_EQ(Get("other"), case_.by_kvd ? std::to_string(writes_) : "(none)");
    EXPECT_FALSE(host_->store().failure());
    EXPECT_EQ(reloads_, 1);
  }

  Case case_;
  ManualClock clock_;
  FakeEtcd etcd_{clock_};
  std::optional<Host> host_;
  EtcdState backup_;
  uint64_t writes_ = 0;
  int reloads_ = 0;
};

class EngineBackupCases
    : public EngineBackup,
      public testing::WithParamInterface<std::tuple<bool, bool, bool>> {
 protected:
  void SetUp() override {
    const auto& [told, by_kvd, resumed] = GetParam();
    Start({.told = told, .by_kvd = by_kvd});
    WriteOn();
    PutBack();
    if (resumed) etcd_.ResumeWatches();
  }
};

TEST_P(EngineBackupCases, AReadSeesIt) { ExpectWhatIsThere(); }

TEST_P(EngineBackupCases, AWriteSeesIt) {
  Set("own", "3");
  EXPECT_EQ(Get("own"), "3");
  ExpectWhatIsThere();
}

std::string NameOf(
    const testing::TestParamInfo<std::tuple<bool, bool, bool>>& info) {
  const auto& [told, by_kvd, resumed] = info.param;
  return std::string(told ? "ToldOfAll" : "NotToldOfAll") +
         (by_kvd ? "AnotherKvdWrites" : "OthersWrite") +
         (resumed ? "TheWatchIsThere" : "TheWatchIsNotThere");
}

INSTANTIATE_TEST_SUITE_P(Where, EngineBackupCases,
                         testing::Combine(testing::Bool(), testing::Bool(),
                                          testing::Bool()),
                         NameOf);

// Which of two other kvds wrote before the backup and behind it; the newest of
// their keys is not as new then as what the watch of the host had told.
struct Others {
  const char* name;
  bool are_there = false;   // Before.
  const char* wrote = "";   // Since, which is lost.
  const char* writes = "";  // Behind the backup.
};

class EngineBackupOfOthers : public EngineBackup,
                             public testing::WithParamInterface<Others> {};

TEST_P(EngineBackupOfOthers, AReadSeesIt) {
  const Others& others = GetParam();
  Start({});
  if (others.are_there) {
    for (const char* id : {"another", "third"}) SetBy(id, "other", "1");
  }
  Pass(100);
  backup_ = etcd_.state();
  if (*others.wrote != '\0') SetBy(others.wrote, "lost", "2");
  for (int i = 0; i < 20; ++i) etcd_.Put("kvd/0/0/changed", "02");
  Pass(100);
  EXPECT_EQ(Get("changed"), "2");
  const int64_t was = etcd_.state().revision();
  etcd_.PutBack(backup_);
  for (int i = 0; i < 3; ++i) etcd_.Put("not/of/kvd", "1");
  SetBy(others.writes, "new", "3");
  while (etcd_.state().revision() <= was) etcd_.Put("not/of/kvd", "1");
  EXPECT_EQ(Get("new"), "3");
  EXPECT_EQ(Get("lost"), "(none)");
  EXPECT_EQ(Get("changed"), "1");
  EXPECT_FALSE(host_->store().failure());
  EXPECT_EQ(reloads_, 1);
}

INSTANTIATE_TEST_SUITE_P(
    Where, EngineBackupOfOthers,
    testing::Values(Others{"OneWritesOn", true, "another", "another"},
                    Others{"OneWritesForTheOther", true, "another", "third"},
                    Others{"OneWrites", true, "", "third"},
                    Others{"OneIsMissing", false, "another", "third"},
                    Others{"OneIsNew", false, "", "third"}),
    [](const auto& info) { return std::string(info.param.name); });

// Only its answer comes late.
TEST_F(EngineBackup, AKeyThatWasRemovedSinceIsNone) {
  Start({});
  SetBy("another", "other", "1");
  Pass(100);
  etcd_.NextRange("host", Fate::Answered(0, 50));
  const auto read = [](Operation& op) { op.Find("kept"); };
  host_->NewWords();
  EXPECT_FALSE(host_->Run(true, read));
  Pass();
  const Op ops[] = {{Op::Kind::kDelete, "kvd/s/another", ""},
                    {Op::Kind::kPut, "kvd/s/-", "another"}};
  ASSERT_TRUE(etcd_.Do({{}, {ops[0], ops[1]}, {}}).ok());
  Until([&] { return host_->Run(true, read); });
  EXPECT_EQ(reloads_, 0);
}

// Its next change was in doubt by then.
TEST_F(EngineBackup, AReadSeesItBeforeAFenceDoes) {
  Start({.by_kvd = false});
  WriteOn();
  for (int i = 0; i < 20; ++i) etcd_.NextTxn("host", Fate::NeverDone());
  Until([&] { return host_->Set("in doubt", "1"); });
  for (int i = 0; i < 60; ++i) Pass(100);
  EXPECT_EQ(OutcomeOf(*host_), Outcome::kFailed);
  PutBack();
  ExpectWhatIsThere();
}

TEST_F(EngineBackup, LocalReadsSeeItWhenTheWatchDoes) {
  for (const bool told : {false, true}) {
    SCOPED_TRACE(told);
    reloads_ = 0;
    etcd_.PutBack(EtcdState());
    Start({.told = told, .by_kvd = true, .is_local = true});
    WriteOn();
    PutBack();
    etcd_.ResumeWatches();
    for (int i = 0; i < 100; ++i) Pass(10);
    ExpectWhatIsThere();
    host_.reset();
  }
}

// Its own signs of life are told, too.
TEST_F(EngineBackup, ASignOfLifeShowsIt) {
  Start({.is_local = true, .heartbeat_ms = 2000});
  WriteOn();
  PutBack();
  etcd_.ResumeWatches();
  for (int i = 0; i < 100; ++i) Pass(50);
  ExpectWhatIsThere();
}

// The backup is of the time before this life of the host.
TEST_F(EngineBackup, OneThatWasStartedSinceGoesOn) {
  Start({.told = true});
  host_.reset();
  etcd_.Put("kvd/s/host", EncodeSequence({"host-0", 1, 0}));
  const EtcdState before = etcd_.state();
  Start({.told = true});
  backup_ = before;
  WriteOn();
  PutBack();
  Set("own", "3");
  EXPECT_EQ(Get("own"), "3");
  ExpectWhatIsThere();
}

TEST_F(EngineBackup, AFlushBehindItIsUndoneAndRemovesNothing) {
  for (const bool told : {false, true}) {
    SCOPED_TRACE(told);
    reloads_ = 0;
    etcd_.PutBack(EtcdState());
    Start({.told = told, .by_kvd = true});
    if (!told) etcd_.HoldWatches("host", true);
    Do([this] { return host_->Flush(); });
    // What the flush has left is looked for, and found in the backup.
    PutBack();
    for (int i = 0; i < 20; ++i) Pass(10);
    EXPECT_TRUE(etcd_.Get("kvd/0/0/kept"));
    ExpectWhatIsThere();
    for (int i = 0; i < 300; ++i) Pass(100);
    EXPECT_TRUE(etcd_.Get("kvd/0/0/kept"));
    host_.reset();
  }
}

#ifdef KVD_PLANTED_BUGS
class EngineBackupUnseen : public EngineBackup {
 protected:
  void SetUp() override {
    Start({});
    WriteOn();
    PutBack();
  }
  const ScopedPlantedBug planted_{PlantedBug::kBelieveHistory};
};

TEST_F(EngineBackupUnseen, ByARead) { EXPECT_EQ(Get("lost"), "2"); }

TEST_F(EngineBackupUnseen, ByAWrite) {
  Set("own", "1");
  EXPECT_EQ(Get("lost"), "2");
}
#endif

TEST_F(EngineBackup, ASignOfLifeSeesThatEtcdIsAnotherOne) {
  Start({.heartbeat_ms = 2000});
  for (int i = 0; i < 50; ++i) etcd_.Put("kvd/0/0/key", "0v");
  for (int i = 0; i < 100; ++i) Pass(50);
  EXPECT_FALSE(host_->store().failure());
  etcd_.state() = EtcdState();
  for (int i = 0; i < 100; ++i) Pass(50);
  EXPECT_TRUE(host_->store().failure());
}

}  // namespace
}  // namespace kvd::etcd
