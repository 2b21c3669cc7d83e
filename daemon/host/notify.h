// SPDX-License-Identifier: MIT
//
// What kvd tells the service manager, see sd_notify(3). Without one, or when
// built without libsystemd, nothing happens.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace kvd::notify {

// Service is up; clients are served.
void Ready(std::string_view status);
// One line for `systemctl status`.
void Status(std::string_view status);
// Start-up makes progress and may take longer than its timeout.
void Loading(const LoadProgress& progress);
void Stopping();

// Progress counts, not speed: the loop turns, so kvd lives, even while a flush
// takes its time. Call it several times in every WatchdogMs().
void Alive();
// The time without Alive() after which the manager acts; none if it does not.
std::optional<int64_t> WatchdogMs();

// Listening sockets that the manager passed. Call it once.
std::vector<int> PassedSockets();

}  // namespace kvd::notify
