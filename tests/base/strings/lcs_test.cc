// SPDX-License-Identifier: MIT
#include "base/strings/lcs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace kvd {
namespace {

struct Piece {
  size_t in_a;
  size_t in_b;
  size_t size;
  bool operator==(const Piece&) const = default;
};

std::vector<Piece> RunsOf(std::string_view a, std::string_view b) {
  std::vector<Piece> runs;
  for (const CommonRun& run : LcsRuns(a, b)) {
    runs.push_back({run.in_a, run.in_b, run.size});
  }
  return runs;
}

// The textbook's table, and the way back through it that Redis takes.
class Reference {
 public:
  Reference(std::string_view a, std::string_view b)
      : a_(a), b_(b), sizes_(a.size() + 1, std::vector<int>(b.size() + 1)) {
    for (size_t i = 1; i <= a.size(); ++i) {
      for (size_t j = 1; j <= b.size(); ++j) {
        sizes_[i][j] = a[i - 1] == b[j - 1]
                           ? sizes_[i - 1][j - 1] + 1
                           : std::max(sizes_[i - 1][j], sizes_[i][j - 1]);
      }
    }
  }

  size_t Size() const { return static_cast<size_t>(sizes_.back().back()); }

  std::vector<Piece> Runs() const {
    std::vector<Piece> runs;
    size_t i = a_.size();
    size_t j = b_.size();
    bool in_run = false;
    while (i > 0 && j > 0) {
      const bool match = a_[i - 1] == b_[j - 1];
      if (match) {
        if (!in_run) runs.push_back({0, 0, 0});
        runs.back() = {--i, --j, runs.back().size + 1};
      } else if (sizes_[i - 1][j] > sizes_[i][j - 1]) {
        --i;
      } else {
        --j;
      }
      in_run = match;
    }
    return runs;
  }

 private:
  const std::string_view a_;
  const std::string_view b_;
  std::vector<std::vector<int>> sizes_;
};

TEST(Lcs, FindsTheRunsFromTheLastToTheFirst) {
  EXPECT_EQ(LcsSize("ohmytext", "mynewtext"), 6u);
  EXPECT_EQ(RunsOf("ohmytext", "mynewtext"),
            (std::vector<Piece>{{4, 5, 4}, {2, 0, 2}}));
}

TEST(Lcs, NothingHasNothingInCommon) {
  for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {"a", ""}, {"", "a"}, {"abc", "xyz"}}) {
    EXPECT_EQ(LcsSize(a, b), 0u);
    EXPECT_TRUE(LcsRuns(a, b).empty());
  }
}

// Sizes at both sides of a word's end, and few different bytes, so that there
// is much to choose from.
TEST(Lcs, IsThatOfTheTable) {
  std::mt19937 random(20261130);
  for (int round = 0; round < 400; ++round) {
    const auto text = [&] {
      std::string made(random() % 200, '\0');
      const unsigned letters = 1 + random() % 4;
      for (char& c : made) c = static_cast<char>('a' + random() % letters);
      return made;
    };
    const std::string a = text();
    const std::string b = text();
    SCOPED_TRACE(a + " " + b);
    const Reference reference(a, b);
    EXPECT_EQ(LcsSize(a, b), reference.Size());
    EXPECT_EQ(RunsOf(a, b), reference.Runs());
  }
}

TEST(Lcs, TakesAnyBytes) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(LcsSize(all, all), 256u);
  EXPECT_EQ(RunsOf(all, "x" + all), (std::vector<Piece>{{0, 1, 256}}));
}

TEST(Lcs, CostsAStepForEach64Pairs) {
  EXPECT_EQ(LcsSteps(0, 1000), 0u);
  EXPECT_EQ(LcsSteps(1, 1000), 1000u);
  EXPECT_EQ(LcsSteps(1000, 64), 1000u);
  EXPECT_EQ(LcsSteps(1000, 65), 2000u);
}

}  // namespace
}  // namespace kvd
