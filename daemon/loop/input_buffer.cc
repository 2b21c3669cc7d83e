// SPDX-License-Identifier: MIT
#include "daemon/loop/input_buffer.h"

#include <algorithm>
#include <cstring>

namespace kvd {

std::span<char> InputBuffer::Room(size_t wanted) {
  if (begin_ > 0) {
    std::memmove(data_.get(), data_.get() + begin_, size());
    end_ = size();
    begin_ = 0;
  }
  // Doubling at most: an announcement alone buys no memory.
  const size_t growth =
      std::clamp(wanted, kReadBytes, std::max(kReadBytes, end_));
  // A read into what is left is fine unless that is little.
  if (capacity_ - end_ < std::min(growth, kReadBytes)) {
    auto* grown = static_cast<char*>(std::realloc(data_.get(), end_ + growth));
    if (grown == nullptr) return {};
    std::ignore = data_.release();
    data_.reset(grown);
    capacity_ = end_ + growth;
  }
  return {data_.get() + end_, capacity_ - end_};
}

void InputBuffer::ReleaseIfEmpty() {
  if (!empty()) return;
  data_.reset();
  capacity_ = begin_ = end_ = 0;
}

}  // namespace kvd
