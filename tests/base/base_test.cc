// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/error.h"
#include "base/executor.h"
#include "base/mailbox.h"
#include "base/memory_hints.h"

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

class PopulateTest : public testing::Test {
 protected:
  static constexpr size_t kPages = 8;

  void SetUp() override {
    void* mapped = mmap(nullptr, kPages * page_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(mapped, MAP_FAILED);
    // A huge page would be there as a whole.
    madvise(mapped, kPages * page_, MADV_NOHUGEPAGE);
    memory_ = static_cast<char*>(mapped);
    if (madvise(memory_, page_, MADV_POPULATE_WRITE) != 0) {
      GTEST_SKIP() << "the kernel cannot populate memory";
    }
    madvise(memory_, page_, MADV_DONTNEED);
  }
  void TearDown() override { munmap(memory_, kPages * page_); }

  std::vector<size_t> PagesThere() const {
    std::vector<unsigned char> there(kPages);
    EXPECT_EQ(mincore(memory_, kPages * page_, there.data()), 0);
    std::vector<size_t> pages;
    for (size_t i = 0; i < kPages; ++i) {
      if ((there[i] & 1) != 0) pages.push_back(i);
    }
    return pages;
  }

  const size_t page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  char* memory_ = nullptr;
};

TEST_F(PopulateTest, FindsMemoryForEveryPageThatHasAByte) {
  EXPECT_EQ(PagesThere(), std::vector<size_t>{});
  Populate(memory_ + 2 * page_ - 1, page_ + 2);
  EXPECT_EQ(PagesThere(), (std::vector<size_t>{1, 2, 3}));
  Populate(memory_ + 5 * page_, page_);
  EXPECT_EQ(PagesThere(), (std::vector<size_t>{1, 2, 3, 5}));
}

TEST_F(PopulateTest, LeavesWhatIsThere) {
  memory_[0] = 'a';
  memory_[page_] = 'b';
  Populate(memory_, 3 * page_);
  EXPECT_EQ(memory_[0], 'a');
  EXPECT_EQ(memory_[page_], 'b');
  EXPECT_EQ(memory_[2 * page_], 0);
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

TEST(Mailbox, GivesWhatIsThereWithoutWaiting) {
  Mailbox<int> mailbox;
  EXPECT_EQ(mailbox.TryTake(), std::nullopt);
  mailbox.Put(1);
  mailbox.Put(2);
  EXPECT_EQ(mailbox.TryTake(), 1);
  EXPECT_EQ(mailbox.TryTake(), 2);
  EXPECT_EQ(mailbox.TryTake(), std::nullopt);
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
