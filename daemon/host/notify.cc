// SPDX-License-Identifier: MIT
#include "daemon/host/notify.h"

#include <fmt/format.h>

#include <string>

#ifdef KVD_HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

namespace kvd::notify {
namespace {

// How much further start-up time each sign of progress asks for.
constexpr int64_t kExtendUs = 60 * 1000 * 1000;

// A failure is not ours to handle: kvd works without a manager.
void Send([[maybe_unused]] const std::string& state) {
#ifdef KVD_HAVE_SYSTEMD
  sd_notify(0, state.c_str());
#endif
}

}  // namespace

void Ready(std::string_view status) {
  Send(fmt::format("READY=1\nSTATUS={}", status));
}

void Status(std::string_view status) { Send(fmt::format("STATUS={}", status)); }

void Loading(const LoadProgress& progress) {
  if (!progress.words.empty()) {
    return Send(
        fmt::format("EXTEND_TIMEOUT_USEC={}\nSTATUS=Loading: {}\nWATCHDOG=1",
                    kExtendUs, progress.words));
  }
  const uint64_t percent = progress.bytes_all == 0
                               ? 100
                               : progress.bytes_done * 100 / progress.bytes_all;
  Send(fmt::format(
      "EXTEND_TIMEOUT_USEC={}\n"
      "STATUS=Loading: segment {} of {}, {} %\nWATCHDOG=1",
      kExtendUs, progress.segments_done, progress.segments_all, percent));
}

void Stopping() { Send("STOPPING=1\nSTATUS=Stopping"); }

void Alive() { Send("WATCHDOG=1"); }

std::optional<int64_t> WatchdogMs() {
#ifdef KVD_HAVE_SYSTEMD
  uint64_t timeout_us = 0;
  if (sd_watchdog_enabled(0, &timeout_us) > 0) {
    return static_cast<int64_t>(timeout_us / 1000);
  }
#endif
  return std::nullopt;
}

std::vector<int> PassedSockets() {
  std::vector<int> sockets;
#ifdef KVD_HAVE_SYSTEMD
  const int count = sd_listen_fds(1);
  for (int i = 0; i < count; ++i) sockets.push_back(SD_LISTEN_FDS_START + i);
#endif
  return sockets;
}

}  // namespace kvd::notify
