// SPDX-License-Identifier: MIT
//
// CLIENT, with a second client that does nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using ::testing::HasSubstr;

class ClientTest : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.

  ClientTest() {
    other_.id = 2;
    other_.connected_ms = service_->NowMs();
    service_->sessions.push_back(&other_);
    service_->pause_changed = [this] { ++pause_changes_; };
    service_->look_again_in = [this](int64_t ms) { look_again_ms_ = ms; };
  }

  Session other_;
  int pause_changes_ = 0;
  int64_t look_again_ms_ = -1;
};

// The fields that Valkey's tests and clients read.
TEST_F(ClientTest, ALineHasAllFields) {
  Send("CLIENT SETNAME me");
  const std::string line = Send("CLIENT INFO");
  for (const char* field : {"id=1 ",
                            " addr=/run/s:0 ",
                            " laddr=/run/s:0 ",
                            " fd=-1 ",
                            " name=me ",
                            " age=",
                            " idle=",
                            " flags=U ",
                            " db=0 ",
                            " sub=0 ",
                            " psub=0 ",
                            " ssub=0 ",
                            " multi=-1 ",
                            " watch=0 ",
                            " qbuf=",
                            " qbuf-free=",
                            " argv-mem=",
                            " multi-mem=0 ",
                            " rbs=",
                            " rbp=",
                            " obl=0 ",
                            " oll=0 ",
                            " omem=0 ",
                            " tot-mem=",
                            " events=r ",
                            " cmd=client|info ",
                            " user=default ",
                            " redir=-1 ",
                            " resp=2 ",
                            " lib-name= ",
                            " lib-ver= ",
                            " tot-net-in=",
                            " tot-net-out=",
                            " tot-cmds=1 ",
                            " pid=",
                            " uid="}) {
    EXPECT_THAT(line, HasSubstr(field));
  }
}

TEST_F(ClientTest, FlagsTellWhatAClientAskedFor) {
  Send("CLIENT NO-EVICT ON");
  Send("CLIENT NO-TOUCH ON");
  session_.monitors = true;
  EXPECT_THAT(Send("CLIENT INFO"), HasSubstr(" flags=OUeT "));
}

TEST_F(ClientTest, ListShowsThoseThatFit) {
  const auto shown = [&](const std::string& filter) {
    const std::string reply = Send("CLIENT LIST" + filter);
    if (reply.starts_with('-')) return reply;
    std::string ids;
    for (size_t at = 0; (at = reply.find("id=", at)) != reply.npos; ++at) {
      if (at > 0 && reply[at - 1] != '\n') continue;
      ids += reply.substr(at + 3, 1);
    }
    return ids;
  };
  EXPECT_EQ(shown(""), "12");
  EXPECT_EQ(shown(" ID 2 7 2"), "2");
  EXPECT_EQ(shown(" ID 2 1"), "12");
  EXPECT_EQ(shown(" TYPE normal"), "12");
  EXPECT_EQ(shown(" TYPE replica"), "");
  EXPECT_EQ(shown(" type PubSub ID 1"), "");
  EXPECT_EQ(shown(" SKIPME yes"), "2");
  EXPECT_EQ(shown(" ID 1 2 SKIPME yes USER default"), "2");
  EXPECT_EQ(shown(" ADDR /run/s:0"), "12");
  EXPECT_EQ(shown(" LADDR elsewhere"), "");
  clock_.AdvanceMs(5000);
  other_.connected_ms = service_->NowMs();
  EXPECT_EQ(shown(" MAXAGE 5"), "1");
  EXPECT_EQ(shown(" ID x"), "-ERR Invalid client ID\r\n");
  EXPECT_EQ(shown(" ID 1 x"), "-ERR Invalid client ID\r\n");
  EXPECT_EQ(shown(" ID"), "-ERR syntax error\r\n");
  EXPECT_EQ(shown(" TYPE nope"), "-ERR Unknown client type 'nope'\r\n");
  EXPECT_EQ(shown(" USER nope"), "-ERR No such user 'nope'\r\n");
  EXPECT_EQ(shown(" SKIPME maybe"), "-ERR syntax error\r\n");
  EXPECT_EQ(shown(" MAXAGE 0"), "-ERR maxage should be greater than 0\r\n");
}

TEST_F(ClientTest, KillClosesThoseThatFit) {
  EXPECT_EQ(Send("CLIENT KILL elsewhere:0"), "-ERR No such client\r\n");
  EXPECT_EQ(Send("CLIENT KILL ID 0"),
            "-ERR client-id should be greater than 0\r\n");
  EXPECT_EQ(Send("CLIENT KILL ID 7"), ":0\r\n");
  EXPECT_EQ(Send("CLIENT KILL ID 7 8"), ":0\r\n");
  EXPECT_EQ(Send("CLIENT KILL ID 2 wrong"), "-ERR syntax error\r\n");
  EXPECT_EQ(Send("CLIENT KILL MAXAGE 100"), ":0\r\n");
  EXPECT_FALSE(service_->kill_requested);
  EXPECT_EQ(Send("CLIENT KILL TYPE normal"), ":1\r\n");
  EXPECT_TRUE(other_.killed);
  EXPECT_TRUE(service_->kill_requested);
  EXPECT_FALSE(session_.closing);
  EXPECT_EQ(Send("CLIENT KILL ID 1 SKIPME no"), ":1\r\n");
  EXPECT_TRUE(session_.closing);
  EXPECT_FALSE(session_.killed);
}

TEST_F(ClientTest, APauseOfWritesHoldsBackWritesAlone) {
  Send("SET a 1");
  EXPECT_EQ(Send("CLIENT PAUSE 1000 WRITE"), "+OK\r\n");
  EXPECT_EQ(pause_changes_, 1);
  std::string reply;
  EXPECT_EQ(Run({"SET", "a", "2"}, &reply).waits_for, WaitsFor::kRoom);
  EXPECT_EQ(reply, "");
  EXPECT_EQ(look_again_ms_, 1000);
  EXPECT_EQ(Send("GET a"), "$1\r\n1\r\n");
  clock_.AdvanceMs(999);
  EXPECT_EQ(Run({"SET", "a", "2"}, &reply).waits_for, WaitsFor::kRoom);
  EXPECT_EQ(look_again_ms_, 1);
  clock_.AdvanceMs(1);
  EXPECT_EQ(Send("SET a 2"), "+OK\r\n");
}

TEST_F(ClientTest, APauseOfAllLeavesAWayToLookAndToEndIt) {
  EXPECT_EQ(Send("CLIENT PAUSE 9223372036854770000"), "+OK\r\n");
  std::string reply;
  EXPECT_EQ(Run({"GET", "a"}, &reply).waits_for, WaitsFor::kRoom);
  EXPECT_EQ(Run({"DBSIZE"}, &reply).waits_for, WaitsFor::kRoom);
  EXPECT_EQ(Send("PING"), "+PONG\r\n");
  EXPECT_THAT(Send("INFO server"), HasSubstr("redis_version"));
  EXPECT_THAT(Send("KV.STATUS"), HasSubstr("state"));
  EXPECT_EQ(Send("CLIENT UNPAUSE"), "+OK\r\n");
  EXPECT_EQ(look_again_ms_, 0);
  EXPECT_EQ(Send("GET a"), "$-1\r\n");
}

TEST_F(ClientTest, APauseHoldsBackATransactionThatWrites) {
  Send("MULTI");
  EXPECT_EQ(Send("SET a 1"), "+QUEUED\r\n");
  std::string reply;
  for (const Pause::Of of : {Pause::Of::kWrites, Pause::Of::kAll}) {
    service_->pause = {of, service_->NowMs() + 1000};
    EXPECT_EQ(Run({"EXEC"}, &reply).waits_for, WaitsFor::kRoom);
  }
  service_->pause = {};
  EXPECT_EQ(Send("EXEC"), "*1\r\n+OK\r\n");
}

TEST_F(ClientTest, APauseOfAllHoldsBackATransactionThatReads) {
  Send("MULTI");
  EXPECT_EQ(Send("GET a"), "+QUEUED\r\n");
  std::string reply;
  service_->pause = {Pause::Of::kWrites, service_->NowMs() + 1000};
  EXPECT_EQ(Send("EXEC"), "*1\r\n$-1\r\n");
  Send("MULTI");
  EXPECT_EQ(Send("GET a"), "+QUEUED\r\n");
  service_->pause = {Pause::Of::kAll, service_->NowMs() + 1000};
  EXPECT_EQ(Run({"EXEC"}, &reply).waits_for, WaitsFor::kRoom);
  Send("DISCARD");
  // It can end the pause.
  Send("MULTI");
  EXPECT_EQ(Send("CLIENT UNPAUSE"), "+QUEUED\r\n");
  EXPECT_EQ(Send("EXEC"), "*1\r\n+OK\r\n");
  EXPECT_EQ(Send("GET a"), "$-1\r\n");
}

TEST_F(ClientTest, ASecondPauseTakesNothingAway) {
  std::string reply;
  Send("CLIENT PAUSE 1000 ALL");
  Send("CLIENT PAUSE 10 WRITE");
  clock_.AdvanceMs(500);
  EXPECT_EQ(Run({"GET", "a"}, &reply).waits_for, WaitsFor::kRoom);
  clock_.AdvanceMs(500);
  Send("CLIENT PAUSE 10 WRITE");
  EXPECT_EQ(Send("GET a"), "$-1\r\n");
}

TEST_F(ClientTest, PauseRefusesOtherWords) {
  clock_.AdvanceMs(1);
  EXPECT_EQ(Send("CLIENT PAUSE x"),
            "-ERR timeout is not an integer or out of range\r\n");
  EXPECT_EQ(Send("CLIENT PAUSE -1"), "-ERR timeout is negative\r\n");
  EXPECT_EQ(Send("CLIENT PAUSE 9223372036854775807"),
            "-ERR timeout is out of range\r\n");
  EXPECT_EQ(Send("CLIENT PAUSE 1 SOME"),
            "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n");
  EXPECT_EQ(pause_changes_, 0);
}

TEST_F(ClientTest, UnblockEndsAWait) {
  EXPECT_EQ(Send("CLIENT UNBLOCK 1"), ":0\r\n");
  EXPECT_EQ(Send("CLIENT UNBLOCK 9"), ":0\r\n");
  EXPECT_EQ(Send("CLIENT UNBLOCK 1 NOPE"),
            "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n");
  for (const auto& [how, answer] :
       {std::pair("TIMEOUT", "$-1\r\n"),
        std::pair("ERROR",
                  "-UNBLOCKED client unblocked via CLIENT "
                  "UNBLOCK\r\n")}) {
    maintenance_.set_auto_run(false);
    std::string reply;
    Send("SET a 1");
    EXPECT_EQ(Run({"KV.COMPACT", "WAIT"}, &reply).waits_for, WaitsFor::kNews);
    EXPECT_THAT(Send("CLIENT INFO"), HasSubstr(" flags=bU "));
    EXPECT_EQ(Send(std::string("CLIENT UNBLOCK 1 ") + how), ":1\r\n");
    EXPECT_EQ(look_again_ms_, 0);
    EXPECT_EQ(Run({"KV.COMPACT", "WAIT"}, &reply).waits_for,
              WaitsFor::kNothing);
    EXPECT_EQ(reply, answer);
    EXPECT_FALSE(session_.is_blocked());
    maintenance_.set_auto_run(true);
    maintenance_.RunAll();
  }
}

TEST_F(ClientTest, TrackingIsRefusedAndOff) {
  EXPECT_THAT(Send("CLIENT TRACKING ON"), HasSubstr("-ERR kvd does not track"));
  EXPECT_EQ(Send("CLIENT TRACKING OFF OPTOUT PREFIX a"), "+OK\r\n");
  EXPECT_EQ(Send("CLIENT TRACKING ON NOPE"), "-ERR syntax error\r\n");
  EXPECT_EQ(Send("CLIENT TRACKING ON REDIRECT"), "-ERR syntax error\r\n");
  EXPECT_THAT(Send("CLIENT CACHING YES"), HasSubstr("-ERR CLIENT CACHING can"));
  EXPECT_EQ(Send("CLIENT GETREDIR"), ":-1\r\n");
  EXPECT_EQ(Send("CLIENT TRACKINGINFO"),
            "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n"
            "$8\r\nprefixes\r\n*0\r\n");
  EXPECT_EQ(Send("CLIENT CAPA redirect"), "+OK\r\n");
}

}  // namespace
}  // namespace kvd
