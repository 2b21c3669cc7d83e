// SPDX-License-Identifier: MIT
//
// The log's jobs on the slow-work executor, and what they answer.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/executor.h"
#include "base/mailbox.h"
#include "log/write/prepare_segment.h"

namespace kvd {

struct SegmentPrepared {
  uint64_t bytes_min = 0;  // That it was to have at least.
  Result<PreparedSegment> result;
};
struct SegmentZeroed {
  Result<void> result;
};
struct ManifestSaved {
  Result<void> result;
  uint64_t identity = 0;  // Of the new file.
};
struct SpareLeft {};  // For the MANIFEST after that.

using SlowAnswer =
    std::variant<SegmentPrepared, SegmentZeroed, ManifestSaved, SpareLeft>;

// Thread: loop, where nothing else is said.
class SlowJobs {
 public:
  // Thread: slow work, within a job.
  class Answer {
   public:
    Answer(Mailbox<SlowAnswer>& box, Wake wake)
        : box_(box), wake_(std::move(wake)) {}
    void operator()(SlowAnswer answer) const {
      box_.Put(std::move(answer));
      wake_();
    }

   private:
    Mailbox<SlowAnswer>& box_;
    Wake wake_;
  };

  // `executor` outlives it.
  SlowJobs(Executor& executor, Wake wake)
      : executor_(executor), wake_(std::move(wake)) {}
  // Waits for all jobs.
  ~SlowJobs() {
    while (under_way_ > 0) {
      if (answers_.Wait()) --under_way_;
    }
  }
  SlowJobs(const SlowJobs&) = delete;
  SlowJobs& operator=(const SlowJobs&) = delete;

  // Runs `work`, which answers `answers` times. It touches nothing of the
  // loop's after the last one: whoever takes that may destroy everything.
  void Post(int answers, std::function<void(const Answer&)> work) {
    under_way_ += answers;
    executor_.Post([answer = Answer(answers_, wake_), work = std::move(work)] {
      work(answer);
    });
  }
  // What has come since the last call.
  std::deque<SlowAnswer> TakeAnswers() {
    std::deque<SlowAnswer> answers = answers_.TakeAll();
    under_way_ -= static_cast<int>(answers.size());
    return answers;
  }
  bool idle() const { return under_way_ == 0; }

 private:
  Executor& executor_;
  Wake wake_;
  Mailbox<SlowAnswer> answers_;
  int under_way_ = 0;  // Answers that were not taken yet.
};

}  // namespace kvd
