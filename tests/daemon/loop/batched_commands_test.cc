// SPDX-License-Identifier: MIT
#include "daemon/loop/batched_commands.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "daemon/state/session.h"

namespace kvd {
namespace {

BatchedCommands::Command Answered(std::string_view reply) {
  BatchedCommands::Command command;
  command.words = {"PING"};
  command.reply = reply;
  return command;
}

TEST(BatchedCommands, SilentOnesAreGivenUpSilently) {
  const std::vector<std::string_view> words = {"PING"};
  for (const bool last_is_silent : {false, true}) {
    Session session;
    BatchedCommands commands;
    commands.Add(Answered("+PONG\r\n"));
    commands.Add(Answered(""));
    commands.Add(Answered("+PONG\r\n"));
    commands.RunThen(words, last_is_silent);
    commands.RunAgain(&session);
    EXPECT_EQ(commands.GiveUp(), last_is_silent ? 2u : 3u);
    EXPECT_FALSE(commands.has_more());
  }
}

}  // namespace
}  // namespace kvd
