// SPDX-License-Identifier: MIT
//
// The writer with its jobs on a real thread; ThreadSanitizer and
// AddressSanitizer are the judges.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "log/log_writer.h"
#include "tests/support/manual_clock.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

class LogWriterThreads : public testing::Test {
 protected:
  LogWriterThreads() {
    options_.segment_bytes = 16 * 1024;
    options_.log = [](Severity, const std::string&) {};
    manifest_.epoch = 1;
  }

  std::unique_ptr<LogWriter> Start(SimFileSystem* disk) {
    directory_ = disk->OpenDirectory();
    auto writer = LogWriter::Start(*directory_, manifest_, options_, executor_,
                                   clock_, [this] { ++wakes_; });
    EXPECT_TRUE(writer.ok());
    return std::move(*writer);
  }

  std::atomic<int> wakes_ = 0;
  ManualClock clock_;
  LogWriterOptions options_;
  Manifest manifest_;
  std::unique_ptr<Directory> directory_;
  ThreadExecutor executor_{"test"};
};

// A job's last word is its event; nothing of the writer is touched after it.
TEST_F(LogWriterThreads, MayBeDestroyedWithJobsUnderWay) {
  for (int round = 0; round < 300; ++round) {
    SimFileSystem disk;
    {
      const std::unique_ptr<LogWriter> log = Start(&disk);
      // At different moments of preparing and naming a segment.
      for (int i = 0; i < round % 7; ++i) {
        log->Poll();
        std::this_thread::yield();
      }
    }
    directory_.reset();
  }
}

TEST_F(LogWriterThreads, WritesWhileSegmentsArePreparedElsewhere) {
  SimFileSystem disk;
  {
    const std::unique_ptr<LogWriter> log = Start(&disk);
    while (log->last_seq() < 300 && !log->failure()) {
      if (log->RoomFor(RecordBytes(1, 500), Purpose::kWrite) == Room::kReady) {
        log->Append(RecordKind::kPut, 0, "k", std::string(500, 'v'), 0);
      }
      log->Pump();
      log->Poll();
    }
    log->Stop();
    while (!log->stopped() && !log->failure()) log->Poll();
    EXPECT_TRUE(log->stopped());
    EXPECT_EQ(log->durable_seq(), 300u);
  }
  EXPECT_GT(wakes_, 0);
  directory_.reset();
}

}  // namespace
}  // namespace kvd
