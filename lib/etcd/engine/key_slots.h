// SPDX-License-Identifier: MIT
//
// Finds, by their hashes, keys that somebody keeps in a short list. Nothing is
// allocated, and the newest key can be taken out again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace kvd::etcd {

class KeySlots {
 public:
  // Keys of one list.
  static constexpr size_t kKeysMax = 127;

  // The place in the list of the key of which `is_it` says true.
  template <typename IsIt>
  std::optional<size_t> Find(uint64_t hash, IsIt is_it) const {
    for (size_t at = Home(hash); slots_[at] != 0; at = Next(at)) {
      const size_t place = slots_[at] - size_t{1};
      if (is_it(place)) return place;
    }
    return std::nullopt;
  }
  // Of a new key; less than kKeysMax, each once.
  void Add(uint64_t hash, size_t place) {
    size_t at = Home(hash);
    while (slots_[at] != 0) at = Next(at);
    slots_[at] = static_cast<uint8_t>(place + 1);
  }
  // The one that was added last: nothing was put behind it.
  void TakeOut(uint64_t hash, size_t place) {
    size_t at = Home(hash);
    while (slots_[at] != place + 1) at = Next(at);
    slots_[at] = 0;
  }
  void Clear() { slots_ = {}; }

 private:
  static constexpr size_t kSlots = 256;

  static size_t Home(uint64_t hash) { return hash % kSlots; }
  static size_t Next(size_t at) { return (at + 1) % kSlots; }

  std::array<uint8_t, kSlots> slots_ = {};  // A place and 1; 0 for none.
};

}  // namespace kvd::etcd
