// SPDX-License-Identifier: MIT
#include "tests/daemon/transactions/together_rig.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace kvd {

TogetherRig::TogetherRig(const StoreOptions& options, SimFileSystem* disk)
    : CommandRig(options, disk) {
  // No script is too slow, however slow the machine is.
  service_->cpu_ns = [] { return 0; };
}

TogetherRig::Words TogetherRig::Together(Way way,
                                         const std::vector<Words>& commands) {
  if (way == Way::kExec) {
    EXPECT_EQ(Send("MULTI"), "+OK\r\n");
    for (const Words& words : commands) {
      EXPECT_EQ(Send(words), "+QUEUED\r\n") << words[0];
    }
    return {"EXEC"};
  }
  Words words = {"EVAL", "local last\n", "0"};
  for (const Words& command : commands) {
    std::string list;
    for (const std::string& word : command) {
      words.push_back(word);
      list +=
          fmt::format("{}ARGV[{}]", list.empty() ? "" : ", ", words.size() - 3);
    }
    words[1] += fmt::format("last = redis.pcall({})\n", list);
  }
  words[1] += "return last";
  return words;
}

}  // namespace kvd
