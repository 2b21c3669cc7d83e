// SPDX-License-Identifier: MIT
//
// How a kvd takes in keys, where they are more than come or fit.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "tests/etcd/engine_host.h"
#include "tests/support/fake_etcd.h"

namespace kvd::etcd {
namespace {

class EngineLoader : public EngineTest {
 protected:
  // Also of this one.
  void PassWith(Host& host, int64_t ms = 1) {
    host.store().Pump();
    clock_.AdvanceMs(ms - 1);
    Pass();
    host.store().Poll();
    host.store().Tick();
  }
  // Whether it comes to that within a minute of the test's.
  bool UntilWith(Host& host, const std::function<bool()>& done) {
    for (int i = 0; i < 1200; ++i, PassWith(host, 50)) {
      if (done()) return true;
    }
    return false;
  }
  EtcdStoreOptions Logged(uint64_t memory_limit_bytes) {
    EtcdStoreOptions options = WithoutBeats();
    options.memory_limit_bytes = memory_limit_bytes;
    options.log = [this](Severity severity, const std::string& line) {
      if (severity == Severity::kWarning) warnings_.push_back(line);
    };
    return options;
  }
  // As another host does.
  void PutKeys(int from, int to) {
    for (int i = from; i < to; ++i) {
      etcd_.Put("kvd/0/0/key" + std::to_string(i), "0" + kValue);
    }
  }
  static size_t MemoryWarnings(Host& host) {
    return static_cast<size_t>(std::ranges::count_if(
        host.store().Backing().fields, [](const auto& field) {
          const auto* text = std::get_if<std::string>(&field.second);
          return field.first.starts_with("etcd_warning") && text != nullptr &&
                 text->find("memory.limit") != text->npos;
        }));
  }
  // What a write of the host hears.
  Room Write(Host& host) {
    Room room = Room::kWait;
    EXPECT_TRUE(UntilWith(host, [&] {
      room = host.Try(false, [&](Operation& op) {
        op.AdmitPut("more", kValue.size(), 0);
        Host::Put(op, "more", kValue);
      });
      return room != Room::kWait;
    }));
    return room;
  }

  const std::string kValue = std::string(20'000, 'v');
  std::vector<std::string> warnings_;
};

TEST_F(EngineLoader, AsksForKeysThatAreTooLargeInParts) {
  PutKeys(0, 100);
  etcd_.set_range_bytes_max(5 * kValue.size());
  EtcdStoreOptions options = WithoutBeats();
  options.timeout_ms = 300;
  Host host(etcd_, clock_, "host", options);
  EXPECT_TRUE(UntilWith(host, [&] { return !host.store().loading(); }));
  EXPECT_EQ(host.store().Stats().keys[0], 100u);
}

// --- memory.limit -----------------------------------------------------------

constexpr uint64_t kLimit = 2 << 20;

class EngineMemory : public EngineLoader {
 protected:
  // Others have written more than it may have.
  EngineMemory() {
    EXPECT_TRUE(UntilWith(host_, [&] { return !host_.store().loading(); }));
    PutKeys(0, 200);
    EXPECT_TRUE(UntilWith(host_, [&] { return HasAll(host_); }));
    PassWith(host_);
  }
  static bool HasAll(Host& host) {
    return host.store().Stats().keys[0] == 200u;
  }

  Host host_{etcd_, clock_, "host", Logged(kLimit)};
};

TEST_F(EngineMemory, WhatOthersWriteComesInAndOwnWritesAreRefused) {
  EXPECT_EQ(host_.Get("key199", [this] { PassWith(host_); }), kValue);
  EXPECT_EQ(Write(host_), Room::kMemoryFull);
  EXPECT_TRUE(host_.store().Stats().memory_full);
  for (int i = 0; i < 100; ++i) PassWith(host_);
  EXPECT_EQ(std::ranges::count_if(warnings_,
                                  [](const std::string& line) {
                                    return line.find("other hosts write") !=
                                           line.npos;
                                  }),
            1);
  EXPECT_EQ(MemoryWarnings(host_), 1u);
}

TEST_F(EngineMemory, ThereIsRoomAgainWhenKeysGo) {
  for (int i = 50; i < 200; ++i) {
    etcd_.Delete("kvd/0/0/key" + std::to_string(i));
  }
  EXPECT_TRUE(
      UntilWith(host_, [&] { return host_.store().Stats().keys[0] == 50u; }));
  EXPECT_EQ(Write(host_), Room::kReady);
  EXPECT_EQ(MemoryWarnings(host_), 0u);
  // It says so again the next time.
  const size_t before = warnings_.size();
  PutKeys(50, 200);
  EXPECT_TRUE(UntilWith(host_, [&] { return warnings_.size() > before; }));
}

// Whoever serves goes on, and only a start is refused.
TEST_F(EngineMemory, WhatIsLoadedAnewComesInAndAStartIsRefused) {
  etcd_.BreakWatches();
  etcd_.Put("kvd/0/0/key0", "0new");
  ASSERT_TRUE(etcd_.Compact(etcd_.state().revision()).ok());
  etcd_.ResumeWatches();
  EXPECT_EQ(host_.Get("key0", [this] { PassWith(host_); }), "new");
  EXPECT_TRUE(HasAll(host_));
  EXPECT_FALSE(host_.store().failure());

  Host again(etcd_, clock_, "again", Logged(kLimit));
  EXPECT_TRUE(
      UntilWith(again, [&] { return again.store().failure().has_value(); }));
  const std::string& why = again.store().failure()->message();
  EXPECT_NE(why.find("memory.limit is 2 MiB"), std::string::npos) << why;
}

}  // namespace
}  // namespace kvd::etcd
