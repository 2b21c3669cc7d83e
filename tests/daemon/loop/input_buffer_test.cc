// SPDX-License-Identifier: MIT
#include "daemon/loop/input_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace kvd {
namespace {

void Receive(InputBuffer& buffer, std::string_view bytes, size_t wanted = 0) {
  while (!bytes.empty()) {
    const auto room = buffer.Room(wanted);
    ASSERT_FALSE(room.empty());
    const size_t size = std::min(room.size(), bytes.size());
    std::copy_n(bytes.begin(), size, room.begin());
    buffer.Filled(size);
    bytes.remove_prefix(size);
  }
}

TEST(InputBuffer, KeepsBytesAcrossGrowthAndConsumption) {
  InputBuffer buffer;
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    const std::string piece(static_cast<size_t>(i) * 997 % 70'001,
                            static_cast<char>('a' + i % 26));
    Receive(buffer, piece);
    expected += piece;
    const size_t drop = expected.size() / 3;
    buffer.Consume(drop);
    expected.erase(0, drop);
    ASSERT_EQ(buffer.view(), expected);
  }
}

TEST(InputBuffer, AnAnnouncementAloneBuysNoMemory) {
  InputBuffer buffer;
  EXPECT_LE(buffer.Room(size_t{1} << 40).size(), InputBuffer::kReadBytes);
  Receive(buffer, std::string(1 << 20, 'x'));
  EXPECT_LE(buffer.Room(size_t{1} << 40).size(), size_t{2} << 20);
}

TEST(InputBuffer, ReleasesOnlyWhenEmpty) {
  InputBuffer buffer;
  Receive(buffer, "abc");
  buffer.Consume(1);
  buffer.ReleaseIfEmpty();
  EXPECT_EQ(buffer.view(), "bc");
  buffer.Consume(2);
  buffer.ReleaseIfEmpty();
  EXPECT_TRUE(buffer.empty());
  Receive(buffer, "d");
  EXPECT_EQ(buffer.view(), "d");
}

}  // namespace
}  // namespace kvd
