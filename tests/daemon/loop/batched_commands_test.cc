// SPDX-License-Identifier: MIT
#include "daemon/loop/batched_commands.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "daemon/state/session.h"

namespace kvd {
namespace {

constexpr std::string_view kWords[] = {"PING"};

BatchedCommands::Command Answered(std::string_view reply) {
  return {.words = KeptWords(kWords), .reply = std::string(reply)};
}

TEST(BatchedCommands, SilentOnesAreGivenUpSilently) {
  for (const bool last_is_silent : {false, true}) {
    Session session;
    BatchedCommands commands;
    commands.Add(Answered("+PONG\r\n"));
    commands.Add(Answered(""));
    commands.Add(Answered("+PONG\r\n"));
    commands.RunThen(kWords, last_is_silent);
    commands.RunAgain(&session);
    EXPECT_EQ(commands.GiveUp(), last_is_silent ? 2u : 3u);
    EXPECT_FALSE(commands.has_more());
  }
}

}  // namespace
}  // namespace kvd
