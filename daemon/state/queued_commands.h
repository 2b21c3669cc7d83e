// SPDX-License-Identifier: MIT
//
// What a client has sent since MULTI: commands that EXEC will run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "daemon/state/kept_words.h"

namespace kvd {

// Keeps copies of the words. Thread: loop.
class QueuedCommands {
 public:
  // What Add() would take for these.
  static uint64_t BytesOf(std::span<const std::string_view> words);

  // `row` is a number of the command table; `writes` says whether the command
  // may change something. An aborted queue keeps nothing.
  void Add(int row, std::span<const std::string_view> words, bool writes);
  // EXEC will not run them, so they go.
  void Abort();
  bool aborted() const { return aborted_; }

  size_t size() const { return commands_.size(); }
  bool writes() const { return writes_; }
  int row(size_t index) const { return commands_[index].row; }
  // Replaces `*words` by views of the command's; they are valid as long as
  // nothing is added.
  void Words(size_t index, std::vector<std::string_view>* words) const {
    commands_[index].words.View(words);
  }

  uint64_t bytes() const { return bytes_; }

 private:
  struct Queued {
    int row;
    KeptWords words;
  };

  std::vector<Queued> commands_;
  uint64_t bytes_ = 0;
  bool writes_ = false;
  bool aborted_ = false;
};

}  // namespace kvd
