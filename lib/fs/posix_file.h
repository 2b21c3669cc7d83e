// SPDX-License-Identifier: MIT
//
// A file of the real disk. For lib/fs alone; others have the interface.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "fs/file_system.h"

namespace kvd {

// An empty file without a name, which is gone when it is closed. No descriptor,
// and errno set, where the file system has no such files.
UniqueFd NamelessFile(int directory_fd);

class PosixFile final : public File {
 public:
  // `path` is for messages; without an identity the file is one without a
  // name.
  PosixFile(UniqueFd fd, std::string path, uint64_t identity = 0);

  uint64_t identity() const override { return identity_; }
  Result<size_t> ReadAt(uint64_t offset, std::span<char> out) override;
  Result<bool> TryReadAt(uint64_t offset, std::span<char> out) override;
  Result<void> WriteAt(uint64_t offset, std::string_view bytes) override;
  Result<void> AllocateZeroed(uint64_t bytes) override;
  Result<void> AllocateReserved(uint64_t bytes) override;
  Result<void> KeepRoom(uint64_t bytes) override;
  Result<void> ZeroReserved(uint64_t bytes) override;
  Result<void> Truncate(uint64_t bytes) override;
  Result<void> Sync() override;
  Result<uint64_t> Size() override;

  // The same past the page cache where the file system can: for whole, aligned
  // blocks that nobody reads soon.
  Result<void> WritePastCacheAt(uint64_t offset, std::string_view bytes);

  // Tells the kernel that reads come at random places.
  void ReadNothingAhead();
  // From now on everything goes past the page cache, in whole blocks. False
  // where the file system cannot.
  bool GoDirect();

  int descriptor() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  bool SetDirect(bool direct);
  void WriteInPlace();
  template <typename Write>
  Result<void> PastCache(bool whole_blocks, Write write);
  Result<bool> TakeSpace(uint64_t bytes, int mode = 0);

  UniqueFd fd_;
  std::string path_;
  uint64_t identity_;
  bool direct_ = false;
};

}  // namespace kvd
