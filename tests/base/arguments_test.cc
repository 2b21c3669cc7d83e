// SPDX-License-Identifier: MIT
#include "base/arguments.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kvd {
namespace {

constexpr OptionName kKnown[] = {
    {"--json", false}, {"--ttl", true}, {"-n", true}, {"-h", false}};

// What the arguments are told apart into: "word", "--ttl=30m", or "error".
std::vector<std::string> Scan(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "program");
  ArgumentScanner scanner(static_cast<int>(arguments.size()), arguments.data());
  std::vector<std::string> found;
  while (!scanner.at_end()) {
    const Result<Argument> argument = scanner.Next(kKnown);
    if (!argument) {
      found.emplace_back("error");
      break;
    }
    std::string text(argument->text);
    if (!argument->is_word()) {
      const OptionName& option = kKnown[argument->option];
      text = std::string(option.name) + (option.takes_value ? "=" + text : "");
    }
    found.push_back(text);
  }
  return found;
}

using Texts = std::vector<std::string>;

TEST(Arguments, OptionsTakeValuesJoinedOrSeparate) {
  EXPECT_EQ(Scan({"--json", "a", "--ttl", "5", "--ttl=6", "-n", "7", "-n8"}),
            (Texts{"--json", "a", "--ttl=5", "--ttl=6", "-n=7", "-n=8"}));
  EXPECT_EQ(Scan({"--ttl", "--json"}), (Texts{"--ttl=--json"}));
  EXPECT_EQ(Scan({"--ttl=a=b"}), (Texts{"--ttl=a=b"}));
}

TEST(Arguments, UnknownArgumentsAreWordsAsTheyAre) {
  const std::vector<const char*> words = {
      "",    "-",  "-1",    "-x",      "---", "--jso", "--jsonx", "--ttl2",
      "-hh", "++", "[a,b]", "{a}",     "%s",  "a=b",   "=",       "\n",
      "\"",  "'",  "--=",   "--ttl2=", "-=",  "$(x)",  "\xff",    "#"};
  const std::vector<std::string> expected(words.begin(), words.end());
  EXPECT_EQ(Scan(words), expected);
}

TEST(Arguments, NothingIsAnOptionAfterTwoDashes) {
  EXPECT_EQ(Scan({"--json", "--", "--json", "--ttl", "--", "-n"}),
            (Texts{"--json", "--json", "--ttl", "--", "-n"}));
}

TEST(Arguments, AWordThatWouldBeLostIsAnError) {
  EXPECT_EQ(Scan({"a", "--"}), (Texts{"a", "error"}));
  EXPECT_EQ(Scan({"--ttl"}), (Texts{"error"}));
  EXPECT_EQ(Scan({"--ttl", ""}), (Texts{"error"}));
  EXPECT_EQ(Scan({"--ttl="}), (Texts{"error"}));
  EXPECT_EQ(Scan({"--json=1"}), (Texts{"error"}));
}

}  // namespace
}  // namespace kvd
