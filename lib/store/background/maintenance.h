// SPDX-License-Identifier: MIT
//
// What all background work on files has in common, whether it compacts, writes
// hints, scrubs or looks whether the files are there: a step on the maintenance
// thread, then a decision on the loop, then the next step; and a rate in bytes
// per second between them. A disk that does not answer holds up that thread
// alone.
#pragma once

#include <cstdint>
#include <functional>

#include "base/clock.h"
#include "base/error.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "base/mailbox.h"
#include "fs/file_system.h"
#include "log/log_writer.h"

namespace kvd {

// What all of them work with; it outlives them.
struct Maintenance {
  Directory& directory;
  LogWriter& log;
  Executor& executor;
  Clock& clock;
  Wake wake;
  LogSink report;
};

// Thread: loop.
class MaintenanceWorker {
 public:
  // Thread: maintenance.
  using Work = std::function<Result<void>()>;
  using Then = std::function<void(const Result<void>&)>;

  // Executor and clock outlive it. An executor may have several workers, whose
  // steps come one after the other.
  MaintenanceWorker(Executor& executor, Clock& clock, Wake wake);
  explicit MaintenanceWorker(const Maintenance& with)
      : MaintenanceWorker(with.executor, with.clock, with.wake) {}
  // Waits for the step under way; what should follow it does not. So its owner
  // declares it behind everything that a step refers to.
  ~MaintenanceWorker();
  MaintenanceWorker(const MaintenanceWorker&) = delete;
  MaintenanceWorker& operator=(const MaintenanceWorker&) = delete;

  // Has `work` done, then calls `then` with its outcome from some Poll(), which
  // `wake` asks for. Requires that no step is under way.
  void Step(Work work, Then then);
  bool under_way() const { return under_way_; }
  void Poll();

  // The rate counts from here …
  void BeginPace();
  // … what was done since.
  void CountBytes(uint64_t bytes) { pace_bytes_ += bytes; }
  // In how many ms the next step is within a rate, at least 1, or 0 if it is
  // now. A rate of 0 is no limit.
  int64_t WaitMs(double bytes_per_s) const;

  const Clock& clock() const { return clock_; }
  int64_t NowMs() const { return clock_.MonotonicUs() / 1000; }

 private:
  Executor& executor_;
  Clock& clock_;
  Wake wake_;
  Mailbox<Result<void>> outcomes_;
  bool under_way_ = false;
  Then then_;  // Of the step under way.
  int64_t pace_from_us_ = 0;
  uint64_t pace_bytes_ = 0;
};

}  // namespace kvd
