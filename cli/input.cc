// SPDX-License-Identifier: MIT
#include "cli/input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/limits.h"
#include "base/unique_fd.h"
#include "cli/text.h"

namespace kvctl {
namespace {

Attempt<std::string> ReadAll(int fd, const std::string& name) {
  constexpr size_t kChunkBytesMin = 64 * 1024;
  std::string bytes;
  size_t size = 0;
  while (true) {
    if (size > kvd::kValueBytesMax) {
      return Refuse(ExitCode::kUsage, "{} is larger than a value can be ({})",
                    name, HumanBytes(kvd::kValueBytesMax));
    }
    bytes.resize(size + std::max(kChunkBytesMin, size));
    const ssize_t got = ::read(fd, bytes.data() + size, bytes.size() - size);
    if (got > 0) {
      size += static_cast<size_t>(got);
    } else if (got == 0) {
      bytes.resize(size);
      return bytes;
    } else if (errno != EINTR) {
      return Refuse(ExitCode::kLocalIo, "cannot read {}: {}", name,
                    std::generic_category().message(errno));
    }
  }
}

}  // namespace

Attempt<std::string> ReadFile(const std::string& path) {
  const kvd::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    return Refuse(ExitCode::kLocalIo, "cannot read {}: {}", path,
                  std::generic_category().message(errno));
  }
  return ReadAll(file.get(), path);
}

Attempt<std::string> ReadStandardInput() {
  return ReadAll(STDIN_FILENO, "standard input");
}

bool StandardInputIsStream() {
  struct stat status = {};
  if (::fstat(STDIN_FILENO, &status) != 0) return false;
  return S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode) ||
         S_ISSOCK(status.st_mode);
}

bool StandardInputIsTerminal() { return ::isatty(STDIN_FILENO) == 1; }

}  // namespace kvctl
