// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <string>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/error.h"
#include "base/executor.h"
#include "base/mailbox.h"

namespace kvd {
namespace {

TEST(Coding, IntegersAreLittleEndian) {
  std::string out;
  AppendLe<uint32_t>(&out, 0x01020304);
  EXPECT_EQ(out, std::string("\x04\x03\x02\x01", 4));
  EXPECT_EQ(LoadLe<uint32_t>(out.data()), 0x01020304u);
}

TEST(Coding, AlignsBothWays) {
  EXPECT_EQ(AlignUp(0, 8), 0u);
  EXPECT_EQ(AlignUp(1, 8), 8u);
  EXPECT_EQ(AlignUp(8, 8), 8u);
  EXPECT_EQ(AlignDown(15, 8), 8u);
}

TEST(Coding, SeesEveryByteThatIsNotZero) {
  EXPECT_TRUE(IsZero(""));
  for (size_t size = 1; size < 70; ++size) {
    std::string bytes(size, '\0');
    EXPECT_TRUE(IsZero(bytes));
    for (size_t at = 0; at < size; ++at) {
      bytes[at] = '\x80';
      EXPECT_FALSE(IsZero(bytes)) << at << " of " << size;
      bytes[at] = '\0';
    }
  }
}

TEST(Checksum, PiecesEqualTheWhole) {
  const std::string bytes(1000, 'x');
  StreamingChecksum pieces(7);
  pieces.Update(std::string_view(bytes).substr(0, 1));
  pieces.Update(std::string_view(bytes).substr(1));
  EXPECT_EQ(pieces.Digest(), Checksum(bytes, 7));
  EXPECT_NE(pieces.Digest(), Checksum(bytes, 8));
}

TEST(Error, TellsAFullDiskFromABrokenOne) {
  EXPECT_EQ(Error::FromErrno(ENOSPC, "write a").code(), ErrorCode::kNoSpace);
  EXPECT_EQ(Error::FromErrno(EDQUOT, "write a").code(), ErrorCode::kNoSpace);
  EXPECT_EQ(Error::FromErrno(EIO, "write a").code(), ErrorCode::kIo);
  EXPECT_EQ(Error::FromErrno(EIO, "write a").message(),
            "write a: Input/output error");
}

TEST(ThreadExecutor, RunsJobsInOrderAndAllBeforeItEnds) {
  std::string order;
  {
    ThreadExecutor executor("test");
    for (char c : {'a', 'b', 'c'}) {
      executor.Post([&order, c] { order.push_back(c); });
    }
  }
  EXPECT_EQ(order, "abc");
}

TEST(Mailbox, GivesValuesInOrderAndEndsWhenClosed) {
  Mailbox<int> mailbox;
  mailbox.Put(1);
  mailbox.Put(2);
  mailbox.Close();
  EXPECT_EQ(mailbox.Wait(), 1);
  EXPECT_EQ(mailbox.Wait(), 2);
  EXPECT_EQ(mailbox.Wait(), std::nullopt);
}

}  // namespace
}  // namespace kvd
