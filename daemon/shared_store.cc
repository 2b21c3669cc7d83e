// SPDX-License-Identifier: MIT
#include "daemon/shared_store.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

namespace kvd {
namespace {

// How long nobody looks whether the start was given up.
constexpr std::chrono::milliseconds kLookEvery{100};

// What the store's Wake rings while it loads. Thread: any.
class Doorbell {
 public:
  void Ring() {
    const std::lock_guard lock(mutex_);
    rung_ = true;
    ringing_.notify_one();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    ringing_.wait_for(lock, kLookEvery, [this] { return rung_; });
    rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ringing_;
  bool rung_ = false;
};

}  // namespace

Result<std::vector<std::string>> CheckBackend(const Config& config,
                                              const SharedStores* shared) {
  const bool is_local = config.storage.backend == kLocalBackend;
  if (shared == nullptr) {
    if (is_local) return std::vector<std::string>();
    return Fail(
        ErrorCode::kInvalid,
        "storage.backend = \"{0}\" needs the program kvd-{0}, which has "
        "the same options and is beside kvd in a build with "
        "-DKVD_ETCD=ON; start that",
        config.storage.backend);
  }
  if (!is_local) return shared->check(config);
  return std::vector{
      fmt::format("storage.backend = \"{}\": {} keeps the data in {}, as kvd "
                  "does",
                  config.storage.backend, shared->program, config.data_dir)};
}

Result<std::unique_ptr<Store>> LoadShared(OpenSharedStore open_store,
                                          const SharedStoreOptions& options,
                                          Clock& clock, Wake wake,
                                          const OnLoadProgress& on_progress) {
  // The store may ring it as long as it lives.
  const auto doorbell = std::make_shared<Doorbell>();
  const auto ring = [doorbell, wake = std::move(wake)] {
    doorbell->Ring();
    wake();
  };
  KVD_TRY_ASSIGN(std::unique_ptr<Store> store,
                 open_store(options, clock, Wake(ring)));
  while (const std::optional<LoadProgress> progress = store->loading()) {
    if (!on_progress(*progress)) {
      return Fail(ErrorCode::kCancelled, "loading was given up");
    }
    doorbell->Wait();
    store->Poll();
    store->Tick();
    store->Pump();
    if (store->failure()) return Unexpected(*store->failure());
  }
  return store;
}

}  // namespace kvd
