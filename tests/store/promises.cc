// SPDX-License-Identifier: MIT
#include "tests/store/promises.h"

#include <fmt/format.h>

#include <cerrno>
#include <memory>
#include <set>

#include "log/manifest.h"
#include "tests/store/machine.h"

namespace kvd {
namespace {

// A store in which "key" is durable and a removal of it is under way.
struct RemovalUnderWay {
  SimFileSystem disk;
  History history;
  Machine machine{&disk, &history};

  RemovalUnderWay() {
    disk.SetWriteMode(SimFileSystem::WriteMode::kAtPoll);
    if (!machine.Open()) return;
    machine.Put("key", "value");
    machine.Settle();
    machine.Delete("key");
  }
};

uint64_t EpochOnDisk(const SimFileSystem& disk) {
  const Result<Manifest> manifest =
      DecodeManifest(disk.ReadAll(kManifestName), "MANIFEST");
  return manifest ? manifest->epoch : 0;
}

// A disk with a store of a few records, left as `leave` says.
struct SmallStoreOnDisk {
  SimFileSystem disk;
  History history;

  explicit SmallStoreOnDisk(bool clean_stop) {
    Machine machine(&disk, &history);
    if (!machine.Open()) return;
    for (int i = 0; i < 4; ++i) {
      machine.Put(fmt::format("key{}", i % 3), fmt::format("value {}", i));
      machine.Settle();
    }
    machine.Delete("key1");
    machine.Settle();
    if (clean_stop) {
      machine.Stop();
    } else {
      machine.AdvanceMs(1000);
      machine.Tick();
      machine.Turn();
    }
  }
};

std::string CheckFlip(const SmallStoreOnDisk& store, const std::string& name,
                      uint64_t bit) {
  const std::unique_ptr<SimFileSystem> disk = store.disk.Clone();
  disk->Flip(name, bit);
  History history;
  Machine machine(disk.get(), &history);
  const Result<void> opened = machine.Open();
  if (!opened) {
    const ErrorCode code = opened.error().code();
    if (code == ErrorCode::kCorruption || code == ErrorCode::kFormat) return "";
    return fmt::format("{} bit {}: {}", name, bit, opened.error().message());
  }
  if (machine.Dump() == store.history.states.back()) return "";
  return fmt::format("{} bit {}: opens to another state", name, bit);
}

}  // namespace

std::string CheckAbsenceWaits() {
  RemovalUnderWay store;
  Operation operation(store.machine.store(), 0);
  if (operation.Find("key") != nullptr) return "the removed key is there";
  if (!store.machine.store().MustWait(operation.seen())) {
    return "a reply shows an absence that a crash could undo";
  }
  store.machine.Settle();
  if (store.machine.store().MustWait(operation.seen())) {
    return "the reply waits although the removal is durable";
  }
  Operation later(store.machine.store(), 0);
  later.Find("key");
  later.Find("never there");
  return later.seen() == 0 ? "" : "the ghost stays";
}

std::string CheckCountWaits() {
  RemovalUnderWay store;
  Operation operation(store.machine.store(), 0);
  if (operation.Count() != 0) return "counts the removed key";
  if (!store.machine.store().MustWait(operation.seen())) {
    return "a reply shows a count that a crash could undo";
  }
  store.machine.Settle();
  return store.machine.store().MustWait(operation.seen())
             ? "the reply waits although the removal is durable"
             : "";
}

std::string CheckEpochIsNew() {
  SimFileSystem disk;
  History history;
  std::set<uint64_t> seen;
  for (int life = 0; life < 4; ++life) {
    Machine machine(&disk, &history);
    if (!machine.Open()) return "does not open";
    if (!seen.insert(EpochOnDisk(disk)).second) {
      return fmt::format("epoch {} was used before", EpochOnDisk(disk));
    }
    machine.Put("key", "value");
    machine.Settle();
    if (life == 1) machine.Stop();
  }
  return "";
}

std::string CheckFlipsAreFound() {
  for (const bool clean_stop : {true, false}) {
    const SmallStoreOnDisk store(clean_stop);
    for (const std::string& name : store.disk.Names()) {
      if (name == "LOCK") continue;
      const std::string content = store.disk.ReadAll(name);
      // Behind the last written byte a segment is zeros: a few are enough.
      const size_t written = content.find_last_not_of('\0') + 1;
      const size_t bytes = std::min(content.size(), written + 64);
      for (uint64_t bit = 0; bit < bytes * 8; ++bit) {
        if (std::string wrong = CheckFlip(store, name, bit); !wrong.empty()) {
          return wrong;
        }
      }
    }
  }
  return "";
}

std::string CheckFailedFlushBeforeCrash() {
  SimFileSystem disk;
  History history;
  {
    Machine machine(&disk, &history);
    if (!machine.Open()) return "does not open";
    machine.Put("key", "old");
    machine.Settle();
    disk.SetFailedSync({.reaches_disk = false, .stays_in_cache = true});
    disk.FailAt(SimFileSystem::Op::kComplete, 0, EIO);
    machine.Put("key", "new");
    machine.Turn();
    machine.Turn();
    if (!machine.store().failure()) return "the failed flush went unnoticed";
  }
  disk.ClearFailures();
  std::string served;
  {
    Machine machine(&disk, &history);
    if (!machine.Open()) return "does not open after the failed flush";
    served = machine.Get("key").value_or("(nothing)");
  }
  for (const CrashChoice& choice : disk.Choices(16)) {
    const auto image = disk.Image(choice);
    Machine machine(image.get(), &history);
    if (Result<void> opened = machine.Open(); !opened) {
      return "does not open after the power loss: " + opened.error().message();
    }
    if (machine.Get("key") != served) {
      return fmt::format("served \"{}\", then lost it", served);
    }
  }
  return "";
}

}  // namespace kvd
