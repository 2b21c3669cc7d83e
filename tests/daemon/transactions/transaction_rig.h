// SPDX-License-Identifier: MIT
//
// What tests of MULTI and EXEC inherit.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tests/daemon/command_rig.h"

namespace kvd {

inline constexpr std::string_view kQueued = "+QUEUED\r\n";
inline constexpr std::string_view kPreviousErrors =
    "-EXECABORT Transaction discarded because of previous errors.\r\n";

class TransactionTest : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.

  explicit TransactionTest(const StoreOptions& options = SmallStore())
      : CommandRig(options) {
    other_.id = 2;
    service_->sessions.push_back(&other_);
  }

  // A second client's command.
  std::string SendOther(const std::string& line) {
    std::vector<std::string_view> args;
    for (size_t start = 0; start < line.size();) {
      const size_t end = std::min(line.find(' ', start), line.size());
      args.push_back(std::string_view(line).substr(start, end - start));
      start = end + 1;
    }
    std::string reply;
    const Executed executed = Execute(
        *service_, other_, args, /*queue_writers=*/false, &other_cold_, &reply);
    EXPECT_EQ(executed.waits_for, WaitsFor::kNothing);
    MakeDurable();
    return reply;
  }

  // MULTI, these lines and EXEC, whose reply it returns.
  std::string Exec(const std::vector<std::string>& lines) {
    EXPECT_EQ(Send("MULTI"), "+OK\r\n");
    for (const std::string& line : lines) EXPECT_EQ(Send(line), kQueued);
    return Send("EXEC");
  }

  Session other_;
  ColdValues other_cold_;
};

}  // namespace kvd
