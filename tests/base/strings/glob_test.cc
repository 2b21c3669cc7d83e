// SPDX-License-Identifier: MIT
#include "base/strings/glob.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tests/support/glob_reference.h"

namespace kvd {
namespace {

bool GlobMatches(std::string_view pattern, std::string_view text,
                 bool ignore_case = false) {
  const std::optional<Glob> glob = Glob::Compile(pattern, ignore_case);
  KVD_CHECK(glob.has_value());
  return glob->Matches(text);
}

struct Case {
  const char* pattern;
  const char* text;
  bool matches;
};

class GlobTest : public testing::TestWithParam<Case> {};

TEST_P(GlobTest, MatchesAsRedisDoes) {
  EXPECT_EQ(GlobMatches(GetParam().pattern, GetParam().text),
            GetParam().matches);
}

INSTANTIATE_TEST_SUITE_P(
    Table, GlobTest,
    testing::Values(
        Case{"", "", true}, Case{"", "a", false}, Case{"*", "", true},
        Case{"*", "anything", true}, Case{"a", "a", true},
        Case{"a", "b", false}, Case{"a", "ab", false}, Case{"?", "", false},
        Case{"?", "a", true}, Case{"h?llo", "hello", true},
        Case{"h*llo", "hllo", true}, Case{"h*llo", "heeeello", true},
        Case{"h*l*o", "hello, hello", true},
        Case{"h*l*o", "hello world", false}, Case{"h*l*p", "hello", false},
        Case{"h[ae]llo", "hallo", true}, Case{"h[ae]llo", "hillo", false},
        Case{"h[^e]llo", "hallo", true}, Case{"h[^e]llo", "hello", false},
        Case{"h[a-c]llo", "hbllo", true}, Case{"h[c-a]llo", "hbllo", true},
        Case{"h[a-c]llo", "hdllo", false}, Case{"\\*", "*", true},
        Case{"\\*", "a", false}, Case{"a\\", "a\\", true},
        Case{"[\\]]", "]", true}, Case{"[abc", "a", true},
        Case{"[", "[", false}, Case{"*a*b*c", "xxaxxbxxc", true},
        Case{"*a*b*c", "xxaxxcxxb", false}, Case{"**", "a", true},
        Case{"a**", "a", true}, Case{"[a-]", "-", false},
        Case{"[a-]", "_", true}));

TEST(Glob, IgnoresCaseOnlyWhenAsked) {
  EXPECT_FALSE(GlobMatches("MAX*", "maxmemory"));
  EXPECT_TRUE(GlobMatches("MAX*", "maxmemory", /*ignore_case=*/true));
  EXPECT_TRUE(GlobMatches("[A-C]x", "bX", /*ignore_case=*/true));
}

// A matcher that recurses at each star would need 2^50 steps here and more.
TEST(Glob, ManyStarsDoNotExplode) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "a*";
  EXPECT_FALSE(GlobMatches(pattern + "b", std::string(10'000, 'a')));
}

// The obvious definition, to compare with.
bool Naive(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    return Naive(pattern.substr(1), text) ||
           (!text.empty() && Naive(pattern, text.substr(1)));
  }
  return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
         Naive(pattern.substr(1), text.substr(1));
}

std::vector<std::string> AllWords(std::string_view alphabet, size_t size_max) {
  std::vector<std::string> words = {""};
  for (size_t start = 0, size = 0; size < size_max; ++size) {
    const size_t end = words.size();
    for (; start < end; ++start) {
      for (const char c : alphabet) words.push_back(words[start] + c);
    }
  }
  return words;
}

TEST(Glob, AgreesWithItsDefinitionOnAllShortWords) {
  const auto texts = AllWords("ab", 5);
  for (const std::string& pattern : AllWords("ab*?", 5)) {
    for (const std::string& text : texts) {
      ASSERT_EQ(GlobMatches(pattern, text), Naive(pattern, text))
          << pattern << " on " << text;
    }
  }
}

// Source of randomness that is the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  size_t Below(size_t end) { return engine_() % end; }

 private:
  std::mt19937_64 engine_;
};

std::string RandomWord(Random& random, std::string_view alphabet,
                       size_t size_max) {
  std::string word;
  for (size_t size = random.Below(size_max + 1); word.size() < size;) {
    word.push_back(alphabet[random.Below(alphabet.size())]);
  }
  return word;
}

TEST(Glob, AgreesWithTheReferenceOnRandomWords) {
  constexpr uint64_t kSeed = 29;
  Random random(kSeed);
  for (int i = 0; i < 100'000; ++i) {
    const std::string pattern = RandomWord(random, "abAB**?[]^-\\\xff", 12);
    const std::string text = RandomWord(random, "aabbAB[]-\\\xff", 12);
    const bool ignore_case = random.Below(2) == 0;
    ASSERT_EQ(GlobMatches(pattern, text, ignore_case),
              GlobReference(pattern, ignore_case).Matches(text))
        << pattern << " on " << text << (ignore_case ? " in any case" : "");
  }
}

// Parts with more elements than a word has bits, at every place.
TEST(Glob, AgreesWithTheReferenceOnLongParts) {
  constexpr uint64_t kSeed = 30;
  Random random(kSeed);
  for (int i = 0; i < 300; ++i) {
    const size_t part_size = 1 + random.Below(200);
    std::string part;
    for (size_t j = 0; j < part_size; ++j) {
      part += std::array{"a", "a", "a", "?", "[ab]", "[^b]"}[random.Below(6)];
    }
    std::string text = std::string(random.Below(100), 'a') + "b" +
                       std::string(random.Below(250), 'a');
    const std::string pattern = "*" + part + "*a";
    ASSERT_EQ(GlobMatches(pattern, text),
              GlobReference(pattern, false).Matches(text))
        << pattern << " on " << text;
  }
}

// The largest text that is compared, and the patterns that are worst for it.
TEST(Glob, NoPatternCostsMoreThanItsBound) {
  const std::string text(64 << 10, 'a');
  const size_t size = Glob::kPatternBytesMax;
  const auto repeated = [&](std::string_view piece) {
    std::string pattern = "*";
    while (pattern.size() + piece.size() + 2 <= size) pattern += piece;
    return pattern + "b*";
  };
  struct Cost {
    std::string pattern;
    uint64_t steps_per_byte_max;
  };
  const Cost costs[] = {
      {repeated("a"), 1},
      {repeated("a*"), 1},
      {repeated("?"), Glob::kStepsPerByteMax},
      {repeated("[a]"), Glob::kStepsPerByteMax},
      {repeated("[^b]"), Glob::kStepsPerByteMax},
      {repeated("a?*"), Glob::kStepsPerByteMax},
      {repeated("aaaa?*"), Glob::kStepsPerByteMax},
      {repeated("aaaaaaaaa?*"), Glob::kStepsPerByteMax},
      {repeated("\\a"), 1},
      {"*" + std::string(size - 3, 'a') + "b*", 1},
      {"*?" + std::string(size - 4, 'a') + "b*", Glob::kStepsPerByteMax},
      {std::string(size - 1, 'a') + "b", 1},
  };
  for (const Cost& cost : costs) {
    const std::optional<Glob> glob = Glob::Compile(cost.pattern);
    ASSERT_TRUE(glob) << cost.pattern.substr(0, 20);
    EXPECT_FALSE(glob->Matches(text)) << cost.pattern.substr(0, 20);
    EXPECT_LE(glob->steps(), cost.steps_per_byte_max * text.size() + size)
        << cost.pattern.substr(0, 20);
  }
}

TEST(Glob, RefusesPatternsThatAreTooLong) {
  EXPECT_TRUE(Glob::Compile(std::string(Glob::kPatternBytesMax, '*')));
  EXPECT_FALSE(Glob::Compile(std::string(Glob::kPatternBytesMax + 1, '*')));
}

}  // namespace
}  // namespace kvd
