// SPDX-License-Identifier: MIT
#pragma once

#include <uv.h>

#include <functional>
#include <vector>

#include "daemon/loop/event_loop.h"
#include "daemon/loop/uv_ptr.h"

namespace kvd {

// SIGTERM and SIGINT as events of the loop. From its making on neither ends the
// process by itself. Thread: loop.
class StopSignals {
 public:
  explicit StopSignals(EventLoop& loop);
  // Called for each signal; at once if one has come already.
  void OnSignal(std::function<void(int signal)> on_signal);

 private:
  void Watch(EventLoop& loop, int signal);

  std::function<void(int)> on_signal_;
  int pending_ = 0;
  std::vector<UvPtr<uv_signal_t>> handles_;
};

}  // namespace kvd
