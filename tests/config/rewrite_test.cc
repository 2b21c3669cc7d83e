// SPDX-License-Identifier: MIT
#include "config/rewrite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "config/config.h"

namespace kvd {
namespace {

using ::testing::HasSubstr;

using Changes = std::vector<std::pair<std::string, std::string>>;

std::string Rewrite(std::string_view text, const Changes& changes) {
  const auto rewritten = RewriteConfig(text, "f", changes);
  return rewritten ? *rewritten : "error: " + rewritten.error().message();
}

TEST(RewriteConfig, ChangesTheValueAndNothingElse) {
  EXPECT_EQ(Rewrite("# Ours.\n"
                    "[slowlog]  # Times.\n"
                    "length=3   # Few.\n"
                    "\n"
                    "threshold =\t'1ms'\n"
                    "# End",
                    {{"slowlog.length", "7"}, {"slowlog.threshold", "2ms"}}),
            "# Ours.\n"
            "[slowlog]  # Times.\n"
            "length=7   # Few.\n"
            "\n"
            "threshold =\t\"2ms\"\n"
            "# End");
}

TEST(RewriteConfig, WithoutChangesNothingChanges) {
  const std::string text = "\n# a\n[limits]\r\nconnections = 7";
  EXPECT_EQ(Rewrite(text, {}), text);
}

TEST(RewriteConfig, FindsPlacesByCharactersAndNotByBytes) {
  EXPECT_EQ(Rewrite("data_dir = \"/grüße/€/𝄞\" # ü\n"
                    "slowlog = {length = 3} # ü\n",
                    {{"slowlog.length", "8"}, {"data_dir", "/ä"}}),
            "data_dir = \"/ä\" # ü\n"
            "slowlog = {length = 8} # ü\n");
}

TEST(RewriteConfig, AMissingSettingGoesToItsSection) {
  EXPECT_EQ(Rewrite("[slowlog]\n"
                    "length = 3\n"
                    "# Behind it.\n"
                    "[logging]\n",
                    {{"slowlog.threshold", "2ms"}, {"logging.level", "error"}}),
            "[slowlog]\n"
            "length = 3\n"
            "threshold = \"2ms\"\n"
            "# Behind it.\n"
            "[logging]\n"
            "level = \"error\"\n");
}

TEST(RewriteConfig, AMissingSectionGoesToTheEnd) {
  EXPECT_EQ(Rewrite("", {{"slowlog.length", "1"}}), "[slowlog]\nlength = 1\n");
  EXPECT_EQ(Rewrite("data_dir = \"/x\"", {{"slowlog.length", "1"}}),
            "data_dir = \"/x\"\n\n[slowlog]\nlength = 1\n");
  EXPECT_EQ(Rewrite("[slowlog]", {{"slowlog.length", "1"}}),
            "[slowlog]\nlength = 1\n");
}

TEST(RewriteConfig, KnowsTheOtherWaysToWriteASection) {
  EXPECT_EQ(Rewrite("slowlog.length = 3\n# c\n", {{"slowlog.threshold", "1s"}}),
            "slowlog.length = 3\nslowlog.threshold = \"1s\"\n# c\n");
  EXPECT_EQ(Rewrite("[\"slowlog\"]\n'length' = 3\n", {{"slowlog.length", "4"}}),
            "[\"slowlog\"]\n'length' = 4\n");
  EXPECT_EQ(Rewrite("[memory]\nlimit = \"\"\"\n1GiB\"\"\" # m\n",
                    {{"memory.limit", ""}}),
            "[memory]\nlimit = \"\" # m\n");
  // Nothing may follow what stands in braces.
  EXPECT_THAT(
      Rewrite("slowlog = {length = 3}\n", {{"slowlog.threshold", "1s"}}),
      HasSubstr("error: f: found no place for slowlog.threshold = "
                "\"1s\"; write it by hand"));
}

TEST(RewriteConfig, KeepsTheLineEndsOfTheFile) {
  EXPECT_EQ(Rewrite("[slowlog]\r\nlength = 3\r\n",
                    {{"slowlog.threshold", "1s"}, {"logging.level", "error"}}),
            "[slowlog]\r\nlength = 3\r\nthreshold = \"1s\"\r\n"
            "\r\n[logging]\r\nlevel = \"error\"\r\n");
}

TEST(RewriteConfig, WritesEveryKindOfValue) {
  const Changes changes = {{"compaction.min_dead_ratio", "0.05"},
                           {"debug.commands", "true"},
                           {"limits.connections", "12"},
                           {"memory.value_cache", "10%"},
                           {"slowlog.threshold", ""}};
  const std::string text = Rewrite("", changes);
  const auto config = ParseConfig(text, "f");
  ASSERT_TRUE(config) << text;
  for (const auto& [name, value] : changes) {
    EXPECT_EQ(GetSetting(*config, name), value);
  }
}

// Whatever is in a text, it is that text again and nothing beside it.
TEST(RewriteConfig, AwkwardTextsStayWhatTheyAre) {
  std::string controls;
  for (char c = 1; c < 0x20; ++c) controls += c;
  for (const std::string& value :
       {std::string("\""), std::string("\\"), std::string("a\nb = 1\n[x]"),
        std::string("\"\"\""), std::string("'"), std::string("# no comment"),
        std::string("\r\n"), std::string("\x7f"), std::string("\\u0041"),
        std::string("grüße € 𝄞"), controls, std::string(1000, '"'),
        std::string("\"\nlimits.connections = 1")}) {
    for (const std::string_view before :
         {"", "data_dir = \"/x\"\n[limits]\nconnections = 5\n",
          "[limits]\nconnections = 5"}) {
      const auto text = RewriteConfig(before, "f", {{"data_dir", value}});
      ASSERT_TRUE(text) << value << text.error().message();
      const auto config = ParseConfig(*text, "f");
      ASSERT_TRUE(config) << *text;
      EXPECT_EQ(config->data_dir, value);
      EXPECT_NE(config->limits.connections, 1);
    }
  }
  EXPECT_FALSE(RewriteConfig("", "f", {{"data_dir", "\xff"}}));
}

TEST(RewriteConfig, RefusesAFileWithFaults) {
  EXPECT_THAT(Rewrite("[limits]\nconnectoins = 5\n", {{"slowlog.length", "1"}}),
              HasSubstr("error: f:2:1: unknown key \"limits.connectoins\""));
  EXPECT_THAT(Rewrite("[limits", {}), HasSubstr("error: f:1:"));
}

TEST(RewriteConfig, RefusesWhatTheSettingsDoNotAllow) {
  EXPECT_THAT(Rewrite("", {{"slowlog.length", "-1"}}), HasSubstr("error: "));
  EXPECT_THAT(Rewrite("", {{"limits.output_bytes", "1MiB"}}),
              HasSubstr("error: f:2:1: limits.output_bytes (1MiB) must hold"));
  // Together they may, in whatever order they come.
  const Changes both = {{"limits.value_size", "300MiB"},
                        {"limits.input_bytes", "400MiB"},
                        {"limits.output_bytes", "400MiB"}};
  EXPECT_FALSE(Rewrite("", both).starts_with("error"));
}

TEST(RewriteConfig, ChangesEverySettingOfTheShippedFileInPlace) {
  std::ifstream stream(KVD_SHIPPED_CONFIG);
  const std::string shipped{std::istreambuf_iterator<char>(stream), {}};
  Config config;
  for (const char* assignment :
       {"compaction.interval=1s", "compaction.rate=1MiB", "memory.limit=1GiB",
        "limits.value_size=1MiB", "slowlog.length=1", "logging.level=error"}) {
    ASSERT_TRUE(ApplyOverride(&config, assignment));
  }
  Changes changes;
  for (const auto& [name, value] : DescribeSettings(config)) {
    if (value != GetSetting(Config(), name)) changes.emplace_back(name, value);
  }
  const std::string text = Rewrite(shipped, changes);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'),
            std::count(shipped.begin(), shipped.end(), '\n'));
  const auto read = ParseConfig(text, "f");
  ASSERT_TRUE(read) << text;
  EXPECT_EQ(DescribeSettings(*read), DescribeSettings(config));
}

}  // namespace
}  // namespace kvd
