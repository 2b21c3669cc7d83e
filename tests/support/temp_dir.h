// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace kvd {

// A fresh directory (mode 0700) under TMPDIR or /tmp; the destructor removes it
// with all that is in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // The path of `name` in it.
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace kvd
