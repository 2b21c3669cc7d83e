// SPDX-License-Identifier: MIT
//
// Files of backups on a person's disk: one that is made, and is there as a
// whole or not at all, and ones that are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "backup/backup_format.h"
#include "backup/backup_reader.h"
#include "base/unique_fd.h"
#include "cli/failure.h"

namespace kvctl {

// One at a time. Until Commit() it has a name of its own beside `path`; a
// signal that ends kvctl removes it.
class NewBackupFile {
 public:
  // "-" is standard output.
  static Attempt<std::unique_ptr<NewBackupFile>> Create(
      const std::string& path);
  ~NewBackupFile();
  NewBackupFile(const NewBackupFile&) = delete;
  NewBackupFile& operator=(const NewBackupFile&) = delete;

  Attempt<void> Write(std::string_view bytes);
  uint64_t bytes() const { return bytes_; }
  // Makes it durable, and then takes the place of what is at `path`.
  Attempt<void> Commit();

 private:
  NewBackupFile(std::string path, std::string partial, int fd,
                kvd::UniqueFd owned)
      : path_(std::move(path)),
        partial_(std::move(partial)),
        fd_(fd),
        owned_(std::move(owned)) {}

  std::string path_;
  std::string partial_;  // Empty: there is none.
  int fd_;
  kvd::UniqueFd owned_;  // None for standard output.
  uint64_t bytes_ = 0;
};

// A backup that is read; "-" is standard input.
class BackupInput {
 public:
  // Its front was read.
  static Attempt<std::unique_ptr<BackupInput>> Open(const std::string& path);

  kvd::BackupReader& reader() { return *reader_; }
  // What the end of the file says, without reading what is before it. Not of a
  // pipe.
  Attempt<kvd::BackupTrailer> ReadTrailer() const;
  // Whether `path` leads to the same file.
  bool IsSameFile(const std::string& path) const;

 private:
  BackupInput(std::string path, kvd::UniqueFd fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  kvd::UniqueFd fd_;
  std::unique_ptr<kvd::BackupReader> reader_;
};

Failure FailureOf(const kvd::Error& error);

}  // namespace kvctl
