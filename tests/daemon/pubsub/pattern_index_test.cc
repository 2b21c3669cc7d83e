// SPDX-License-Identifier: MIT
#include "daemon/pubsub/pattern_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings/glob.h"
#include "daemon/pubsub/pubsub.h"

namespace kvd {
namespace {

using Where = PatternKey::Where;

TEST(PatternKey, IsThePartThatSaysMost) {
  const std::string long_text(100, 'x');
  const struct {
    std::string pattern;
    Where where;
    std::string_view bytes;
  } kCases[] = {
      {"*", Where::kNone, ""},
      {"", Where::kNone, ""},
      {"?", Where::kNone, ""},
      {"[ab]*", Where::kNone, ""},
      {"news", Where::kBegin, "news"},
      {"news.*", Where::kBegin, "news."},
      {"a*b", Where::kBegin, "a"},
      {"a*bc", Where::kEnd, "bc"},
      {"*.events", Where::kEnd, ".events"},
      {"a*mid?b", Where::kAnywhere, "mid"},
      {"*:user:*", Where::kAnywhere, ":user:"},
      {"__key*__:*", Where::kBegin, "__key"},
      // What is behind these may belong to them.
      {"*[ab", Where::kNone, ""},
      {"x*[ab]cde", Where::kBegin, "x"},
      {"*\\*abc", Where::kNone, ""},
      {"ab\\*cde", Where::kBegin, "ab"},
      {long_text + "*", Where::kBegin, std::string_view(long_text).substr(36)},
      {"*" + long_text, Where::kEnd, std::string_view(long_text).substr(36)},
      {"*" + long_text + "*", Where::kAnywhere,
       std::string_view(long_text).substr(84)},
  };
  for (const auto& [pattern, where, bytes] : kCases) {
    const PatternKey key = PatternKeyOf(pattern);
    EXPECT_EQ(key.where, where) << pattern;
    EXPECT_EQ(key.bytes, bytes) << pattern;
  }
}

std::string RandomText(std::mt19937& random, std::string_view letters,
                       size_t most) {
  std::string text(random() % (most + 1), '\0');
  for (char& c : text) c = letters[random() % letters.size()];
  return text;
}

TEST(PatternMatches, AgreesWithGlob) {
  std::mt19937 random(11);
  for (int i = 0; i < 100'000; ++i) {
    const std::string pattern = RandomText(random, "aab**?[]\\", 8);
    const std::string name = RandomText(random, "aab*[", 8);
    size_t work = 0;
    ASSERT_EQ(PatternMatches(pattern, name, &work),
              Glob::Compile(pattern)->Matches(name))
        << pattern << " " << name;
    ASSERT_GT(work, 0u);
  }
}

// Beside a comparison with every pattern, while patterns come and go.
TEST(PatternIndex, MissesNoPatternThatMatches) {
  std::mt19937 random(13);
  PatternIndex index;
  std::vector<std::unique_ptr<Topic>> topics;
  std::set<std::string> names;
  for (int i = 0; i < 20'000; ++i) {
    if (topics.size() < 200 || random() % 2 == 0) {
      std::string name = RandomText(random, "aabc**?[]", 12);
      if (names.insert(name).second) {
        topics.push_back(
            std::make_unique<Topic>(TopicKind::kPattern, std::move(name)));
        index.Add(topics.back().get());
      }
    } else {
      const size_t at = random() % topics.size();
      std::swap(topics[at], topics.back());
      index.Remove(topics.back().get());
      names.erase(topics.back()->name);
      topics.pop_back();
    }
    if (i % 20 != 0) continue;
    const std::string text = RandomText(random, "aabc", 20);
    std::vector<Topic*> found;
    size_t work = 0;
    ASSERT_TRUE(index.FindCandidates(text, SIZE_MAX, &found, &work));
    std::ranges::sort(found);
    ASSERT_EQ(std::ranges::adjacent_find(found), found.end());
    for (const auto& topic : topics) {
      if (!Glob::Compile(topic->name)->Matches(text)) continue;
      ASSERT_TRUE(std::ranges::binary_search(found, topic.get()))
          << topic->name << " " << text;
    }
  }
}

TEST(PatternIndex, FindsFewOfMany) {
  PatternIndex index;
  std::vector<std::unique_ptr<Topic>> topics;
  const auto add = [&](std::string pattern) {
    topics.push_back(
        std::make_unique<Topic>(TopicKind::kPattern, std::move(pattern)));
    index.Add(topics.back().get());
  };
  for (int i = 10'000; i < 20'000; ++i) {
    const std::string number = std::to_string(i);
    add("user:" + number + ":*");
    add("*:of:" + number);
    add("*:in:" + number + ":*");
  }
  for (const std::string_view name :
       {"user:12345:seen", "x:of:12345", "x:in:12345:y"}) {
    std::vector<Topic*> found;
    size_t work = 0;
    ASSERT_TRUE(index.FindCandidates(name, SIZE_MAX, &found, &work));
    EXPECT_EQ(found.size(), 1u) << name;
    EXPECT_LT(work, 100u) << name;
  }
  std::vector<Topic*> found;
  size_t work = 0;
  ASSERT_TRUE(index.FindCandidates("other", SIZE_MAX, &found, &work));
  EXPECT_TRUE(found.empty());
}

TEST(PatternIndex, SaysWhenThereAreTooMany) {
  PatternIndex index;
  std::vector<std::unique_ptr<Topic>> topics;
  for (int i = 0; i < 10; ++i) {
    topics.push_back(
        std::make_unique<Topic>(TopicKind::kPattern, "a*" + std::to_string(i)));
    index.Add(topics.back().get());
  }
  std::vector<Topic*> found;
  size_t work = 0;
  EXPECT_FALSE(index.FindCandidates("abc", 9, &found, &work));
  EXPECT_TRUE(index.FindCandidates("abc", 10, &found, &work));
}

}  // namespace
}  // namespace kvd
