// SPDX-License-Identifier: MIT
//
// The parts of import, export and diff that need no server, and kvctl against a
// server that answers from a small store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cli/moving/compare.h"
#include "cli/moving/record_sorter.h"
#include "cli/records/checkpoint.h"
#include "cli/records/dump_sink.h"
#include "cli/records/dump_source.h"
#include "cli/servers/peer.h"
#include "tests/cli/kvctl.h"
#include "tests/client/fake_server.h"
#include "tests/support/temp_dir.h"

namespace kvctl {
namespace {

using testing::HasSubstr;
using testing::Not;

Record Make(int64_t database, std::string key, std::string value) {
  return {
      .key = std::move(key), .value = std::move(value), .database = database};
}

// All records, as database, key and value.
using Rows = std::vector<std::tuple<int64_t, std::string, std::string>>;

Rows Sorted(RecordSorter* sorter) {
  Rows rows;
  EXPECT_TRUE(sorter->Sort().ok());
  Record record;
  while (*sorter->Next(&record)) {
    rows.emplace_back(record.database.value_or(-1), record.key, record.value);
  }
  return rows;
}

TEST(RecordSorter, SortsInMemoryAndInRunsAndKeepsTheLastOfAKey) {
  for (const size_t run_bytes : {size_t{1}, size_t{3000}, size_t{1} << 20}) {
    std::mt19937 random(3);
    RecordSorter sorter(run_bytes);
    std::map<std::pair<int64_t, std::string>, std::string> expected;
    for (int i = 0; i < 1000; ++i) {
      const int64_t database = random() % 3;
      const std::string key(random() % 3, static_cast<char>(random()));
      const std::string value = std::to_string(i);
      expected[{database, key}] = value;
      ASSERT_TRUE(sorter.Add(Make(database, key, value)).ok());
    }
    Rows rows;
    for (const auto& [where, value] : expected) {
      rows.emplace_back(where.first, where.second, value);
    }
    EXPECT_EQ(Sorted(&sorter), rows);
  }
}

TEST(RecordSorter, KeepsAllOfARecordOnDisk) {
  RecordSorter sorter(1);
  const std::string large(300'000, 'v');
  ASSERT_TRUE(sorter
                  .Add({.key = "b",
                        .value = large,
                        .expires_ms = 12,
                        .revision = 0,
                        .database = 2})
                  .ok());
  ASSERT_TRUE(sorter.Add(Make(2, "a", "")).ok());
  ASSERT_TRUE(sorter.Sort().ok());
  Record record;
  ASSERT_TRUE(*sorter.Next(&record));
  EXPECT_EQ(record.key, "a");
  EXPECT_EQ(record.expires_ms, std::nullopt);
  EXPECT_EQ(record.revision, std::nullopt);
  ASSERT_TRUE(*sorter.Next(&record));
  EXPECT_EQ(record.value, large);
  EXPECT_EQ(record.expires_ms, 12);
  EXPECT_EQ(record.revision, 0);
  EXPECT_FALSE(*sorter.Next(&record));
}

TEST(RecordSorter, OfNothingIsEmpty) {
  RecordSorter sorter;
  EXPECT_EQ(Sorted(&sorter), Rows());
}

TEST(RecordSorter, SaysWhereATemporaryFileCannotBeMade) {
  ::setenv("TMPDIR", "/none", 1);
  RecordSorter sorter(1);
  const Attempt<void> added = sorter.Add(Make(0, "k", "v"));
  ::unsetenv("TMPDIR");
  ASSERT_FALSE(added.ok());
  EXPECT_THAT(added.error().text, HasSubstr("TMPDIR"));
}

TEST(Address, IsAPathOrAHostAndItsPort) {
  EXPECT_EQ(ParseAddress("/run/redis.sock").path, "/run/redis.sock");
  EXPECT_EQ(ParseAddress("localhost:6379").host, "localhost");
  EXPECT_EQ(ParseAddress("localhost:6379").port, "6379");
  EXPECT_EQ(ParseAddress("[::1]:6379").host, "::1");
  for (const char* path : {"redis", "a:", ":1", "a:b", "./a:1", "a:1x", ""}) {
    EXPECT_EQ(ParseAddress(path).path, path);
    EXPECT_EQ(ParseAddress(path).host, "");
  }
}

TEST(Checkpoint, ComesBackOrIsRefused) {
  kvd::TempDir dir;
  const std::string path = dir.Path("state");
  EXPECT_EQ(*LoadCheckpoint(path), std::nullopt);
  Checkpoint checkpoint = {.task = "import of \xff", .records = 12};
  checkpoint.cursor = "18446744073709551615";
  checkpoint.input_checksum = -5;
  ASSERT_TRUE(SaveCheckpoint(path, checkpoint).ok());
  const auto loaded = LoadCheckpoint(path);
  ASSERT_TRUE(loaded.ok() && loaded->has_value());
  EXPECT_EQ((*loaded)->records, 12);
  EXPECT_EQ((*loaded)->cursor, checkpoint.cursor);
  EXPECT_EQ((*loaded)->input_checksum, -5);
  for (const char* text : {"", "{}", "[]", "x", "{\"task\":1}"}) {
    std::ofstream(path, std::ios::binary) << text;
    EXPECT_EQ(LoadCheckpoint(path).error().code, ExitCode::kUsage) << text;
  }
  ASSERT_TRUE(RemoveCheckpoint(path).ok());
  EXPECT_EQ(*LoadCheckpoint(path), std::nullopt);
  EXPECT_EQ(SaveCheckpoint("/none/x", checkpoint).error().code,
            ExitCode::kLocalIo);
}

// kvd as far as export and import need it: one database, no deadlines.
class SmallStore {
 public:
  std::string operator()(const kvd::FakeServer::Command& words) {
    const auto found = words.size() > 1 ? keys.find(words[1]) : keys.end();
    if (words[0] == "KV.GET") {
      if (found == keys.end()) return "$-1\r\n";
      const std::string& value = found->second;
      const std::string size = std::to_string(value.size());
      return "*3\r\n" +
             (words.size() > 2 ? ":" + size + "\r\n"
                               : "$" + size + "\r\n" + value + "\r\n") +
             ":7\r\n:-1\r\n";
    }
    if (words[0] == "SCAN") {
      std::string reply =
          "*2\r\n$1\r\n0\r\n*" + std::to_string(keys.size()) + "\r\n";
      for (const auto& [key, value] : keys) {
        reply += "$" + std::to_string(key.size()) + "\r\n" + key + "\r\n";
      }
      return reply;
    }
    if (words[0] == "INFO") {
      const std::string text =
          "run_id:one\r\ndb0:keys=" + std::to_string(keys.size()) +
          ",expires=0\r\n";
      return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
    }
    if (words[0] == "SET" && words[1] == "bad") return "-ERR too bad\r\n";
    if (words[0] == "SET") {
      keys[words[1]] = words[2];
      return "+OK\r\n";
    }
    return "-ERR no answer\r\n";
  }

  std::map<std::string, std::string> keys;
};

class Moving : public testing::Test {
 protected:
  Ran Run(const std::vector<std::string>& args, RunOptions options = {}) {
    options.env.push_back("KVD_SOCKET=" + server_.path());
    return RunKvctl(args, options);
  }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(dir_.Path(name), std::ios::binary) << text;
    return dir_.Path(name);
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  kvd::TempDir dir_;
  SmallStore store_;
  kvd::FakeServer server_{dir_.Path("s"),
                          [this](const auto& words) { return store_(words); }};
};

TEST_F(Moving, ExportsAndImportsTheSame) {
  store_.keys = {{"a", "1"}, {"\xff", std::string("\0", 1)}};
  const Ran exported = Run({"export", "--sort", "--revisions"});
  EXPECT_EQ(exported.code, 0) << exported.err;
  EXPECT_EQ(exported.out,
            "{\"key\":\"a\",\"value\":\"1\",\"expires_ms\":null,\"rev\":7}\n"
            "{\"key_b64\":\"/w==\",\"value\":\"\\u0000\",\"expires_ms\":null,"
            "\"rev\":7}\n");
  EXPECT_THAT(exported.err, HasSubstr("exported 2 records (4 B) in "));
  const auto keys = std::exchange(store_.keys, {});
  const Ran imported = Run({"import"}, {.input = exported.out});
  EXPECT_EQ(imported.code, 0) << imported.err;
  EXPECT_THAT(imported.out, HasSubstr("imported 2 records (4 B) in "));
  EXPECT_EQ(store_.keys, keys);
}

TEST_F(Moving, WritesAFileThatIsWholeOrNotThere) {
  store_.keys = {{"a", "1"}};
  for (const std::string name : {"x.json", "x.csv.zst", "x.resp"}) {
    const std::string path = dir_.Path(name);
    EXPECT_EQ(Run({"export", "-o", path}).code, 0);
    EXPECT_FALSE(std::ifstream(path + ".part").good());
    EXPECT_EQ(Run({"diff", path, server_.path()}).code, 0);
    EXPECT_EQ(Run({"import", path, "--dry-run"}).code, 6);  // No EXISTS here.
  }
  EXPECT_EQ(Read(dir_.Path("x.csv.zst")).substr(0, 4), "\x28\xb5\x2f\xfd");
  const Ran ran = Run({"export", "-o", dir_.Path("none/x")});
  EXPECT_EQ(ran.code, 74);
  EXPECT_THAT(ran.err, HasSubstr("cannot write"));
}

TEST_F(Moving, NamesTheRecordThatIsMalformedOrRefused) {
  const std::string good = "{\"key\":\"k\",\"value\":\"v\"}\n";
  Ran ran = Run({"import", Write("x", good + "{\"key\":1}\n")});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("x: record 2 (line 2): \"key\" is a number"));
  EXPECT_THAT(ran.err, HasSubstr("1 records before it are imported"));
  EXPECT_EQ(store_.keys.count("k"), 1u);
  ran = Run({"import", Write("x", good + "{\"key\":\"bad\",\"value\":\"\"}")});
  EXPECT_EQ(ran.code, 6);
  EXPECT_THAT(ran.err, HasSubstr("record 2 (line 2), key \"bad\": too bad"));
  EXPECT_THAT(ran.err, HasSubstr("1 other records were set"));
  ran = Run({"import", Write("x", "hello\n")});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("is no dump: it begins with \"hello"));
  EXPECT_EQ(Run({"import", dir_.Path("none")}).code, 74);
  EXPECT_EQ(Run({"import"}, {.input = ""}).code, 0);
}

TEST_F(Moving, ComparesDumps) {
  const std::string a = Write("a",
                              "{\"key\":\"x\",\"value\":\"1\"}\n"
                              "{\"key\":\"y\",\"value\":\"2\"}\n"
                              "{\"key\":\"z\",\"value\":\"3\"}\n");
  const std::string b = Write("b",
                              "key,value,expires_ms\n"
                              "y,two,\n"
                              "z,3,1900000000000\n"
                              "w,4,\n");
  Ran ran = Run({"diff", a, b});
  EXPECT_EQ(ran.code, 1) << ran.err;
  EXPECT_EQ(ran.out,
            "only in B \"w\"\n"
            "only in A \"x\"\n"
            "different \"y\": value\n"
            "different \"z\": deadline\n"
            "0 equal, 2 different, 1 only in A, 1 only in B\n");
  ran = Run({"diff", a, "-", "--json"}, {.input = "SET x 1\r\nSET y 2\r\n"});
  EXPECT_EQ(ran.code, 1) << ran.err;
  EXPECT_EQ(ran.out,
            "{\"key\":\"z\",\"db\":0,\"only_in\":\"A\"}\n"
            "{\"equal\":2,\"different\":0,\"only_in_a\":1,\"only_in_b\":0}\n");
  EXPECT_EQ(Run({"diff", a, a}).code, 0);
  EXPECT_EQ(Run({"diff", a, dir_.Path("none")}).code, 74);
  EXPECT_EQ(Run({"diff", a, "localhost:1"}).code, 3);
}

TEST_F(Moving, RefusesOptionsThatContradictEachOther) {
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{
           {"export", "a", "--prefix", "b"},
           {"export", "--sort", "-o", "x", "--resume-file", "y"},
           {"export", "--resume-file", "y"},
           {"export", "--format", "xml"},
           {"export", "--format", "resp", "--revisions"},
           {"export", "--if-empty"},
           {"export", "--to-redis", "x", "--sort"},
           {"import", "x", "--from-redis", "y"},
           {"import", "x", "--skipped", "y"},
           {"import", "x", "--replace", "--skip-existing"},
           {"import", "--from-redis", "x", "--user", "y"},
           {"import", "--from-redis", "x", "--prefix", "y", "--pattern", "z"},
           {"diff", "-", "-"}}) {
    EXPECT_EQ(Run(args).code, 2) << args[0] << " " << args[1];
  }
}

}  // namespace
}  // namespace kvctl
