// SPDX-License-Identifier: MIT
//
// The examples in FORMAT.md are what the code reads and writes.
#include <gtest/gtest.h>

#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "log/format/manifest.h"
#include "log/format/segment_head.h"
#include "log/read/segment_reader.h"
#include "tests/log/format/format_page.h"
#include "tests/log/format/segment_builder.h"

namespace kvd {
namespace {

uint64_t Hex(std::string_view digits) {
  uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, 16);
  EXPECT_TRUE(error == std::errc() && stop == end) << digits;
  return value;
}

// Lines of "<offset>  <bytes>  <comment>": bytes are pairs of hex digits, or
// "00*<n>" for n zeros. Offsets are checked.
std::string BytesOf(const std::string& block) {
  std::string bytes;
  for (const std::string& line : Lines(block)) {
    const size_t offset_end = line.find("  ");
    EXPECT_NE(offset_end, std::string::npos) << line;
    EXPECT_EQ(Hex(line.substr(0, offset_end)), bytes.size()) << line;
    const size_t begin = offset_end + 2;
    const size_t end = line.find("  ", begin);
    EXPECT_NE(end, std::string::npos) << "no comment: " << line;
    std::stringstream words(line.substr(begin, end - begin));
    for (std::string word; words >> word;) {
      if (word.starts_with("00*")) {
        bytes.append(std::stoul(word.substr(3)), '\0');
      } else {
        EXPECT_EQ(word.size(), 2u) << line;
        bytes.push_back(static_cast<char>(Hex(word)));
      }
    }
  }
  return bytes;
}

std::string ExampleSegment() {
  return BytesOf(Block(Section(FormatPage(), "## Worked example"), 0));
}

SegmentHead ExampleHead() {
  SegmentHead head;
  head.databases_as_of = 40;
  std::swap(head.databases.internal[0], head.databases.internal[1]);
  head.databases.flushed[0] = 33;
  head.retired = {{1, 4}, {6, 10}};
  head.known_below = 12;
  head.counting = {{13, 14}};
  return head;
}

TEST(FormatPage, TheExampleSegmentReadsAsThePageSays) {
  const std::string bytes = ExampleSegment();
  SegmentHeader header;
  ASSERT_EQ(DecodeSegmentHeader(bytes, &header), HeaderOutcome::kHeader);
  EXPECT_EQ(header.identity.uuid, kTestIdentity.uuid);
  EXPECT_EQ(header.identity.id, 12u);
  EXPECT_EQ(header.identity.epoch, 7u);
  EXPECT_EQ(header.identity.kind, SegmentKind::kLog);
  EXPECT_EQ(header.first_seq, 41u);

  SegmentReader reader(bytes, header.identity);
  Group group;
  ASSERT_EQ(reader.Next(&group), Found::kGroup);
  EXPECT_EQ(DecodeSegmentHead(group.body, header.identity.Seed()),
            ExampleHead());
  ASSERT_EQ(reader.Next(&group), Found::kGroup);
  EXPECT_EQ(group.header.first_seq, 41u);
  EXPECT_EQ(group.header.durable_seq, 40u);
  ASSERT_EQ(group.records.size(), 2u);
  const Record& put = group.records[0];
  EXPECT_EQ(put.kind, RecordKind::kPut);
  EXPECT_EQ(put.seq, 41u);
  EXPECT_EQ(put.database, 0);
  EXPECT_EQ(put.deadline_ms, 1'700'000'000'000u);
  EXPECT_EQ(put.key, "greeting");
  EXPECT_EQ(put.value, "hi there");
  const Record& gone = group.records[1];
  EXPECT_EQ(gone.kind, RecordKind::kDelete);
  EXPECT_EQ(gone.seq, 42u);
  EXPECT_EQ(gone.database, 2);
  EXPECT_EQ(gone.key, "old");

  ASSERT_EQ(reader.Next(&group), Found::kGroup);
  EXPECT_TRUE(group.records.empty());
  EXPECT_EQ(group.header.first_seq, 43u);
  EXPECT_EQ(group.header.durable_seq, 42u);
  EXPECT_EQ(reader.Next(&group), Found::kNothing);
  EXPECT_EQ(reader.offset(), bytes.size());
}

TEST(FormatPage, TheExampleSegmentIsWhatTheWriterMakes) {
  const SegmentHead head = ExampleHead();
  SegmentBuilder builder(kTestIdentity, 41, &head);
  builder.Put("greeting", "hi there", 1'700'000'000'000);
  builder.Add({RecordKind::kDelete, 2, 0, 0, "old", ""});
  builder.Finish(40);
  builder.Finish(42);
  EXPECT_EQ(ExampleSegment(), builder.bytes());
}

TEST(FormatPage, TheExampleManifestIsWhatTheWriterMakes) {
  const std::string text = Block(Section(FormatPage(), "## MANIFEST"), 0);
  const Result<Manifest> manifest = DecodeManifest(text, "FORMAT.md");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message();
  EXPECT_EQ(EncodeManifest(*manifest), text);
  EXPECT_EQ(manifest->uuid, kTestIdentity.uuid);
  EXPECT_EQ(manifest->epoch, 7u);
  EXPECT_EQ(manifest->databases.internal[0], 1);
  EXPECT_EQ(manifest->databases.flushed[0], 900u);
  ASSERT_TRUE(manifest->active && manifest->prepared);
  EXPECT_EQ(manifest->active->id, 12u);
  EXPECT_EQ(manifest->prepared->id, 13u);
  ASSERT_EQ(manifest->sealed.size(), 1u);
  EXPECT_EQ(manifest->sealed[0].last_seq, 1100u);
}

}  // namespace
}  // namespace kvd
