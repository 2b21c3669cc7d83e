// SPDX-License-Identifier: MIT
#include "fs/input_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "fs/system_call.h"

namespace kvd {

Result<InputFile> InputFile::Open(const std::string& path) {
  if (path == "-") {
    UniqueFd fd(Retry([] { return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0); }));
    if (!fd) return FailErrno("standard input");
    return InputFile(std::move(fd), "standard input");
  }
  UniqueFd fd(Retry([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!fd) return FailErrno("open {}", path);
  return InputFile(std::move(fd), path);
}

Result<size_t> InputFile::Read(std::span<char> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t got = Retry([&] {
      return read(fd_.get(), out.data() + filled, out.size() - filled);
    });
    if (got < 0) return FailErrno("read {}", name_);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  return filled;
}

}  // namespace kvd
