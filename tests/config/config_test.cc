// SPDX-License-Identifier: MIT
#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace kvd {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ErrorOf(const Result<Config>& result) {
  return result ? "" : result.error().message();
}

std::string ReadAll(const std::string& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// A file that lives as long as the test.
class TestFile {
 public:
  explicit TestFile(std::string_view text)
      : path_(testing::TempDir() + "kvd_config_test.toml") {
    std::ofstream(path_) << text;
  }
  ~TestFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Config, ShippedFileSaysExactlyTheDefaults) {
  const auto shipped = LoadConfig(KVD_SHIPPED_CONFIG);
  ASSERT_TRUE(shipped.ok()) << ErrorOf(shipped);
  EXPECT_EQ(DescribeSettings(*shipped), DescribeSettings(Config()));
}

// The file cannot agree with a default by leaving the key out.
TEST(Config, ShippedFileNamesEverySetting) {
  const std::string text = ReadAll(KVD_SHIPPED_CONFIG);
  std::string section;
  std::vector<std::string> named;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.starts_with('[')) section = line.substr(1, line.size() - 2) + ".";
    if (line.empty() || line.starts_with('#') || line.starts_with('[')) {
      continue;
    }
    named.push_back(section + line.substr(0, line.find(" =")));
  }
  std::vector<std::string> known;
  for (const auto& [name, value] : DescribeSettings(Config())) {
    known.push_back(name);
  }
  EXPECT_EQ(named, known);
}

TEST(Config, ReadsEveryKindOfSetting) {
  const auto config = ParseConfig(R"(
data_dir = "/srv/kvd"
[socket]
mode = "0600"
group = "users"
[durability]
sync = "interval"
interval = "250ms"
[limits]
connections = 7
value_size = "1MiB"
[logging]
level = "warning"
)",
                                  "kvd.toml");
  ASSERT_TRUE(config.ok()) << ErrorOf(config);
  EXPECT_EQ(config->data_dir, "/srv/kvd");
  EXPECT_EQ(config->socket.mode, 0600u);
  EXPECT_EQ(config->socket.group, "users");
  EXPECT_EQ(config->durability.sync, SyncMode::kInterval);
  EXPECT_EQ(config->durability.interval_ms, 250);
  EXPECT_EQ(config->limits.connections, 7);
  EXPECT_EQ(config->limits.value_bytes, uint64_t{1} << 20);
  EXPECT_EQ(config->logging.level, LogLevel::kWarning);
  EXPECT_EQ(config->socket.path, Config().socket.path);
}

TEST(Config, RefusesBadInputWithPlaceAndReason) {
  struct Case {
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      // Names.
      {"[durabilty]\nsync = \"always\"\n",
       "f:2:1: unknown key \"durabilty.sync\"; did you mean "
       "\"durability.sync\"?"},
      {"\n  data_dri = \"/x\"\n",
       "f:2:3: unknown key \"data_dri\"; did you mean \"data_dir\"?"},
      {"sync = \"never\"\n",
       "f:1:1: unknown key \"sync\"; did you mean \"durability.sync\"?"},
      {"limits.value_sise = \"1MiB\"",
       "f:1:8: unknown key \"limits.value_sise\"; did you mean "
       "\"limits.value_size\"?"},
      {"quite_something_else = 1",
       "f:1:1: unknown key \"quite_something_else\""},
      {"[quite.something]", "unknown section \"quite.something\""},
      {"[[limits]]\nvalue_size = \"1MiB\"", "f:1:3: \"limits\" is a section"},
      {"socket = \"/run/x\"", "f:1:1: \"socket\" is a section; write [socket]"},
      // Types.
      {"data_dir = 5", "f:1:1: data_dir must be a string such as \"/var/"},
      {"[data_dir]\nx = 1", "data_dir must be a string"},
      {"[socket]\nmode = 660",
       "f:2:1: socket.mode must be a string such as "
       "\"0660\""},
      {"[limits]\nconnections = \"7\"",
       "limits.connections must be a whole number such as 10000"},
      {"[limits]\nconnections = 7.0", "limits.connections must be a whole"},
      {"[limits]\nvalue_size = 1048576",
       "limits.value_size must be a string such as \"64MiB\""},
      {"[limits]\nvalue_size = [\"1MiB\"]", "must be a string such as"},
      {"[durability]\nsync = true", "durability.sync must be a string"},
      // Values.
      {"[durability]\nsync = \"sometimes\"",
       "f:2:8: durability.sync: \"sometimes\" is not \"always\", \"interval\" "
       "or \"never\""},
      {"[durability]\nsync = \"Always\"", "is not \"always\""},
      {"[durability]\ninterval = \"1\"", "is not a duration with its unit"},
      {"[durability]\ninterval = \"9ms\"",
       "9ms is out of bounds; between 10ms and 1h"},
      {"[durability]\ninterval = \"61m\"", "out of bounds"},
      {"[compaction]\nmin_dead_ratio = 0.01",
       "0.01 is out of bounds; between 0.05 and 1"},
      {"[compaction]\nmin_dead_ratio = \"0.4\"", "a number such as 0.4"},
      {"[compaction]\nmin_dead_ratio = nan", "out of bounds"},
      {"[limits]\nvalue_size = \"64MB\"", "is not a size with its unit"},
      {"[limits]\nvalue_size = \"513MiB\"",
       "f:2:14: limits.value_size: 513MiB is out of bounds; between 1KiB and "
       "512MiB"},
      {"[limits]\nconnections = 0",
       "limits.connections: 0 is out of bounds; between 1 and 1000000"},
      {"[limits]\nconnections = -1", "out of bounds"},
      {"[socket]\nmode = \"888\"", "is not octal permission bits"},
      {"[socket]\nmode = \"1777\"", "between \"0000\" and \"0777\""},
      {"[socket]\nmode = \"\"", "is not octal permission bits"},
      {"data_dir = \"\"", "data_dir: must not be empty"},
      {"data_dir = \"a\\u0000b\"", "must not contain a zero byte"},
      {"[logging]\nlevel = \"loud\"", "\"error\", \"warning\" or \"info\""},
      {"[log]\nsegment_size = \"65537B\"",
       "log.segment_size: 65537B is not a multiple of 4KiB"},
      // Memory.
      {"[memory]\nvalue_cache = 25",
       "f:2:1: memory.value_cache must be a string such as \"2GiB\" or "
       "\"25%\""},
      {"[memory]\nlimit = 0.5", "f:2:1: memory.limit must be a string"},
      {"[memory]\n  value_cache = \"1023KiB\"",
       "f:2:17: memory.value_cache: 1023KiB is out of bounds; between 1MiB and "
       "1024TiB"},
      {"[memory]\nvalue_cache = \"\"",
       "memory.value_cache: \"\" is not a size with its unit (B, KiB, MiB, "
       "GiB, "
       "TiB), such as \"64MiB\"; a share of memory, such as \"25%\", would do, "
       "too"},
      {"[memory]\nvalue_cache = \"0%\"",
       "f:2:15: memory.value_cache: 0% is out of bounds; between 1% and 100%"},
      {"[memory]\nvalue_cache = \"0B\"", "0B is out of bounds"},
      {"[memory]\nlimit = \"101%\"",
       "f:2:9: memory.limit: 101% is out of bounds; between 1% and 100%"},
      {"[memory]\nlimit = \"0B\"", "0B is out of bounds; between 1B"},
      {"[memory]\nlimit = \"12.5%\"",
       "\"12.5%\" is not a whole number of percent, such as \"25%\""},
      {"[memory]\nlimit = \"-5%\"", "is not a whole number of percent"},
      {"[memory]\nlimit = \"%\"", "is not a whole number of percent"},
      {"[memory]\nlimit = \"25 %\"", "is not a whole number of percent"},
      {"[memory]\nlimit = \"25\"", "; a share of memory, such as"},
      {"[memory]\nlimit = \"99999999999999999999B\"", "B\" is too large; a"},
      {"[memory]\nlimit = \"99999999999999999999%\"", "is too large"},
      {"[limits]\nvalue_cache = \"1MiB\"",
       "did you mean \"memory.value_cache\"?"},
      // Relations.
      {"[limits]\nvalue_size = \"100MiB\"\n",
       "f:2:1: limits.input_bytes (80MiB) must hold limits.value_size (100MiB) "
       "and 1MiB"},
      {"[limits]\nvalue_size = \"8MiB\"\noutput_bytes = \"8MiB\"\n",
       "f:3:1: limits.output_bytes (8MiB) must hold limits.value_size (8MiB)"},
      // Where the data is.
      {"[storage]\nbackend = \"redis\"",
       "f:2:11: storage.backend: \"redis\" is not \"local\" or \"etcd\""},
      {"[etcd]\nreads = \"stale\"",
       "f:2:9: etcd.reads: \"stale\" is not \"linearizable\" or \"local\""},
      {"[etcd]\nendpoints = [\"http://a:1\", \"b:1\"]",
       "f:2:13: etcd.endpoints: \"b:1\" does not begin with http:// or "
       "https://; write it as in \"http://127.0.0.1:2379\""},
      {"[etcd]\nendpoints = [\"http://a:1\", \"\"]",
       "\"\" does not begin with"},
      {"[etcd]\nendpoints = []", "etcd.endpoints: must not be empty"},
      {"[etcd]\nendpoints = [2379]",
       "f:2:1: etcd.endpoints must be a list of strings such as "
       "[\"http://127.0.0.1:2379\"]"},
      {"[etcd]\nprefix = \"\"", "etcd.prefix: must not be empty"},
      {"[etcd]\nprefix = \"kvd\"",
       "f:2:10: etcd.prefix: \"kvd\" does not end with \"/\", so that keys of "
       "others that begin so would be among kvd's; write \"kvd/\""},
      {"[etcd]\nprefix = \"//\"",
       "\"//\" would hold keys of others; write a name before the \"/\""},
      {"[etcd]\ntimeout = \"99ms\"", "99ms is out of bounds"},
      {"[etcd]\nmax_clock_skew = \"0ms\"", "0ms is out of bounds"},
      {"[etcd]\ncert_file = \"/c\"",
       "f:2:1: etcd.cert_file and etcd.key_file go together: what kvd shows to "
       "etcd, and the private key of it; etcd.key_file is missing"},
      {"[etcd]\nendpoints = [\"https://a\", \"http://b\"]\nca_file = \"/c\"",
       "f:3:1: etcd.ca_file is for https, and the endpoint http://b is not "
       "encrypted; write https://, or leave the file out"},
      // No TOML at all.
      {"data_dir = ", "f:1:12: "},
      {"[socket", "f:1:"},
      {"a = 1\na = 2", "f:2:5: "},
      {"\xff\xfe\x00", "f:1:"},
      {"data_dir = \"/x", "f:1:"},
  };
  for (const Case& bad : cases) {
    SCOPED_TRACE(bad.text);
    const auto parsed = ParseConfig(bad.text, "f");
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.error().code(), ErrorCode::kInvalid);
    EXPECT_THAT(ErrorOf(parsed), StartsWith("f:"));
    EXPECT_THAT(ErrorOf(parsed), HasSubstr(bad.message));
  }
}

TEST(Config, ReportsEveryFaultInTheOrderOfTheFile) {
  const auto parsed = ParseConfig(
      "[socket]\nmode = \"9\"\npaht = \"/x\"\n[durability]\nsync = 1\n", "f");
  const std::string message = ErrorOf(parsed);
  const size_t mode = message.find("f:2:8: socket.mode");
  const size_t path = message.find("\nf:3:1: unknown key \"socket.paht\"");
  const size_t sync = message.find("\nf:5:1: durability.sync");
  EXPECT_LT(mode, path) << message;
  EXPECT_LT(path, sync) << message;
  EXPECT_NE(sync, std::string::npos) << message;
}

// Bounds are part of the range.
TEST(Config, AcceptsTheBoundsThemselves) {
  for (const char* text :
       {"[limits]\nvalue_size = \"512MiB\"\ninput_bytes = \"513MiB\"\n"
        "output_bytes = \"513MiB\"",
        "[limits]\nvalue_size = \"1KiB\"", "[limits]\nconnections = 1",
        "[limits]\nconnections = 1000000", "[durability]\ninterval = \"10ms\"",
        "[durability]\ninterval = \"1h\"", "[socket]\nmode = \"0777\"",
        "[socket]\nmode = \"0000\"", "[compaction]\nmin_dead_ratio = 0.05",
        "[compaction]\nmin_dead_ratio = 1",
        "[compaction]\ninterval = \"0s\"\nrate = \"0B\"",
        "[memory]\nvalue_cache = \"1MiB\"\nlimit = \"1024TiB\"",
        "[memory]\nvalue_cache = \"1%\"\nlimit = \"100%\"",
        "[memory]\nvalue_cache = \"100%\"\nlimit = \"\""}) {
    EXPECT_EQ(ErrorOf(ParseConfig(text, "f")), "") << text;
  }
}

TEST(Config, MemoryIsASizeOrAShare) {
  const uint64_t gib = uint64_t{1} << 30;
  const Config::Memory defaults = Config().memory;
  EXPECT_EQ(defaults.value_cache.Resolve(8 * gib), 2 * gib);
  EXPECT_TRUE(defaults.limit.is_none());
  EXPECT_EQ(defaults.limit.Resolve(8 * gib), 0u);

  const auto config =
      ParseConfig("[memory]\nvalue_cache = \"3GiB\"\nlimit = \"29%\"\n", "f");
  ASSERT_TRUE(config.ok()) << ErrorOf(config);
  EXPECT_EQ(config->memory.value_cache.Resolve(gib), 3 * gib);
  EXPECT_EQ(config->memory.limit.Resolve(1000), 290u);
  EXPECT_EQ(config->memory.limit.Resolve(199), 57u);
  EXPECT_FALSE(config->memory.limit.is_none());

  const auto reset = ParseConfig("[memory]\nlimit = \"1GiB\"\n", "f",
                                 {"memory.limit=", "memory.value_cache=100%"});
  ASSERT_TRUE(reset.ok()) << ErrorOf(reset);
  EXPECT_TRUE(reset->memory.limit.is_none());
  EXPECT_EQ(reset->memory.value_cache.Resolve(UINT64_MAX), UINT64_MAX);
}

TEST(Config, OverridesWinOverTheFile) {
  const auto config = ParseConfig("[limits]\nconnections = 7\n", "f",
                                  {"limits.connections=9", "data_dir=/a=b"});
  ASSERT_TRUE(config.ok()) << ErrorOf(config);
  EXPECT_EQ(config->limits.connections, 9);
  EXPECT_EQ(config->data_dir, "/a=b");
}

TEST(Config, RelationsHoldAfterOverridesOnly) {
  const char* const large = "[limits]\nvalue_size = \"100MiB\"\n";
  EXPECT_TRUE(ParseConfig(large, "f", {"limits.input_bytes=101MiB"}).ok());
  EXPECT_FALSE(ParseConfig(large, "f", {"limits.input_bytes=100MiB"}).ok());
}

TEST(Config, RefusesBadOverridesAndKeepsTheSetting) {
  Config config;
  const auto before = DescribeSettings(config);
  const std::pair<const char*, const char*> cases[] = {
      {"limits.connections", "must be NAME=VALUE"},
      {"=5", "unknown key \"\""},
      {"limit.connections=5", "did you mean \"limits.connections\"?"},
      {"limits.connections=", "\"\" is not a whole number"},
      {"limits.connections=5x", "\"5x\" is not a whole number"},
      {"limits.connections=0", "out of bounds"},
      {"limits.connections=99999999999999999999", "is not a whole number"},
      {"limits.reserved_connections=-1", "out of bounds"},
      {"limits.value_size=1", "is not a size with its unit"},
      {"limits.value_size=18446744073709551616B", "is too large"},
      {"limits.value_size=18014398509481985KiB", "is too large"},
      {"limits.value_size=-1MiB", "is not a size with its unit"},
      {"compaction.min_dead_ratio=nan", "out of bounds"},
      {"compaction.min_dead_ratio=inf", "out of bounds"},
      {"compaction.min_dead_ratio=1e-5000", "is not a number"},
      {"compaction.min_dead_ratio=1e5000", "is not a number"},
      {"durability.sync=sometimes", "is not \"always\""},
      {"data_dir=", "must not be empty"},
  };
  for (const auto& [assignment, message] : cases) {
    const auto set = ApplyOverride(&config, assignment);
    ASSERT_FALSE(set.ok()) << assignment;
    EXPECT_THAT(set.error().message(),
                StartsWith(std::string("--set ") + assignment + ": "));
    EXPECT_THAT(set.error().message(), HasSubstr(message));
    EXPECT_EQ(DescribeSettings(config), before);
  }
}

TEST(Config, DescribesSettingsAsOverridesTakeThem) {
  const auto changed = ParseConfig(
      "data_dir = \"/x\"\n[socket]\ngroup = \"g\"\nmode = \"0600\"\n"
      "[durability]\nsync = \"never\"\n[limits]\nvalue_size = \"3KiB\"\n"
      "half_command_timeout = \"90s\"\n[memory]\nvalue_cache = \"29%\"\n"
      "limit = \"4GiB\"\n[logging]\nlevel = \"error\"\n",
      "f");
  ASSERT_TRUE(changed.ok()) << ErrorOf(changed);
  const auto described = DescribeSettings(*changed);
  Config copy;
  for (const auto& [name, value] : described) {
    const auto set = ApplyOverride(&copy, name + "=" + value);
    ASSERT_TRUE(set.ok()) << set.error().message();
  }
  EXPECT_EQ(DescribeSettings(copy), described);
  EXPECT_NE(described, DescribeSettings(Config()));
}

TEST(Config, ReadsFilesAndNamesThemInErrors) {
  const TestFile good("[limits]\nconnections = 3\n");
  EXPECT_EQ(LoadConfig(good.path())->limits.connections, 3);

  const TestFile bad("x = 1\n");
  EXPECT_THAT(ErrorOf(LoadConfig(bad.path())), StartsWith(bad.path() + ":1:1"));
}

TEST(Config, NoFileMeansDefaults) {
  EXPECT_EQ(DescribeSettings(*LoadConfig("")), DescribeSettings(Config()));
}

TEST(Config, MissingFileIsToldFromABadOne) {
  const auto missing = LoadConfig("/nonexistent/kvd.toml");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(ErrorOf(missing), HasSubstr("/nonexistent/kvd.toml: No such"));

  const auto directory = LoadConfig(testing::TempDir());
  ASSERT_FALSE(directory.ok());
  EXPECT_THAT(ErrorOf(directory), HasSubstr("Is a directory"));
}

TEST(Config, RefusesAFileThatIsNoConfiguration) {
  const TestFile full(std::string(size_t{32} << 10, '#'));
  EXPECT_EQ(ErrorOf(LoadConfig(full.path())), "");
  const TestFile large(std::string((size_t{32} << 10) + 1, '#'));
  EXPECT_THAT(ErrorOf(LoadConfig(large.path())),
              HasSubstr("larger than 32KiB"));
}

// As deep as a file of the permitted size can nest, in each way that TOML has.
TEST(Config, SurvivesDeepNesting) {
  constexpr size_t kBytes = size_t{32} << 10;
  std::string arrays = "a=";
  arrays.append(kBytes - arrays.size(), '[');
  std::string dotted = "a";
  while (dotted.size() + 4 <= kBytes) dotted += ".a";
  for (const std::string& deep : {arrays, dotted + "=1", "[" + dotted + "]"}) {
    EXPECT_THAT(ErrorOf(ParseConfig(deep, "f")),
                testing::MatchesRegex("f:1:[0-9]+: .*"));
  }
}

TEST(Config, ListsAreArraysInAFileAndHaveCommasElsewhere) {
  const auto config = ParseConfig(
      "[etcd]\nendpoints = [\"http://a:1\", \"https://b\"]\n", "kvd.toml");
  ASSERT_TRUE(config.ok()) << ErrorOf(config);
  EXPECT_EQ(GetSetting(*config, "etcd.endpoints"), "http://a:1,https://b");
  EXPECT_EQ(SplitList(config->etcd.endpoints),
            (std::vector<std::string>{"http://a:1", "https://b"}));
  EXPECT_EQ(SplitList("a"), std::vector<std::string>{"a"});
  EXPECT_EQ(SplitList("a,"), (std::vector<std::string>{"a", ""}));
}

// The default is larger, and is cut down when kvd starts.
TEST(Config, ValuesInEtcdAreNoLargerThanEtcdTakes) {
  auto config = ParseConfig("[storage]\nbackend = \"etcd\"\n", "kvd.toml");
  ASSERT_TRUE(config.ok()) << ErrorOf(config);
  EXPECT_FALSE(CheckRelations(*config).ok());
  ASSERT_TRUE(SetSetting(&*config, "limits.value_size", "1MiB").ok());
  EXPECT_TRUE(CheckRelations(*config).ok());
}

}  // namespace
}  // namespace kvd
