// SPDX-License-Identifier: MIT
//
// What a connection received and has not executed yet. Memory follows what has
// arrived: an idle connection owns none, a large value grows the buffer as it
// comes in, and what a client announces only rounds that growth.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>

namespace kvd {

class InputBuffer {
 public:
  // What one read asks for at least.
  static constexpr size_t kReadBytes = 64 * 1024;

  // Room for a read. `wanted` is a hint of how much is to come. Moves the
  // bytes: views into them end here. Empty when memory has run out.
  std::span<char> Room(size_t wanted);
  // `bytes` of the last Room() were filled.
  void Filled(size_t bytes) { end_ += bytes; }

  std::string_view view() const {
    return {data_.get() + begin_, end_ - begin_};
  }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

  size_t memory_bytes() const { return capacity_; }

  // Drops bytes from the front; views of the others stay.
  void Consume(size_t bytes) { begin_ += bytes; }
  // Gives the memory back if it holds nothing.
  void ReleaseIfEmpty();

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };

  std::unique_ptr<char, Free> data_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace kvd
