// SPDX-License-Identifier: MIT
//
// A file that is not of a data directory, read once from front to back: a
// backup, which may be a pipe.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"

namespace kvd {

// Thread: one at a time.
class InputFile {
 public:
  // "-" is standard input.
  static Result<InputFile> Open(const std::string& path);

  // For messages.
  const std::string& name() const { return name_; }
  // Reads up to out.size() bytes; fewer at the end alone.
  Result<size_t> Read(std::span<char> out);

 private:
  InputFile(UniqueFd fd, std::string name)
      : fd_(std::move(fd)), name_(std::move(name)) {}

  UniqueFd fd_;
  std::string name_;
};

}  // namespace kvd
