// SPDX-License-Identifier: MIT
//
// Directories that earlier versions of kvd left, kept for ever: whatever the
// format becomes, they open, and everything is there.
//
// KVD_MAKE_GOLDEN=DIR writes those of the present format to a folder.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "base/checksum.h"
#include "log/format/segment.h"
#include "store/verify.h"
#include "tests/store/promises/machine.h"

namespace kvd {
namespace {

constexpr char kGoldenPath[] = KVD_SOURCE_DIR "/tests/golden";
// What the directory holds, beside its files.
constexpr char kContentsName[] = "contents";
constexpr int64_t kIn2100Ms = 4'102'444'800'000;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

// A line a key.
std::string TextOf(const Contents& contents) {
  std::string text;
  for (const auto& [name, held] : contents) {
    std::string key;
    for (const char c : name.second) {
      key += fmt::format("{:02x}", static_cast<uint8_t>(c));
    }
    text += fmt::format("{} {} {} bytes {:016x} rev {} deadline {}\n",
                        name.first, key, held.value.size(),
                        Checksum(held.value, 0), held.seq, held.deadline_ms);
  }
  return text;
}

TEST(Golden, DirectoriesOpenAndHoldWhatTheyHeld) {
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kGoldenPath)) {
    SCOPED_TRACE(entry.path().filename());
    SimFileSystem disk;
    std::string expected;
    for (const auto& file : std::filesystem::directory_iterator(entry)) {
      const std::string name = file.path().filename();
      std::string content = ReadFile(file.path());
      if (name == kContentsName) {
        expected = content;
      } else {
        disk.Put(name, std::move(content));
      }
    }
    ASSERT_NE(expected, "");
    History history;
    Machine machine(&disk, &history, SmallStoreWithHints());
    const Result<void> opened = machine.Open();
    ASSERT_TRUE(opened) << opened.error().message();
    EXPECT_EQ(TextOf(machine.Dump()), expected);
    machine.Put("new", "value");
    machine.Settle();
    machine.Compact();
    EXPECT_EQ(machine.Get("new"), "value");
    ++seen;
  }
  EXPECT_GE(seen, 2);
}

void Save(const SimFileSystem& disk, const Contents& contents,
          const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  for (const std::string& name : disk.Names()) {
    std::ofstream(folder / name, std::ios::binary) << disk.ReadAll(name);
  }
  std::ofstream(folder / kContentsName) << TextOf(contents);
}

TEST(Golden, AreMadeWhenAsked) {
  const char* to = std::getenv("KVD_MAKE_GOLDEN");
  if (to == nullptr) return;
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history, SmallStoreWithHints());
  ASSERT_TRUE(machine.Open());
  const auto fill = [&](int from) {
    for (int i = from; i < from + 24; ++i) {
      const int database = i % 5;
      machine.Put(fmt::format("key{}", i % 17), std::string(700, 'a'),
                  i % 4 == 0 ? kIn2100Ms + i : 0, database);
      machine.Put(std::string_view("\0\xff\n", 3), std::to_string(i), 0,
                  database);
      if (i % 6 == 0) machine.Delete(fmt::format("key{}", i % 13), database);
      machine.Settle();
    }
  };
  fill(0);
  machine.Flush(1);
  machine.Swap(0, 2);
  fill(24);
  machine.Compact();
  machine.Flush(3);
  machine.Swap(2, 4);
  fill(48);
  const std::string format = std::to_string(kFormatVersion);
  Save(disk, machine.Dump(), std::filesystem::path(to) / (format + "-killed"));
  const Contents contents = machine.Dump();
  ASSERT_TRUE(machine.Stop());
  Save(disk, contents, std::filesystem::path(to) / (format + "-stopped"));
}

}  // namespace
}  // namespace kvd
