// SPDX-License-Identifier: MIT
//
// Which commands are timed, on a clock that goes on by itself, and what
// LATENCY, SLOWLOG and INFO make of it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/check.h"
#include "daemon/commands/server/statistics.h"
#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

class CommandTimesTest : public testing::Test, protected CommandRig {
 protected:
  CommandTimesTest() : CommandRig(RoomForLargeValues()) {
    clock_.set_step_ns(3000);
  }

  // As one of several that came together.
  std::string Pipe(const std::vector<std::string>& words) {
    session_.pipelines = true;
    std::string reply = Send(words);
    session_.pipelines = false;
    return reply;
  }

  const Histogram& RunOf(std::string_view name) {
    const auto rows = UsedRows(service_->command_stats, name);
    KVD_CHECK(rows.size() == 1);
    return rows[0].stats->known_times()->run_ns;
  }

 private:
  static StoreOptions RoomForLargeValues() {
    StoreOptions options;
    options.segment_bytes = 4 << 20;
    return options;
  }
};

TEST_F(CommandTimesTest, ACallThatCameAloneIsTimed) {
  for (int i = 0; i < 5; ++i) {
    Send({"GET", "a"});
    clock_.set_step_ns(2 * clock_.step_ns());
  }
  EXPECT_EQ(RunOf("get").count(), 5u);
  EXPECT_EQ(RunOf("get").sum(), 3000 * (1 + 2 + 4 + 8 + 16u));
}

TEST_F(CommandTimesTest, OfBriefCallsInPipelinesOneOfManyIsTimed) {
  Pipe({"GET", "a"});
  const auto first = static_cast<uint64_t>(clock_.step_ns());
  clock_.set_step_ns(1'000'000);
  for (uint64_t i = 1; i < kTimedEvery; ++i) Pipe({"GET", "a"});
  // None of them was looked at.
  EXPECT_EQ(RunOf("get").count(), kTimedEvery);
  EXPECT_EQ(RunOf("get").sum(), kTimedEvery * first);
}

TEST_F(CommandTimesTest, CallsOfUnboundedWorkAreAllTimed) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"KEYS", "*"},
        {"SCAN", "0"},
        {"MGET", "a", "b", "c", "d"},
        {"GETRANGE", "a", "0", "-1"}}) {
    Pipe(words);
    clock_.set_step_ns(50'000);
    Pipe(words);
    EXPECT_EQ(RunOf(words[0]).max(), 50'000u) << words[0];
    clock_.set_step_ns(3000);
  }
}

TEST_F(CommandTimesTest, ACallThatMovedMuchIsChargedTheTimeSinceTheLastLook) {
  const std::string large(kManyBytes, 'x');
  Pipe({"SET", "large", large});
  Pipe({"GET", "large"});
  Pipe({"GET", "none"});
  // Only a look after it, and it is seen all the same.
  clock_.set_step_ns(20'000'000);
  EXPECT_GT(Pipe({"GET", "large"}).size(), kManyBytes);
  EXPECT_GE(RunOf("get").max(), 20'000'000u);
  EXPECT_EQ(RunOf("get").count(), 3u);
  // What goes to the log counts like a reply.
  EXPECT_EQ(Pipe({"APPEND", "large", "y"}), ":262145\r\n");
  clock_.set_step_ns(40'000'000);
  Pipe({"APPEND", "large", "y"});
  EXPECT_GE(RunOf("append").max(), 40'000'000u);
}

TEST_F(CommandTimesTest, SlowCommandsAreInTheSlowLog) {
  session_.name = "me";
  clock_.set_step_ns(9'999'999);
  Send({"GET", "quick"});
  EXPECT_EQ(Send({"SLOWLOG", "LEN"}), ":0\r\n");
  clock_.set_step_ns(10'000'000);
  Send({"GET", "slow"});
  // What may hold a password is not kept.
  Send({"AUTH", "secret"});
  clock_.set_step_ns(1);
  EXPECT_EQ(Send({"SLOWLOG", "GET"}),
            "*1\r\n*6\r\n:0\r\n:1700000000\r\n:10000\r\n"
            "*2\r\n$3\r\nGET\r\n$4\r\nslow\r\n$8\r\n/run/s:0\r\n$2\r\nme\r\n");
  EXPECT_EQ(Send({"SLOWLOG", "GET", "0"}), "*0\r\n");
  EXPECT_EQ(Send({"SLOWLOG", "RESET"}), "+OK\r\n");
  EXPECT_EQ(Send({"SLOWLOG", "LEN"}), ":0\r\n");
  for (const char* count : {"-2", "x", ""}) {
    EXPECT_EQ(Send({"SLOWLOG", "GET", count}),
              "-ERR count should be greater than or equal to -1\r\n");
  }
}

TEST_F(CommandTimesTest, ALowThresholdHasEveryCallTimed) {
  config_.slowlog.threshold_us = kAlwaysTimedBelowUs - 1;
  Restart();
  clock_.set_step_ns(999'000);
  for (int i = 0; i < 3; ++i) Pipe({"GET", "a"});
  clock_.set_step_ns(1);
  EXPECT_EQ(Send({"SLOWLOG", "LEN"}), ":3\r\n");
}

TEST_F(CommandTimesTest, OnlyTheNewestSlowCommandsAreKept) {
  config_.slowlog.length = 2;
  config_.slowlog.threshold_us = 0;
  Restart();
  for (int i = 0; i < 5; ++i) Send({"PING"});
  EXPECT_EQ(Send({"SLOWLOG", "LEN"}), ":2\r\n");
}

TEST_F(CommandTimesTest, LatencyHistogramHasTheShapeOfRedis) {
  Send({"GET", "a"});  // 3 us.
  Send({"GET", "a"});
  clock_.set_step_ns(5'000'000'000);
  Send({"GET", "a"});
  clock_.set_step_ns(3000);
  EXPECT_EQ(Send({"LATENCY", "HISTOGRAM", "GET", "get", "nosuch"}),
            "*2\r\n$3\r\nget\r\n*4\r\n$5\r\ncalls\r\n:3\r\n"
            "$14\r\nhistogram_usec\r\n*4\r\n:4\r\n:2\r\n:1073741\r\n:3\r\n");
  session_.protocol = 3;
  EXPECT_EQ(Send({"LATENCY", "HISTOGRAM", "get"}),
            "%1\r\n$3\r\nget\r\n%2\r\n$5\r\ncalls\r\n:3\r\n"
            "$14\r\nhistogram_usec\r\n%2\r\n:4\r\n:2\r\n:1073741\r\n:3\r\n");
  EXPECT_EQ(Send({"LATENCY", "HISTOGRAM", "nosuch"}), "%0\r\n");
}

TEST_F(CommandTimesTest, StatisticsNameSubcommandsAndWhoWasWrong) {
  Send({"GET", "a"});
  Send({"GET"});
  Send({"INCRBY", "a", "x"});
  Send({"CONFIG", "GET", "save"});
  Send({"CONFIG", "GET"});
  Send({"CONFIG", "NOSUCH"});
  Send({"NOSUCH"});
  const std::string info = Send({"INFO", "everything"});
  const auto has = [&](const std::string& line) {
    EXPECT_NE(info.find("\r\n" + line + "\r\n"), std::string::npos)
        << line << " in " << info;
  };
  has("cmdstat_get:calls=1,usec=3,usec_per_call=3.00,"
      "rejected_calls=1,failed_calls=0");
  has("cmdstat_config|get:calls=1,usec=3,usec_per_call=3.00,"
      "rejected_calls=1,failed_calls=0");
  has("cmdstat_incrby:calls=1,usec=3,usec_per_call=3.00,"
      "rejected_calls=0,failed_calls=1");
  has("latency_percentiles_usec_get:p50=3.000,p99=3.000,p99.9=3.000");
  has("errorstat_ERR:count=5");
  has("kvd_read_commands:1");
  has("kvd_write_commands:1");
  EXPECT_EQ(info.find("cmdstat_config:"), std::string::npos);
}

TEST_F(CommandTimesTest, ResetStatForgetsAllButTheSlowLog) {
  config_.slowlog.threshold_us = 0;
  Restart();
  Send({"SET", "a", "1"});
  Send({"NOSUCH"});
  EXPECT_GT(store_->log_figures().flush_ns.count(), 0u);
  Send({"CONFIG", "RESETSTAT"});
  EXPECT_EQ(Send({"LATENCY", "HISTOGRAM", "set"}), "*0\r\n");
  EXPECT_EQ(store_->log_figures().flush_ns.count(), 0u);
  const std::string info =
      Send({"INFO", "commandstats", "errorstats", "latencystats"});
  EXPECT_EQ(info.find("_set:"), std::string::npos) << info;
  EXPECT_EQ(info.find("errorstat_"), std::string::npos) << info;
  EXPECT_NE(Send({"SLOWLOG", "LEN"}), ":0\r\n");
}

TEST_F(CommandTimesTest, ThereAreNoEvents) {
  EXPECT_EQ(Send({"LATENCY", "LATEST"}), "*0\r\n");
  EXPECT_EQ(Send({"LATENCY", "HISTORY", "command"}), "*0\r\n");
  EXPECT_EQ(Send({"LATENCY", "RESET"}), ":0\r\n");
  EXPECT_EQ(Send({"LATENCY", "GRAPH", "command"}),
            "-ERR No samples available for event 'command'\r\n");
}

TEST_F(CommandTimesTest, TheDoctorNamesTheSlowestCommand) {
  Send({"SET", "a", "1"});
  clock_.set_step_ns(70'000'000);
  Send({"KEYS", "*"});
  const std::string text = Send({"LATENCY", "DOCTOR"});
  EXPECT_NE(text.find("flushes"), std::string::npos) << text;
  EXPECT_NE(text.find("70.00 ms, by keys"), std::string::npos) << text;
}

TEST_F(CommandTimesTest, KvLatencyHasBothTimesAndTheBuckets) {
  Send({"GET", "a"});
  EXPECT_EQ(Send({"KV.LATENCY", "COMMANDS", "get"}),
            "*2\r\n$3\r\nget\r\n*6\r\n$5\r\ncalls\r\n:1\r\n"
            "$3\r\nrun\r\n*14\r\n$5\r\ncount\r\n:1\r\n$6\r\nsum_ns\r\n:3000\r\n"
            "$6\r\np50_ns\r\n:3000\r\n$6\r\np99_ns\r\n:3000\r\n"
            "$7\r\np999_ns\r\n:3000\r\n$6\r\nmax_ns\r\n:3000\r\n"
            "$7\r\nbuckets\r\n*2\r\n:3007\r\n:1\r\n"
            "$5\r\nreply\r\n*14\r\n$5\r\ncount\r\n:0\r\n$6\r\nsum_ns\r\n:0\r\n"
            "$6\r\np50_ns\r\n:0\r\n$6\r\np99_ns\r\n:0\r\n"
            "$7\r\np999_ns\r\n:0\r\n$6\r\nmax_ns\r\n:0\r\n"
            "$7\r\nbuckets\r\n*0\r\n");
  const std::string log = Send({"KV.LATENCY", "LOG"});
  EXPECT_NE(log.find("$5\r\nflush\r\n*14\r\n"), std::string::npos) << log;
  EXPECT_NE(log.find("$4\r\nwait\r\n*14\r\n"), std::string::npos) << log;
}

}  // namespace
}  // namespace kvd
