// SPDX-License-Identifier: MIT
//
// How the daemon gets a store whose data is elsewhere, from a library that it
// may be linked with or not.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "config/config.h"
#include "store/store.h"

namespace kvd {

struct SharedStoreOptions {
  const Config& config;
  uint64_t memory_limit_bytes = 0;
  // Of this data directory and no other one.
  std::string id;
  LogSink log;
};

// References outlive the store. kInvalid when a setting is wrong.
using OpenSharedStore = Result<std::unique_ptr<Store>> (*)(
    const SharedStoreOptions& options, Clock& clock, Wake wake);

// A program that has such stores.
struct SharedStores {
  std::string_view program;
  OpenSharedStore open;
  // What is known of the settings without asking anybody: kInvalid, or lines
  // for people.
  Result<std::vector<std::string>> (*check)(const Config& config);
};

// Refuses (kInvalid) settings that the program, which has such stores or (null)
// has not, would not start with.
Result<std::vector<std::string>> CheckBackend(const Config& config,
                                              const SharedStores* shared);

// Opens a store and drives it, as the loop will, to let it take in what is
// elsewhere, on the thread that calls. `on_progress` hears of it, and ends it
// (kCancelled) by saying false. `wake` is the store's from then on.
Result<std::unique_ptr<Store>> LoadShared(OpenSharedStore open_store,
                                          const SharedStoreOptions& options,
                                          Clock& clock, Wake wake,
                                          const OnLoadProgress& on_progress);

}  // namespace kvd
