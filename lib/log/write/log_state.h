// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <utility>

#include "base/error.h"

namespace kvd {

// Whether the log still takes changes in, and why not. Thread: loop.
class LogState {
 public:
  // Nothing is written any more, nothing becomes durable. The first error
  // counts.
  void Fail(Error error) {
    if (!failure_) failure_ = std::move(error);
  }
  // The same, because what is on disk is not there any more.
  void Abandon(Error error) {
    abandoned_ = true;
    Fail(std::move(error));
  }
  // What was appended is still written; then everything is sealed.
  void BeginStop() { stopping_ = true; }
  void EndStop() { stopped_ = true; }

  const std::optional<Error>& failure() const { return failure_; }
  bool abandoned() const { return abandoned_; }
  bool stopping() const { return stopping_; }
  bool stopped() const { return stopped_; }

 private:
  std::optional<Error> failure_;
  bool abandoned_ = false;
  bool stopping_ = false;
  bool stopped_ = false;
};

}  // namespace kvd
