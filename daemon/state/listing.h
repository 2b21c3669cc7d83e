// SPDX-License-Identifier: MIT
//
// A reply that takes several turns to make: KEYS goes through all keys, and
// nobody else is to wait for that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kvd {

// What is listed so far. Thread: loop.
class Listing {
 public:
  using Chunk = std::shared_ptr<std::string>;

  // In pieces, so that none is ever copied to grow.
  static constexpr size_t kChunkBytes = size_t{256} << 10;

  // Where the next element goes; what is appended there counts by Added().
  std::string* Room() {
    if (chunks_.empty() || chunks_.back()->size() >= kChunkBytes) {
      chunks_.push_back(std::make_shared<std::string>());
    }
    return chunks_.back().get();
  }
  void Added(size_t elements, size_t bytes) {
    count_ += elements;
    bytes_ += bytes;
  }

  const std::vector<Chunk>& chunks() const { return chunks_; }
  size_t count() const { return count_; }
  size_t bytes() const { return bytes_; }
  size_t memory_bytes() const {
    size_t bytes = 0;
    for (const Chunk& chunk : chunks_) bytes += chunk->capacity();
    return bytes;
  }

  uint64_t cursor = 0;               // Where it goes on …
  std::optional<std::string> after;  // … or behind which name.
  size_t step_cost = 0;              // Of its last step.

 private:
  std::vector<Chunk> chunks_;
  size_t count_ = 0;
  size_t bytes_ = 0;
};

}  // namespace kvd
