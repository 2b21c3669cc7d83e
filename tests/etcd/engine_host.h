// SPDX-License-Identifier: MIT
//
// Stores that share an etcd, command by command: what a daemon does with them,
// done by hand.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "etcd/engine/etcd_store.h"
#include "store/operation.h"
#include "tests/support/fake_etcd.h"
#include "tests/support/manual_clock.h"

namespace kvd::etcd {

using Outcome = Batches::Outcome;

// One kvd, without its clients.
class Host {
 public:
  Host(FakeEtcd& etcd, Clock& clock, const std::string& name,
       EtcdStoreOptions options = {})
      : store_(etcd.Connect(name, Wake([] {})), Named(std::move(options), name),
               clock, Wake([] {})) {}

  EtcdStore& store() { return store_; }
  Batches& batches() { return *store_.batches(); }

  // What runs from now on is of that client, or has just come from it.
  void Become(int client) { client_ = client; }
  void NewWords() { stamps_[client_] = {}; }
  // Whether the command ran; what it changed is on its way after Pump().
  bool Run(bool reads, const std::function<void(Operation&)>& command) {
    return Try(reads, command) == Room::kReady;
  }
  // Its room; kWait also if it was not admitted.
  Room Try(bool reads, const std::function<void(Operation&)>& command) {
    if (batches().Admit(reads, &stamps_[client_]) != Batches::Admission::kRun) {
      return Room::kWait;
    }
    batches().BeginCommand();
    ColdValues cold;
    Operation op(store_, 0, &cold);
    command(op);
    const bool ran = op.blocked() == Room::kReady;
    const auto verdict = batches().EndCommand(ran, false, op.seen());
    return ran ? verdict.room : op.blocked();
  }
  static void Put(Operation& op, const std::string& key,
                  const std::string& value, int64_t deadline_ms = 0) {
    if (op.Reserve(Operation::PutBytes(key.size(), value.size()),
                   Purpose::kWrite) == Room::kReady) {
      op.Put(key, value, deadline_ms, KeyEvent::kSet);
    }
  }
  bool Set(const std::string& key, const std::string& value,
           int64_t deadline_ms = 0) {
    return Run(false, [&](Operation& op) { Put(op, key, value, deadline_ms); });
  }
  bool Increment(const std::string& key) {
    return Run(false, [&](Operation& op) {
      const Entry* entry = op.Find(key);
      const int old =
          entry == nullptr ? 0 : std::stoi(std::string(op.Value(*entry)));
      Put(op, key, std::to_string(old + 1));
    });
  }
  bool Remove(const std::string& key) {
    return Run(false, [&](Operation& op) {
      if (op.Find(key) == nullptr) return;
      if (op.Reserve(Operation::RemoveBytes(key.size()), Purpose::kRemoval) !=
          Room::kReady) {
        return;
      }
      op.Remove(key, KeyEvent::kDel);
    });
  }
  bool Flush() {
    return Run(false, [&](Operation& op) {
      if (op.Reserve(Operation::RemoveBytes(0), Purpose::kRemoval) ==
          Room::kReady) {
        op.FlushDatabase();
      }
    });
  }
  // Reads as a client does whose words have just come.
  std::optional<std::string> Get(const std::string& key,
                                 const std::function<void()>& pass) {
    std::optional<std::string> value;
    const auto read = [&](Operation& op) {
      const Entry* entry = op.Find(key);
      value = entry == nullptr ? "(none)" : std::string(op.Value(*entry));
    };
    NewWords();
    for (int i = 0; i < 20'000 && !Run(true, read); ++i) pass();
    return value;
  }

 private:
  static EtcdStoreOptions Named(EtcdStoreOptions options,
                                const std::string& name) {
    options.id = name;
    options.nonce = name + "-1";
    return options;
  }

  EtcdStore store_;
  std::map<int, Batches::Stamp> stamps_;
  int client_ = 0;
};

// What hosts do goes on turn by turn.
class TurnsTest : public testing::Test {
 protected:
  // A turn of each.
  virtual void Turn() = 0;

  void Until(const std::function<bool()>& done) {
    for (int i = 0; i < 20'000; ++i, Turn()) {
      if (done()) return;
    }
    FAIL() << "it did not come";
  }
  // What became of the batch that is under way.
  Outcome OutcomeOf(Host& host) {
    Outcome outcome = Outcome::kNone;
    Until([&] {
      outcome = host.batches().TakeOutcome();
      return outcome != Outcome::kNone;
    });
    return outcome;
  }
};

class EngineTest : public TurnsTest {
 protected:
  void Turn() override { Pass(); }
  void Pass() {
    for (Host* host : {&one_, &two_}) host->store().Pump();
    clock_.AdvanceMs(1);
    etcd_.Run();
    for (Host* host : {&one_, &two_}) {
      host->store().Poll();
      host->store().Tick();
    }
  }
  void Ready() {
    Until([&] { return one_.Set("ready", "1"); });
    EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
    Until([&] { return two_.Set("ready", "2"); });
    EXPECT_EQ(OutcomeOf(two_), Outcome::kCommitted);
  }
  std::string Get(Host& host, const std::string& key) {
    return host.Get(key, [this] { Pass(); }).value_or("(nothing)");
  }

  // A Txn is a batch's.
  static EtcdStoreOptions WithoutBeats() {
    EtcdStoreOptions options;
    options.heartbeat_ms = 0;
    return options;
  }

  ManualClock clock_;
  FakeEtcd etcd_{clock_};
  Host one_{etcd_, clock_, "one", WithoutBeats()};
  Host two_{etcd_, clock_, "two", WithoutBeats()};
};

}  // namespace kvd::etcd
