// SPDX-License-Identifier: MIT
#pragma once

#include <uv.h>

#include "daemon/loop/event_loop.h"

namespace kvd {

// A loop that a test turns.
class TestLoop : public EventLoop {
 public:
  // One turn, without waiting for anything.
  void RunOnce() { uv_run(get(), UV_RUN_NOWAIT); }
};

}  // namespace kvd
