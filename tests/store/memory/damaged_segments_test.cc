// SPDX-License-Identifier: MIT
#include "store/memory/damaged_segments.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace kvd {
namespace {

TEST(DamagedSegments, OtherBytesAreDamageAtOnce) {
  DamagedSegments damaged;
  const Error corrupt(ErrorCode::kCorruption, "checksum");
  EXPECT_EQ(damaged.Judge(7, corrupt), ReadFault::kDamage);
  EXPECT_TRUE(damaged.Contains(7));
  EXPECT_FALSE(damaged.Contains(8));
  EXPECT_EQ(damaged.Judge(7, corrupt), ReadFault::kDamage);
  EXPECT_EQ(damaged.size(), 1u);
}

TEST(DamagedSegments, BytesThatDoNotComeAreDamageTheSecondTime) {
  DamagedSegments damaged;
  const Error unreadable = Error::FromErrno(EIO, "pread");
  EXPECT_EQ(damaged.Judge(7, unreadable), ReadFault::kDoubt);
  EXPECT_EQ(damaged.Judge(8, unreadable), ReadFault::kDoubt);
  EXPECT_EQ(damaged.size(), 0u);
  EXPECT_EQ(damaged.Judge(7, unreadable), ReadFault::kDamage);
  EXPECT_TRUE(damaged.Contains(7));
  EXPECT_FALSE(damaged.Contains(8));
}

TEST(DamagedSegments, AShortageSaysNothing) {
  DamagedSegments damaged;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(damaged.Judge(7, Error::FromErrno(EMFILE, "open")),
              ReadFault::kNone);
  }
  EXPECT_EQ(damaged.Judge(7, Error::FromErrno(EIO, "pread")),
            ReadFault::kDoubt);
  EXPECT_EQ(damaged.size(), 0u);
}

}  // namespace
}  // namespace kvd
