// SPDX-License-Identifier: MIT
#include "salvage/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings/base64.h"
#include "log/format/manifest.h"
#include "salvage/json_line.h"
#include "tests/store/promises/machine.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class InspectTest : public testing::Test {
 protected:
  void SetUp() override {
    History history;
    Machine machine(&disk_, &history, SmallStoreWithHints());
    machine.clock().SetWallMs(1);
    ASSERT_TRUE(machine.Open().ok());
    machine.Put("first", "1");
    machine.Put(std::string("\xff\n", 2), "2", 5'000'000);
    machine.Delete("first");
    machine.Swap(0, 3);
    machine.Flush(1);
    machine.Settle();
    machine.maintenance().RunAll();
    ASSERT_TRUE(machine.Stop());
  }

  std::vector<std::string> Lines(const InspectOptions& options,
                                 const std::string& file = "") {
    const auto directory = disk_.OpenDirectory(/*read_only=*/true);
    std::vector<std::string> lines;
    const Result<void> shown =
        Inspect(*directory, file, options,
                [&](const std::string& line) { lines.push_back(line); });
    error_ = shown ? "" : shown.error().message();
    return lines;
  }

  SimFileSystem disk_;
  std::string error_;
};

const InspectOptions kJson = {true, false, std::nullopt};
const InspectOptions kJsonRecords = {true, true, std::nullopt};

TEST_F(InspectTest, ShowsADirectoryInWords) {
  const auto lines = Lines({});
  EXPECT_THAT(lines, Contains(StartsWith("MANIFEST: intact")));
  EXPECT_THAT(lines, Contains(HasSubstr("0000000001.seg: log segment 1")));
  EXPECT_THAT(lines, Contains(HasSubstr("database 0: internal 3")));
  EXPECT_THAT(lines, Contains(HasSubstr("intact")));
  EXPECT_THAT(lines, Not(Contains(HasSubstr("record at"))));
}

TEST_F(InspectTest, ShowsRecordsAsJson) {
  const auto lines = Lines(kJsonRecords);
  EXPECT_THAT(lines, Each(AllOf(StartsWith("{\"type\":\""), EndsWith("}"))));
  EXPECT_THAT(lines, Contains(AllOf(HasSubstr("\"type\":\"record\""),
                                    HasSubstr("\"key\":\"first\""),
                                    HasSubstr("\"kind\":\"put\""))));
  EXPECT_THAT(lines, Contains(AllOf(HasSubstr("\"key_b64\":\"/wo=\""),
                                    HasSubstr("\"expires_ms\":5000000"))));
  EXPECT_THAT(lines, Contains(HasSubstr("\"kind\":\"flush\"")));
  EXPECT_THAT(lines, Contains(AllOf(HasSubstr("\"kind\":\"swap\""),
                                    HasSubstr("\"other\":3"))));
}

TEST_F(InspectTest, ShowsTheRecordsOfOneKey) {
  InspectOptions options = kJsonRecords;
  options.key = "first";
  const auto lines = Lines(options, "0000000001.seg");
  EXPECT_THAT(lines, Contains(HasSubstr("\"kind\":\"put\"")));
  EXPECT_THAT(lines, Contains(HasSubstr("\"kind\":\"delete\"")));
  EXPECT_THAT(lines, Not(Contains(HasSubstr("key_b64"))));
}

TEST_F(InspectTest, ADamagedManifestIsShownAsFarAsItGoes) {
  std::string text = disk_.ReadAll(kManifestName);
  text.replace(text.find("epoch"), 5, "ep@ch");
  disk_.Put(kManifestName, text);
  const auto lines = Lines(kJson);
  EXPECT_THAT(lines, Contains(AllOf(HasSubstr("\"type\":\"manifest\""),
                                    HasSubstr("\"state\":\"damaged\""))));
  EXPECT_THAT(lines, Contains(HasSubstr("\"line\":\"ep@ch 2\"")));
  EXPECT_THAT(lines, Contains(HasSubstr("\"type\":\"manifest_sealed\"")));
  disk_.Remove(kManifestName);
  EXPECT_THAT(Lines(kJson), Contains(HasSubstr("\"state\":\"missing\"")));
}

TEST_F(InspectTest, DamageIsShownWithItsPlace) {
  const std::string name = "0000000001.seg";
  disk_.Flip(name, (disk_.ReadAll(name).find("first") + 1) * 8);
  EXPECT_THAT(Lines(kJson), Contains(HasSubstr("\"type\":\"damage\"")));
  EXPECT_THAT(Lines({}, name), Contains(HasSubstr("damaged: bytes")));
}

TEST_F(InspectTest, AFileThatIsNotThereIsAnError) {
  Lines({}, "0000000009.seg");
  EXPECT_THAT(error_, HasSubstr("0000000009.seg"));
}

TEST(JsonLine, EscapesWhatItMust) {
  EXPECT_EQ(JsonLine("t").Add("a", "q\"\\\n").Add("n", uint64_t{5}).Take(),
            "{\"type\":\"t\",\"a\":\"q\\\"\\\\\\u000a\",\"n\":5}");
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foo"), "Zm9v");
  EXPECT_EQ(Quoted("a\"\n"), "\"a\\\"\\x0a\"");
}

}  // namespace
}  // namespace kvd
