// SPDX-License-Identifier: MIT
#include "tests/daemon/commands/command_page.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "daemon/commands/table.h"

namespace kvd {
namespace {

constexpr char kPath[] = KVD_SOURCE_DIR "/daemon/commands/COMMANDS.md";

TEST(CommandPage, SaysWhatTheTableSays) {
  const std::string page = CommandPage();
  if (std::getenv("KVD_UPDATE_PAGES") != nullptr) {
    std::ofstream(kPath, std::ios::binary) << page;
  }
  std::ifstream file(kPath, std::ios::binary);
  const std::string kept{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(page == kept)
      << "daemon/commands/COMMANDS.md is not what the table of commands says; "
         "run: KVD_UPDATE_PAGES=1 daemon_test --gtest_filter='CommandPage.*'";
}

TEST(CommandPage, WhatDiffersIsASentence) {
  for (const CommandRow& row : CommandRows()) {
    const std::string_view differs = row.command->differs;
    EXPECT_TRUE(differs.empty() || differs.ends_with('.')) << row.command->name;
  }
}

}  // namespace
}  // namespace kvd
