// SPDX-License-Identifier: MIT
//
// The store with its real threads on a real file system: what sanitizers watch.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/event_fd.h"
#include "base/executor.h"
#include "fs/posix_file_system.h"
#include "store/operation.h"
#include "store/store.h"
#include "tests/support/rings.h"
#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

// A loop thread in small: sleeps until the store wakes it.
class ThreadedStore {
 public:
  ThreadedStore(const std::string& path, SyncMode sync, WriteDevice device) {
    auto directory = OpenPosixDirectory(path, {.create = true});
    EXPECT_TRUE(directory);
    directory_ = std::move(*directory);
    EXPECT_TRUE(directory_->Lock());
    StoreOptions options;
    options.sync = sync;
    options.write_device = device;
    options.segment_bytes = 64 * 1024;
    options.open_group_bytes_max = 16 * 1024;
    options.compaction.interval_ms = 0;
    options.compaction.rate_bytes_per_s = 0;
    options.load_threads = 2;
    auto store =
        Store::Open(*directory_, options, {executor_, maintenance_, reads_},
                    clock_, wakes_.wake());
    EXPECT_TRUE(store) << store.error().message();
    store_ = std::move(*store);
  }

  void Put(const std::string& key, const std::string& value) {
    while (true) {
      ColdValues cold;
      Operation operation(*store_, 0, &cold);
      operation.Find(key);
      const Room room = operation.Reserve(
          Operation::PutBytes(key.size(), value.size()), Purpose::kWrite);
      if (room == Room::kReady) {
        operation.Put(key, value, 0, KeyEvent::kSet);
        return;
      }
      ASSERT_EQ(room, Room::kWait);
      Turn();
    }
  }

  // Waits for one wake-up.
  void Turn() {
    store_->Pump();
    AwaitWake(wakes_);
    store_->Poll();
    ASSERT_FALSE(store_->failure()) << store_->failure()->message();
    store_->Pump();
  }

  void Stop() {
    store_->Stop();
    while (!store_->stopped()) {
      AwaitWake(wakes_);
      store_->Poll();
    }
  }

  Store& store() { return *store_; }

  std::map<std::string, std::string> Dump() {
    std::map<std::string, std::string> all;
    uint64_t cursor = 0;
    do {
      ColdValues cold;
      Operation operation(*store_, 0, &cold);
      cursor = operation.Scan(cursor, 100, [&](const Entry& entry) {
        all[std::string(entry.key())] = "";
      });
    } while (cursor != 0);
    for (auto& [key, value] : all) value = Get(key);
    return all;
  }

  // The value of a key that is there, wherever it is.
  std::string Get(const std::string& key) {
    ColdValues cold;
    while (true) {
      Operation operation(*store_, 0, &cold);
      const Entry* entry = operation.Find(key);
      if (entry == nullptr) return "(vanished)";
      const std::string value(operation.Value(*entry));
      if (cold.error()) return cold.error()->message();
      if (!cold.wanted()) {
        operation.KeepValues();
        return value;
      }
      bool read = false;
      store_->Read(&cold, [&read] { read = true; });
      store_->Pump();
      while (!read) {
        AwaitWake(wakes_);
        store_->Poll();
      }
    }
  }

 private:
  SystemClock clock_;
  EventFd wakes_;
  ThreadExecutor executor_{"test-prepare"};
  ThreadExecutor maintenance_{"test-maintain"};
  ThreadExecutor reads_{"test-read"};
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<Store> store_;
};

struct Mode {
  const char* name;
  SyncMode sync;
  WriteDevice device;
};

class Threaded : public testing::TestWithParam<Mode> {
 protected:
  void SetUp() override {
    if (GetParam().device == WriteDevice::kRing && !HasRings(temp_.path())) {
      GTEST_SKIP() << "no io_uring for files of " << temp_.path();
    }
  }

  ThreadedStore Open() {
    return ThreadedStore(temp_.path() + "/data", GetParam().sync,
                         GetParam().device);
  }
  bool IsLazy() const { return GetParam().sync != SyncMode::kAlways; }

 private:
  TempDir temp_;
};

TEST_P(Threaded, LivesThroughSegmentsAndStops) {
  std::map<std::string, std::string> expected;
  for (int life = 0; life < 3; ++life) {
    ThreadedStore store = Open();
    EXPECT_EQ(store.Dump(), expected);
    for (int i = 0; i < 400; ++i) {
      const std::string key = "key" + std::to_string(i % 97);
      const std::string value(static_cast<size_t>(100 + i), 'a' + life);
      store.Put(key, value);
      expected[key] = value;
      if (i % 25 == 0) store.store().Pump();
    }
    if (life != 1) store.Stop();
    if (life == 1) {
      // Killed, but not before all of it was on its way.
      while (!IsLazy() &&
             store.store().durable_seq() < store.store().last_seq()) {
        store.Turn();
      }
      if (IsLazy()) store.Stop();
    }
  }
}

TEST_P(Threaded, CompactsBesideItsWriter) {
  std::map<std::string, std::string> expected;
  {
    ThreadedStore store = Open();
    uint64_t run = 0;
    for (int i = 0; i < 3000; ++i) {
      const std::string key = "key" + std::to_string(i % 97);
      const std::string value(200, static_cast<char>('a' + i % 26));
      store.Put(key, value);
      expected[key] = value;
      store.store().Pump();
      store.store().Poll();
      if (store.store().compaction().runs_ended >= run) {
        run = store.store().Compact();
      }
    }
    while (store.store().compaction().runs_ended < run) store.Turn();
    EXPECT_GT(store.store().compaction().reclaimed_bytes, 0u);
    EXPECT_EQ(store.store().compaction().errors, 0u);
    EXPECT_EQ(store.Dump(), expected);
    store.Stop();
  }
  ThreadedStore store = Open();
  EXPECT_EQ(store.Dump(), expected);
  store.Stop();
}

INSTANTIATE_TEST_SUITE_P(
    Modes, Threaded,
    testing::Values(
        Mode{"AlwaysByThread", SyncMode::kAlways, WriteDevice::kThread},
        Mode{"AlwaysByRing", SyncMode::kAlways, WriteDevice::kRing},
        Mode{"NeverByThread", SyncMode::kNever, WriteDevice::kThread},
        Mode{"NeverByRing", SyncMode::kNever, WriteDevice::kRing}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace kvd
