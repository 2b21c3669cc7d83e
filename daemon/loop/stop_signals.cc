// SPDX-License-Identifier: MIT
#include "daemon/loop/stop_signals.h"

#include <csignal>
#include <utility>

#include "base/check.h"

namespace kvd {

StopSignals::StopSignals(EventLoop& loop) {
  Watch(loop, SIGTERM);
  Watch(loop, SIGINT);
}

void StopSignals::Watch(EventLoop& loop, int signal) {
  const auto on_signal = [](uv_signal_t* handle, int number) {
    auto* self = static_cast<StopSignals*>(handle->data);
    if (self == nullptr) return;
    self->pending_ = number;
    if (self->on_signal_) self->on_signal_(number);
  };
  auto* handle = new uv_signal_t;
  KVD_CHECK(uv_signal_init(loop.get(), handle) == 0);
  handle->data = this;
  handles_.emplace_back(handle);
  KVD_CHECK(uv_signal_start(handle, on_signal, signal) == 0);
}

void StopSignals::OnSignal(std::function<void(int)> on_signal) {
  on_signal_ = std::move(on_signal);
  if (pending_ != 0 && on_signal_) on_signal_(pending_);
}

}  // namespace kvd
