// SPDX-License-Identifier: MIT
#include "daemon/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "daemon/backend_settings.h"
#include "daemon/shared_store.h"
#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

std::variant<Options, ExitCode> Parse(std::vector<const char*> words) {
  words.insert(words.begin(), "kvd");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  auto parsed = ParseOptions(static_cast<int>(words.size()), words.data());
  testing::internal::GetCapturedStdout();
  testing::internal::GetCapturedStderr();
  return parsed;
}

Options Parsed(const std::vector<const char*>& words) {
  const auto parsed = Parse(words);
  EXPECT_TRUE(std::holds_alternative<Options>(parsed));
  return std::holds_alternative<Options>(parsed) ? std::get<Options>(parsed)
                                                 : Options();
}

TEST(Options, RunIsTheDefault) {
  EXPECT_EQ(Parsed({}).action, Options::Action::kRun);
  EXPECT_EQ(Parsed({"run"}).action, Options::Action::kRun);
  EXPECT_EQ(Parsed({"check-config"}).action, Options::Action::kCheckConfig);
  const Options verify = Parsed({"verify", "/some/dir"});
  EXPECT_EQ(verify.action, Options::Action::kVerify);
  EXPECT_EQ(verify.directory, "/some/dir");
  const Options restore = Parsed({"restore", "full", "-", "/some/dir"});
  EXPECT_EQ(restore.action, Options::Action::kRestore);
  EXPECT_EQ(restore.backups, (std::vector<std::string>{"full", "-"}));
  EXPECT_EQ(restore.directory, "/some/dir");
}

TEST(Options, SalvageAndInspectTakeTheirOwn) {
  const Options salvage = Parsed({"salvage", "a", "--uncertain", "b"});
  EXPECT_EQ(salvage.action, Options::Action::kSalvage);
  EXPECT_EQ(salvage.directory, "a");
  EXPECT_EQ(salvage.new_directory, "b");
  EXPECT_TRUE(salvage.uncertain);
  EXPECT_FALSE(salvage.json);
  const Options inspect =
      Parsed({"inspect", "--json", "a", "--records", "--key", "-k"});
  EXPECT_EQ(inspect.action, Options::Action::kInspect);
  EXPECT_EQ(inspect.directory, "a");
  EXPECT_EQ(inspect.key, "-k");
  EXPECT_TRUE(inspect.json && inspect.records);
  for (const std::vector<const char*>& words :
       std::vector<std::vector<const char*>>{{"salvage"},
                                             {"salvage", "a"},
                                             {"salvage", "a", "b", "c"},
                                             {"salvage", "a", ""},
                                             {"salvage", "a", "b", "--records"},
                                             {"inspect"},
                                             {"inspect", "a", "b"},
                                             {"inspect", "a", "--key", "k"},
                                             {"inspect", "a", "--uncertain"},
                                             {"verify", "a", "--json"},
                                             {"run", "--uncertain"}}) {
    EXPECT_EQ(std::get<ExitCode>(Parse(words)), ExitCode::kUsage);
  }
}

TEST(Options, StandBeforeAndBehindTheSubcommand) {
  for (const Options& options :
       {Parsed({"--config", "/c", "run"}), Parsed({"run", "--config", "/c"})}) {
    EXPECT_EQ(options.config_path, "/c");
    EXPECT_TRUE(options.config_named);
  }
  EXPECT_FALSE(Parsed({}).config_named);
}

TEST(Options, OverridesKeepTheirOrder) {
  const Options options =
      Parsed({"--set", "limits.connections=5", "--set", "log.x=1", "--data-dir",
              "/d d", "--socket", "/s"});
  EXPECT_EQ(options.overrides,
            (std::vector<std::string>{"limits.connections=5", "log.x=1",
                                      "data_dir=/d d", "socket.path=/s"}));
}

// A value is whatever follows: no list, no format, no end of a subcommand.
TEST(Options, WordsAreTakenAsTheyAre) {
  for (const char* word : {"[a,b]", "[]", "++", "{}", "%s", "a=b", "-", "-1",
                           "--x", "--", "a b", "\n", "'a'", "\"a\"", ","}) {
    EXPECT_EQ(Parsed({"--config", word}).config_path, word);
    const std::string setting = std::string("data_dir=") + word;
    EXPECT_EQ(Parsed({"--set", setting.c_str(), "run"}).overrides,
              (std::vector<std::string>{setting}));
    EXPECT_EQ(Parsed({"--data-dir", word}).overrides,
              (std::vector<std::string>{setting}));
    EXPECT_EQ(Parsed({("--data-dir=" + std::string(word)).c_str()}).overrides,
              (std::vector<std::string>{setting}));
    EXPECT_EQ(Parsed({"verify", "--", word}).directory, word);
    if (word[0] == '-') continue;
    EXPECT_EQ(Parsed({"verify", word}).directory, word);
  }
}

TEST(Options, NoValueMayBeEmpty) {
  for (const char* option : {"--config", "--data-dir", "--socket", "--set"}) {
    EXPECT_EQ(std::get<ExitCode>(Parse({option, ""})), ExitCode::kUsage);
    EXPECT_EQ(std::get<ExitCode>(Parse({option})), ExitCode::kUsage);
  }
  EXPECT_EQ(std::get<ExitCode>(Parse({"verify", ""})), ExitCode::kUsage);
}

TEST(Options, HelpAndVersionEndWellNonsenseDoesNot) {
  EXPECT_EQ(std::get<ExitCode>(Parse({"--help"})), ExitCode::kStopped);
  EXPECT_EQ(std::get<ExitCode>(Parse({"--version"})), ExitCode::kStopped);
  EXPECT_EQ(std::get<ExitCode>(Parse({"--nonsense"})), ExitCode::kUsage);
  EXPECT_EQ(std::get<ExitCode>(Parse({"nonsense"})), ExitCode::kUsage);
  EXPECT_EQ(std::get<ExitCode>(Parse({"verify"})), ExitCode::kUsage);
  EXPECT_EQ(std::get<ExitCode>(Parse({"run", "run"})), ExitCode::kUsage);
  EXPECT_EQ(std::get<ExitCode>(Parse({"restore"})), ExitCode::kUsage);
  EXPECT_EQ(std::get<ExitCode>(Parse({"restore", "x"})), ExitCode::kUsage);
  EXPECT_EQ(std::get<ExitCode>(Parse({"restore", "", "x"})), ExitCode::kUsage);
}

TEST(Options, ANamedFileMustExistTheDefaultNeedNot) {
  Options options;
  options.config_path = "/nonexistent/kvd.toml";
  const auto settings = LoadSettings(options);
  ASSERT_TRUE(settings.ok()) << settings.error().message();
  EXPECT_EQ(settings->file, "");
  options.config_named = true;
  EXPECT_FALSE(LoadSettings(options).ok());
}

TEST(Options, TheCommandLineBeatsTheFile) {
  const TempDir dir;
  const std::string path = dir.path() + "/kvd.toml";
  std::ofstream(path) << "data_dir = \"/from/file\"\n"
                         "[socket]\npath = \"/from/file.sock\"\n";
  Options options;
  options.config_path = path;
  options.config_named = true;
  options.overrides = {"data_dir=/from/line"};
  const auto settings = LoadSettings(options);
  ASSERT_TRUE(settings.ok()) << settings.error().message();
  EXPECT_EQ(settings->file, path);
  EXPECT_EQ(settings->config.data_dir, "/from/line");
  EXPECT_EQ(settings->config.socket.path, "/from/file.sock");
}

TEST(Backend, EachProgramKnowsItsOwn) {
  Config config;
  EXPECT_TRUE(CheckBackend(config, nullptr).ok());
  const SharedStores stores = {
      "kvd-etcd", nullptr,
      [](const Config&) -> Result<std::vector<std::string>> {
        return std::vector<std::string>{"asked"};
      }};
  EXPECT_THAT(CheckBackend(config, &stores)->at(0),
              testing::HasSubstr("kvd-etcd keeps the data in /var/lib/kvd"));
  config.storage.backend = kEtcdBackend;
  EXPECT_EQ(*CheckBackend(config, &stores), std::vector<std::string>{"asked"});
  const auto refused = CheckBackend(config, nullptr);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message(), testing::HasSubstr("kvd-etcd"));
}

TEST(Backend, WhatEtcdDoesNotHaveIsResetAndTold) {
  Config config;
  config.durability.sync = SyncMode::kNever;
  config.log.segment_bytes = 1 << 20;
  const Config local = config;
  EXPECT_TRUE(AdaptToBackend(&config).empty());
  EXPECT_EQ(DescribeSettings(config), DescribeSettings(local));

  config.storage.backend = kEtcdBackend;
  EXPECT_THAT(
      AdaptToBackend(&config),
      testing::ElementsAre(
          "of no meaning with storage.backend = \"etcd\": durability.sync, "
          "log.segment_size",
          "limits.value_size is 1MiB instead of 64MiB: etcd takes no larger "
          "values"));
  EXPECT_EQ(config.durability.sync, SyncMode::kAlways);
  EXPECT_TRUE(CheckRelations(config).ok());
  EXPECT_TRUE(AdaptToBackend(&config).empty());
}

}  // namespace
}  // namespace kvd
