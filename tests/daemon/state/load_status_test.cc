// SPDX-License-Identifier: MIT
//
// What commands answer while there is no store, and how one comes to be opened
// beside the loop.
#include "daemon/state/load_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "daemon/loop/event_loop.h"
#include "daemon/store_opener.h"
#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST(LoadStatus, TellsHowFarItIs) {
  LoadStatus loading{.started_ms = 5000};
  EXPECT_EQ(loading.PercentDone(), 0);
  EXPECT_EQ(loading.SecondsLeft(6000), std::nullopt);
  EXPECT_EQ(loading.Text(6000), "0% done");

  loading.progress = {.bytes_done = 0, .bytes_all = 1000};
  EXPECT_EQ(loading.SecondsLeft(6000), std::nullopt);

  loading.progress.bytes_done = 250;
  EXPECT_EQ(loading.PercentDone(), 25);
  EXPECT_EQ(loading.SecondsLeft(7000), 6);
  EXPECT_EQ(loading.SecondsLeft(7001), 7);
  EXPECT_EQ(loading.Text(7000), "25% done, about 6 s left");

  loading.progress.bytes_done = 999;
  EXPECT_EQ(loading.Text(7000), "99% done, about 1 s left");
  loading.progress.bytes_done = 1000;
  EXPECT_EQ(loading.Text(7000), "100% done, about 0 s left");
  loading.progress.words = "waits for somebody";
  EXPECT_EQ(loading.Text(7000), "waits for somebody");
}

class WhileLoading : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.

  WhileLoading() : CommandRig(/*options=*/std::nullopt) {
    service_->stop = [this] { stopped_ = true; };
    service_->loading = {.started_ms = 0, .started_wall_ms = clock_.WallMs()};
    clock_.AdvanceMs(2000);
    service_->loading.progress = {.bytes_done = 250, .bytes_all = 1000};
  }

  // None waits for anything.
  std::string Send(const std::vector<std::string>& words) {
    std::string reply;
    const Executed executed = Run(words, &reply);
    EXPECT_EQ(executed.waits_for, WaitsFor::kNothing);
    EXPECT_EQ(executed.seen, 0u);
    return reply;
  }

  const CommandStats& StatsOf(std::string_view name) {
    const Command& command = *FindCommand(name);
    return service_->command_stats.Of(RowOf(command, command).number);
  }

  bool stopped_ = false;
};

TEST_F(WhileLoading, CommandsOnDataAreToldHowLongItTakes) {
  EXPECT_EQ(Send({"GET", "a"}),
            "-LOADING kvd is loading the data; 25% done, about 6 s left\r\n");
  EXPECT_EQ(StatsOf("GET").rejected, 1u);
  EXPECT_EQ(StatsOf("GET").calls, 0u);
  EXPECT_EQ(service_->stats.error_replies, 1u);
  // What is no command at all is still told so.
  EXPECT_THAT(Send({"NOSUCH"}), StartsWith("-ERR unknown command"));
  EXPECT_THAT(Send({"GET"}), StartsWith("-ERR wrong number of arguments"));
}

// Each row, with as few words as it takes: those without the flag are refused,
// those with it run and find no store under their feet.
TEST_F(WhileLoading, EachCommandRunsOrIsRefusedAsItsRowSays) {
  int ran = 0;
  const auto check = [&](const Command& command,
                         std::vector<std::string> words) {
    words.resize(static_cast<size_t>(command.words_min), "1");
    const std::string reply = Send(words);
    if ((command.flags & kLoading) == 0) {
      EXPECT_THAT(reply, StartsWith("-LOADING ")) << words[0];
    } else {
      EXPECT_THAT(reply, Not(StartsWith("-LOADING "))) << words[0];
      ++ran;
    }
    session_ = Session();
  };
  for (const Command& command : Commands()) {
    const std::string name(command.name);
    if (command.handler != nullptr) check(command, {name});
    for (const Command& subcommand : command.subcommands) {
      check(subcommand, {name, std::string(subcommand.name)});
    }
  }
  EXPECT_GT(ran, 30);
  EXPECT_TRUE(stopped_);  // SHUTDOWN was among them.
}

TEST_F(WhileLoading, ThePromisedCommandsWork) {
  for (const char* name :
       {"HELLO", "AUTH", "PING", "CLIENT", "QUIT", "RESET", "COMMAND",
        "SHUTDOWN", "KV.STATUS", "INFO", "SELECT", "ECHO", "CONFIG"}) {
    EXPECT_NE(FindCommand(name)->flags & kLoading, 0) << name;
  }
  EXPECT_EQ(Send({"PING"}), "+PONG\r\n");
}

TEST_F(WhileLoading, InfoShowsTheProgressInTheWordsOfRedis) {
  const std::string info = Send({"INFO", "everything"});
  for (const char* line :
       {"loading:1", "loading_start_time:1700000000",
        "loading_total_bytes:1000", "loading_loaded_bytes:250",
        "loading_loaded_perc:25.00", "loading_eta_seconds:6"}) {
    EXPECT_THAT(info, HasSubstr("\r\n" + std::string(line) + "\r\n"));
  }
  service_->loading.progress = {};
  EXPECT_THAT(Send({"INFO"}), HasSubstr("loading_eta_seconds:1\r\n"));
}

TEST_F(WhileLoading, StatusShowsTheProgressAndNothingThatIsUnknown) {
  const std::string status = Send({"KV.STATUS"});
  EXPECT_THAT(status, StartsWith("*30\r\n"));
  EXPECT_THAT(status, HasSubstr("state\r\n$7\r\nloading\r\n"));
  EXPECT_THAT(status, HasSubstr("\r\n25% done, about 6 s left\r\n"));
  EXPECT_THAT(status, HasSubstr("loaded_bytes\r\n:250\r\n"));
  EXPECT_THAT(status, HasSubstr("loading_bytes\r\n:1000\r\n"));
  EXPECT_THAT(status, Not(HasSubstr("keys")));
}

TEST(StoreOpener, TellsTheLoopWhatHappensInOrder) {
  EventLoop loop;
  std::vector<uint64_t> told;
  StoreOpener loader(
      loop,
      [](const StoreOptions::OnProgress& on_progress) {
        for (uint64_t done = 0; done <= 3; ++done) {
          EXPECT_TRUE(on_progress({.bytes_done = done, .bytes_all = 3}));
        }
        return Fail(ErrorCode::kCorruption, "the end");
      },
      [&](const LoadProgress& progress) {
        told.push_back(progress.bytes_done);
      },
      [&] { loop.Stop(); });
  EXPECT_THAT(told, IsEmpty());  // Only the loop tells.
  loop.Run();
  EXPECT_THAT(told, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(loader.TakeStore().error().message(), "the end");
}

TEST(StoreOpener, GivesUpWhenNobodyWantsTheStoreAnyMore) {
  EventLoop loop;
  bool given_up = false;
  {
    // An opening that takes its time, of a sign of progress each millisecond.
    StoreOpener loader(
        loop,
        [&](const StoreOptions::OnProgress& on_progress) {
          for (int i = 0; i < 60'000 && !given_up; ++i) {
            given_up = !on_progress({});
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
          }
          return Fail(ErrorCode::kCancelled, "as asked");
        },
        [&](const LoadProgress&) { loop.Stop(); }, [] {});
    loop.Run();
  }
  EXPECT_TRUE(given_up);
}

}  // namespace
}  // namespace kvd
