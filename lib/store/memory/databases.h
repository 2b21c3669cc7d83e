// SPDX-License-Identifier: MIT
//
// The databases in memory, and what their keys, values and records take in all.
//
// A database has two numbers. Records have the internal one, which never
// changes; clients have theirs, and a swap exchanges which internal databases
// two of them mean.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "log/format/manifest.h"
#include "store/memory/basics.h"
#include "store/memory/keyspace.h"
#include "store/memory/segment_usage.h"

namespace kvd {

// Thread: loop; the start's until there is one.
class Databases {
 public:
  // Empty ones. All hash with one seed, which no client knows.
  Databases();
  Databases(const Databases&) = delete;
  Databases& operator=(const Databases&) = delete;

  Keyspace& OfClient(int number) { return *keyspaces_[InternalOf(number)]; }
  const Keyspace& OfClient(int number) const {
    return *keyspaces_[InternalOf(number)];
  }
  Keyspace& Internal(size_t number) { return *keyspaces_[number]; }
  const Keyspace& Internal(size_t number) const { return *keyspaces_[number]; }
  // By internal number.
  std::span<const std::unique_ptr<Keyspace>> all() const { return keyspaces_; }
  // The internal one.
  uint8_t NumberOf(const Keyspace& keyspace) const;
  // The client's one.
  int ClientOf(const Keyspace& keyspace) const;
  uint64_t hash_seed() const { return keyspaces_.front()->hash_seed(); }

  // Which live where, as executed, durable or not.
  const DatabaseMap& map() const { return map_; }
  // Exchanges two clients' databases, by that change.
  void Swap(uint8_t one, uint8_t other, Seq seq);
  // Undoes the newest swap; those before it, by database.
  void SwapBack(uint8_t one, uint8_t other, Seq before_one, Seq before_other);
  // The newest swap of a client's database since the start. All that is seen in
  // there depends on it.
  Seq swapped(int number) const {
    return swapped_[static_cast<size_t>(number)];
  }

  // For replay. What the MANIFEST knows; a flush that is newer, with all that
  // it frees; a swap that is newer.
  void Adopt(const DatabaseMap& known);
  void ReplayFlush(uint16_t internal, Seq seq);
  void ReplaySwap(uint16_t one, uint16_t other);
  // Back to empty databases and figures of nothing.
  void BeginAgain();

  SegmentUsage& usage() { return usage_; }
  const SegmentUsage& usage() const { return usage_; }
  MemoryUse& memory() { return memory_; }
  const MemoryUse& memory() const { return memory_; }

 private:
  size_t InternalOf(int number) const {
    return map_.internal[static_cast<size_t>(number)];
  }
  void MakeKeyspaces(uint64_t hash_seed);

  SegmentUsage usage_;
  MemoryUse memory_;
  DatabaseMap map_;
  std::array<Seq, kDatabases> swapped_ = {};
  std::array<std::unique_ptr<Keyspace>, kDatabases> keyspaces_;
};

}  // namespace kvd
