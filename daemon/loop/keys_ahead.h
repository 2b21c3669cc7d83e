// SPDX-License-Identifier: MIT
//
// Keys of commands that will run soon. Each look-up misses the cache twice: for
// a slot of the index and for the entry that the slot points to. Misses of
// several keys overlap, so keys are collected, from several connections if each
// has only one, and fetched together.
//
// They are not fetched one by one while earlier commands run: a prefetch of a
// page that is not in the TLB stalls the CPU, and only other prefetches use
// that time. One by one, eight keys ahead, pipelined SETs on a million keys
// took a third longer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "daemon/state/server_state.h"

namespace kvd {

// Thread: loop.
class KeysAhead {
 public:
  // From this many on fetching pays; up to twice as many are collected.
  static constexpr size_t kEnough = 16;

  // `service` outlives it.
  explicit KeysAhead(const ServerState& service) : service_(service) {}

  // A command will look for that key: fetches the slot. Returns the key's hash;
  // nothing while there is no store, and when enough keys are known.
  std::optional<uint64_t> Tell(int database, std::string_view key);
  size_t size() const { return size_; }
  // Fetches the entries, and forgets all keys.
  void Fetch();

 private:
  struct Key {
    int database = 0;
    uint64_t hash = 0;
  };

  const ServerState& service_;
  std::array<Key, 2 * kEnough> keys_ = {};
  size_t size_ = 0;
};

}  // namespace kvd
