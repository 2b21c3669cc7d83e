// SPDX-License-Identifier: MIT
//
// Commands that wait for values from the disk.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "base/check.h"
#include "tests/daemon/server/server_rig.h"

namespace kvd {
namespace {

// A daemon with values that are on disk alone, and a disk that waits: Reads
// finish when the test says so.
class ColdServerTest : public ServerTest {
 protected:
  ColdServerTest() {
    value_cache_bytes_ = 0;
    Start();
    Client client = Connect();
    client.Send(Command({"MSET", "cold", "value", "number", "41"}));
    Settle();
    KVD_CHECK(client.Receive() == "+OK\r\n");
    client.Leave();
    Settle();
    disk_.SetReadsWait(true);
    reads_.set_auto_run(false);
  }

  void FinishReads() {
    reads_.RunAll();
    Settle();
  }
};

TEST_F(ColdServerTest, RepliesStayInOrderBehindARead) {
  Client client = Connect();
  client.Send("PING one\r\n" + Command({"GET", "cold"}) + "PING two\r\n" +
              Command({"SET", "a", "1"}) + Command({"GET", "number"}) +
              "PING three\r\n");
  Settle();
  EXPECT_EQ(client.Receive(), "$3\r\none\r\n");
  EXPECT_EQ(reads_.pending(), 1u);
  EXPECT_EQ(store_->Stats().keys[0], 2u);  // SET has not been executed.
  FinishReads();
  EXPECT_EQ(client.Receive(), "$5\r\nvalue\r\n$3\r\ntwo\r\n+OK\r\n");
  FinishReads();
  EXPECT_EQ(client.Receive(), "$2\r\n41\r\n$5\r\nthree\r\n");
}

TEST_F(ColdServerTest, ManyValuesThatComeAtOnceAreAnsweredInSeveralTurns) {
  std::vector<Client> readers;
  for (int i = 0; i < 20; ++i) {
    readers.push_back(Connect());
    readers.back().Send(Command({"GET", "cold"}));
  }
  Settle();
  reads_.RunAll();
  const auto answer_some = [&] {
    loop_.RunOnce();
    return std::erase_if(readers, [](Client& reader) {
      return reader.Receive() == "$5\r\nvalue\r\n";
    });
  };
  size_t turns = 0;
  for (; !readers.empty(); ++turns) {
    const size_t answered = answer_some();
    EXPECT_LT(answered, 20u);
    // Nobody has to wake it for the others.
    if (answered > 0 && !readers.empty()) {
      EXPECT_EQ(uv_backend_timeout(loop_.get()), 0);
    }
  }
  EXPECT_GT(turns, 1u);
}

// It would move the words of the command that is to run again.
TEST_F(ColdServerTest, InputThatComesDuringAReadStaysInTheSocket) {
  Client client = Connect();
  client.Send(Command({"GET", "cold"}));
  Settle();
  const std::string large(100'000, 'x');
  client.Send(Command({"SET", "large", large}));
  Settle();
  client.Send("PING one\r\n*2\r\n$4\r\nPI");
  Settle();
  EXPECT_EQ(client.Receive(), "");
  FinishReads();
  EXPECT_EQ(client.Receive(), "$5\r\nvalue\r\n+OK\r\n$3\r\none\r\n");
  client.Send("NG\r\n$3\r\ntwo\r\n");
  Settle();
  EXPECT_EQ(client.Receive(), "$3\r\ntwo\r\n");
}

TEST_F(ColdServerTest, OthersGoOnWhileOneReads) {
  Client reader = Connect();
  reader.Send(Command({"GET", "cold"}));
  Settle();
  Client other = Connect();
  other.Send(Command({"SET", "a", "1"}) + Command({"EXISTS", "cold"}) +
             Command({"SET", "cold", "newer"}));
  Settle();
  EXPECT_EQ(other.Receive(), "+OK\r\n:1\r\n+OK\r\n");
  EXPECT_EQ(reader.Receive(), "");
  // What is written and on its way out of memory is read again in its turn.
  FinishReads();
  FinishReads();
  EXPECT_EQ(reader.Receive(), "$5\r\nnewer\r\n");
}

// The effect is of the moment in which the command runs, not of the one in
// which it came.
TEST_F(ColdServerTest, ChangesHappenInTheOrderOfExecution) {
  Client one = Connect();
  one.Send(Command({"INCR", "number"}));
  Settle();
  Client other = Connect();
  other.Send(Command({"SET", "number", "100"}));
  Turn();
  FinishReads();
  FinishReads();
  EXPECT_EQ(other.Receive(), "+OK\r\n");
  EXPECT_EQ(one.Receive(), ":101\r\n");
}

TEST_F(ColdServerTest, TwoWhoChangeOneColdValueBothDo) {
  Client one = Connect();
  Client other = Connect();
  one.Send(Command({"INCR", "number"}));
  other.Send(Command({"INCR", "number"}));
  Settle();
  EXPECT_EQ(reads_.pending(), 2u);
  while (reads_.pending() > 0) FinishReads();
  EXPECT_EQ(Number(one.Receive()) + Number(other.Receive()), 42u + 43);
}

TEST_F(ColdServerTest, AClientMayLeaveWhileItsCommandReads) {
  Client client = Connect();
  client.Send(Command({"GETDEL", "cold"}));
  Settle();
  client.Leave();
  FinishReads();
  // What was read from it is executed all the same.
  Client other = Connect();
  other.Send(Command({"EXISTS", "cold"}) + Command({"CLIENT", "LIST"}));
  Settle();
  const std::string replies = other.Receive();
  EXPECT_TRUE(replies.starts_with(":0\r\n")) << replies;
  EXPECT_EQ(replies.find("cmd=getdel"), std::string::npos) << replies;
}

TEST_F(ColdServerTest, AClientMayBeKilledWhileItsCommandReads) {
  for (const bool is_done : {false, true}) {
    Client victim = Connect();
    victim.Send(Command({"CLIENT", "ID"}) + Command({"GETDEL", "cold"}));
    Settle();
    const std::string id = std::to_string(Number(victim.Receive()));
    Client killer = Connect();
    killer.Send(Command({"CLIENT", "KILL", "ID", id}));
    // The last turn of the victim may be the one in which its value arrives.
    if (is_done) reads_.RunAll();
    Settle();
    EXPECT_EQ(killer.Receive(), ":1\r\n");
    victim.Receive();
    EXPECT_TRUE(victim.closed());
    FinishReads();
  }
}

TEST_F(ColdServerTest, AClientMayBeKilledWhileItsTransactionReads) {
  for (const std::string& waits :
       {Command({"WATCH", "w"}) + Command({"MULTI"}) +
            Command({"SET", "new", "1"}) + Command({"GETDEL", "cold"}) +
            Command({"EXEC"}),
#ifdef KVD_SCRIPTS
        Command({"EVAL",
                 "redis.call('SET', 'new', 1) "
                 "return redis.call('GETDEL', 'cold')",
                 "0"})
#endif
       }) {
    Client victim = Connect();
    victim.Send(Command({"CLIENT", "ID"}) + waits);
    Settle();
    const std::string id = std::to_string(Number(victim.Receive()));
    EXPECT_EQ(reads_.pending(), 1u);
    Client killer = Connect();
    killer.Send(Command({"CLIENT", "KILL", "ID", id}) +
                Command({"EXISTS", "new"}) + Command({"EXISTS", "cold"}));
    Settle();
    EXPECT_EQ(killer.Receive(), ":1\r\n:0\r\n:1\r\n");
    victim.Receive();
    EXPECT_TRUE(victim.closed());
    FinishReads();
    killer.Send(Command({"SET", "w", "1"}) + Command({"EXISTS", "cold"}));
    Settle();
    EXPECT_EQ(killer.Receive(), "+OK\r\n:1\r\n");
  }
}

TEST_F(ColdServerTest, AHalfCloseWaitsForTheRead) {
  Client client = Connect();
  client.Send(Command({"GET", "cold"}) + "PING\r\n");
  client.EndSending();
  Settle();
  EXPECT_EQ(client.Receive(), "");
  EXPECT_FALSE(client.closed());
  FinishReads();
  EXPECT_EQ(client.Receive(), "$5\r\nvalue\r\n+PONG\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(ColdServerTest, AStopWaitsForReads) {
  Client client = Connect();
  client.Send(Command({"INCR", "number"}) + Command({"GET", "cold"}));
  Settle();
  server_->BeginStop("test");
  Settle();
  EXPECT_FALSE(server_->ended());
  FinishReads();
  FinishReads();
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(server_->exit_code(), ExitCode::kStopped);
  EXPECT_EQ(client.Receive(), ":42\r\n$5\r\nvalue\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(ColdServerTest, AStopDoesNotWaitForADiskThatHangs) {
  Client client = Connect();
  client.Send(Command({"INCR", "number"}) + "PING\r\n");
  Settle();
  server_->BeginStop("test");
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(server_->exit_code(), ExitCode::kStopped);
  EXPECT_EQ(client.Receive(),
            "-ERR kvd is stopping; the command was not executed, nothing was "
            "changed\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(ColdServerTest, AStopIsSilentWhereCommandsAre) {
  Client off = Connect();
  off.Send("CLIENT REPLY OFF\r\n" + Command({"INCR", "number"}));
  Client skip = Connect();
  skip.Send("CLIENT REPLY SKIP\r\n" + Command({"INCR", "number"}));
  Settle();
  server_->BeginStop("test");
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(off.Receive() + skip.Receive(), "");
  EXPECT_TRUE(off.closed() && skip.closed());
}

TEST_F(ColdServerTest, ADiskFaultAnswersWhoReads) {
  Client reader = Connect();
  reader.Send(Command({"GET", "cold"}));
  Settle();
  Client writer = Connect();
  writer.Send(Command({"SET", "a", "1"}));
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, EIO);
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(server_->exit_code(), ExitCode::kDiskFault);
  EXPECT_EQ(reader.Receive(),
            "-IOERR disk fault; the command was not executed, nothing was "
            "changed\r\n");
  EXPECT_TRUE(reader.closed());
}

}  // namespace
}  // namespace kvd
