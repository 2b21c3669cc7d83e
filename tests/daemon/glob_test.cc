// SPDX-License-Identifier: MIT
#include "daemon/glob.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kvd {
namespace {

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

}  // namespace
}  // namespace kvd
