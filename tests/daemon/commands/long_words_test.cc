// SPDX-License-Identifier: MIT
//
// Every command of the table with a huge word in every place: nothing of it
// stays, and no error repeats it. New commands are in it by themselves.
#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/state/memory_figures.h"
#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

// Room for a quoted word or two, and a text about them.
constexpr size_t kErrorBytesMax = 512;
constexpr size_t kErrorCodesMax = 16;

using Words = std::vector<std::string_view>;

// The words in capitals of a command's syntax: its options.
std::vector<std::string_view> OptionsOf(std::string_view syntax) {
  std::vector<std::string_view> options;
  for (size_t i = 0; i < syntax.size();) {
    size_t end = i;
    while (end < syntax.size() &&
           (std::isupper(syntax[end]) != 0 || syntax[end] == '-')) {
      ++end;
    }
    if (end > i + 1) options.push_back(syntax.substr(i, end - i));
    i = end + 1;
  }
  return options;
}

class LongWordsTest : public testing::Test, protected CommandRig {
 protected:
  LongWordsTest() {
    config_.limits.value_bytes = 32 << 10;
    config_.slowlog.threshold_us = 0;
    Restart();
  }

  void Check(const Words& words) {
    SCOPED_TRACE(std::string(words[0].substr(0, 20)) + " " +
                 std::string(words.size() > 1 ? words[1].substr(0, 20) : ""));
    session_.reply_mode = Session::ReplyMode::kOn;
    std::string reply;
    Execute(*service_, session_, words, /*queue_writers=*/false, &cold_,
            &reply);
    MakeDurable();
    // What was queued is there for EXEC.
    session_.EndTransaction();
    if (reply.starts_with('-')) {
      ++errors_;
      EXPECT_LE(reply.size(), kErrorBytesMax) << reply.substr(0, 100);
    }
    EXPECT_LE(session_.memory_bytes(), 4 * kClientNameBytesMax);
    for (const SlowLog::Entry& entry : service_->slow_log.entries()) {
      ASSERT_LE(entry.memory_bytes(), SlowLog::kEntryBytesMax);
    }
    EXPECT_LE(service_->errors.size(), kErrorCodesMax);
  }

  // The words of a row with `extra` more than it needs, and the long one
  // everywhere.
  void CheckPlaces(Words words, const Command& row, size_t extra,
                   std::string_view filler) {
    const size_t first = words.size();
    const size_t size = static_cast<size_t>(row.words_min) + extra;
    words.resize(std::max(size, first), filler);
    for (size_t i = first; i < words.size(); ++i) {
      Words tried = words;
      tried[i] = long_;
      Check(tried);
      for (const std::string_view option : OptionsOf(row.syntax)) {
        if (i == first) continue;
        tried[i - 1] = option;
        Check(tried);
      }
    }
  }

  void CheckRow(const Words& name, const Command& row) {
    for (const std::string_view filler : {"2", "k"}) {
      for (const size_t extra : {0, 1, 2, 3}) {
        CheckPlaces(name, row, extra, filler);
      }
    }
  }

  const std::string long_ = std::string(1 << 20, 'x');
  size_t errors_ = 0;
};

TEST_F(LongWordsTest, LeaveNothingAndAreNotRepeated) {
  for (const Command& row : Commands()) {
    CheckRow({row.name}, row);
    Check({row.name, long_});
    for (const Command& subcommand : row.subcommands) {
      CheckRow({row.name, subcommand.name}, subcommand);
    }
  }
  Check({long_});
  Check({long_, long_, long_});
  EXPECT_GT(errors_, Commands().size());
  // What is kept is counted.
  const MemoryFigures figures = MemoryFiguresOf(*service_);
  EXPECT_EQ(figures.slow_log, service_->slow_log.memory_bytes());
  EXPECT_GT(figures.slow_log, size_t{10} << 10);
  EXPECT_LE(figures.slow_log, static_cast<uint64_t>(config_.slowlog.length) *
                                  SlowLog::kEntryBytesMax);
}

TEST_F(LongWordsTest, NamesHaveABound) {
  const std::string longest(kClientNameBytesMax, 'n');
  const std::string longer = longest + "n";
  const std::vector<std::string> setters[] = {{"CLIENT", "SETNAME"},
                                              {"CLIENT", "SETINFO", "LIB-NAME"},
                                              {"CLIENT", "SETINFO", "lib-ver"},
                                              {"HELLO", "2", "SETNAME"}};
  for (std::vector<std::string> words : setters) {
    words.push_back(longest);
    const std::string taken = Send(words);
    EXPECT_FALSE(taken.starts_with('-')) << taken;
    words.back() = longer;
    const std::string refused = Send(words);
    EXPECT_NE(refused.find("cannot be longer than 64 bytes"), std::string::npos)
        << refused;
  }
  EXPECT_EQ(session_.name, longest);
  EXPECT_EQ(session_.library_name, longest);
  EXPECT_EQ(session_.library_version, longest);
  EXPECT_GE(MemoryFiguresOf(*service_).connections, 3 * kClientNameBytesMax);
}

}  // namespace
}  // namespace kvd
