// SPDX-License-Identifier: MIT
//
// A copy of a command's words, for when the input that had them is gone.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvd {

// Thread: one at a time.
class KeptWords {
 public:
  explicit KeptWords(std::span<const std::string_view> words) {
    size_t size = 0;
    for (const std::string_view word : words) size += word.size();
    text_.reserve(size);
    ends_.reserve(words.size());
    for (const std::string_view word : words) {
      text_ += word;
      ends_.push_back(text_.size());
    }
  }

  // Replaces `*words` by views of these.
  void View(std::vector<std::string_view>* words) const {
    words->clear();
    size_t begin = 0;
    for (const size_t end : ends_) {
      words->push_back(std::string_view(text_).substr(begin, end - begin));
      begin = end;
    }
  }

  // Beside the object.
  size_t bytes() const {
    return text_.capacity() + ends_.capacity() * sizeof(size_t);
  }

 private:
  std::string text_;  // All words.
  std::vector<size_t> ends_;
};

}  // namespace kvd
