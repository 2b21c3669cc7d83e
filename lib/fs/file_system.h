// SPDX-License-Identifier: MIT
//
// The seam between kvd and the disk. Everything that touches a data directory
// goes through these interfaces: posix_file_system.h is the real one, and
// tests/support/sim_file_system.h is one that forgets what was never synced,
// fails on request and crashes at any operation.
//
// Durability in two halves, as POSIX has it: bytes of a file are durable after
// File::Sync() (or a DurableWriter's synced write); names are durable after
// Directory::Sync(). Nothing else promises anything.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/durability.h"
#include "base/error.h"
#include "base/executor.h"

namespace kvd {

// Offsets, sizes and memory addresses given to a DurableWriter are multiples of
// this, so that an unbuffered device can take them as they are.
inline constexpr uint64_t kBlockBytes = 4096;

// Names the holder of a directory's lock, for people. It is not the lock
// itself.
inline constexpr std::string_view kLockFileName = "LOCK";

// A file that somebody relies on.
struct ExpectedFile {
  std::string name;
  uint64_t bytes_min = 0;
  uint64_t identity = 0;  // File::identity(); 0 for any.
};

// Something that is not there any more, or not what it was.
struct Missing {
  std::string name;  // Empty: the directory itself.
  std::string what;  // For people, with the path.
};

// An open file. Thread: one at a time; reads may go on in several at once.
class File {
 public:
  virtual ~File() = default;

  // Distinguishes this file from others of its directory, whatever their names
  // are.
  virtual uint64_t identity() const = 0;

  // Reads up to out.size() bytes at `offset`; returns how many there were. Less
  // than asked means the end of the file.
  virtual Result<size_t> ReadAt(uint64_t offset, std::span<char> out) = 0;
  // Fills all of `out` if that needs no wait for the disk; false if it does, or
  // if the file ends before.
  virtual Result<bool> TryReadAt(uint64_t offset, std::span<char> out) = 0;
  // Writes all of `bytes`, growing the file if need be; resumes after EINTR and
  // short writes. After an error any part may have been written.
  virtual Result<void> WriteAt(uint64_t offset, std::string_view bytes) = 0;
  // Makes the file `bytes` long with every byte zero and every block allocated,
  // so that later writes inside it change no metadata and need no space.
  // kNoSpace when they do not fit; then the file is of no use, and the caller
  // removes it. Not durable before Sync().
  virtual Result<void> AllocateZeroed(uint64_t bytes) = 0;
  // The same for less work, but the first write to each block may change
  // metadata, which a sync then has to make durable too.
  virtual Result<void> AllocateReserved(uint64_t bytes) = 0;
  // Zeroes the first `bytes` later, before they are used: afterwards they are
  // as AllocateZeroed() makes them. They read as zero and stay allocated
  // meanwhile.
  virtual Result<void> ZeroReserved(uint64_t bytes) = 0;
  // Allocates space for the first `bytes`; the file's size and contents stay as
  // they are. kNoSpace when they do not fit; does nothing where the file system
  // cannot. A Truncate() to less may give the space back.
  virtual Result<void> KeepRoom(uint64_t bytes) = 0;
  virtual Result<void> Truncate(uint64_t bytes) = 0;
  // Makes the file's bytes and size durable. After a failure what is durable is
  // unknown for good: the caller must not retry and believe a success.
  virtual Result<void> Sync() = 0;
  virtual Result<uint64_t> Size() = 0;
};

// One asynchronous write in flight; the log's device. Thread: the owner's.
class DurableWriter {
 public:
  enum class Durability {
    kSynced,    // Completed means durable.
    kUnsynced,  // Completed means handed to the kernel.
  };

  // Waits for a write in flight to end.
  virtual ~DurableWriter() = default;

  // Starts writing `bytes` at `offset` of `file`, inside its allocated size.
  // `offset`, bytes.size() and bytes.data() are multiples of kBlockBytes;
  // `bytes` may be empty with kSynced: everything written to the file before
  // becomes durable. File and bytes stay valid and unchanged until Poll()
  // returned the completion. Requires !busy().
  virtual void Submit(File& file, uint64_t offset, std::string_view bytes,
                      Durability durability) = 0;

  // The completion of the write in flight, once; nothing while it goes on.
  // Wake is called when there is one to fetch.
  virtual std::optional<Result<void>> Poll() = 0;

  // Whether a write was submitted whose completion Poll() has not returned.
  virtual bool busy() const = 0;

  // Who writes, for people.
  virtual std::string_view device() const = 0;
  // Why it is not the fastest device; empty if it is.
  virtual std::string_view why() const { return {}; }
};

// Many asynchronous reads at once, which the kernel does without a thread of
// ours. Thread: the owner's.
class ReadQueue {
 public:
  struct Completion {
    uint64_t id = 0;
    // All bytes were read. When not, ReadAt() tells why.
    bool filled = false;
  };

  // Waits for the reads under way.
  virtual ~ReadQueue() = default;
  // Adds a read of out.size() bytes at `offset`. File and memory stay valid
  // until Poll() returned the completion with this id. At most as many reads
  // may be without a completion as the queue was made for.
  virtual void Add(File& file, uint64_t offset, std::span<char> out,
                   uint64_t id) = 0;
  // Starts what was added.
  virtual void Submit() = 0;
  // Completions since the last call, in any order. Wake is called when there
  // are some to fetch.
  virtual std::vector<Completion> Poll() = 0;
};

// A directory of kvd's files, held open. Names have no slash.
// Thread: any, for different names.
class Directory {
 public:
  enum class OpenMode {
    kRead,
    kReadHere,  // For reads at random places: without read-ahead.
    kReadWrite,
  };

  virtual ~Directory() = default;

  // For messages: the path as the user gave it.
  virtual const std::string& path() const = 0;

  // Creates a file that must not exist (kExists).
  virtual Result<std::unique_ptr<File>> Create(std::string_view name) = 0;
  // Opens a regular file that must exist (kNotFound); never follows a link
  // (kInvalid).
  virtual Result<std::unique_ptr<File>> Open(std::string_view name,
                                             OpenMode mode) = 0;
  // The names in it, without "." and "..", in no order.
  virtual Result<std::vector<std::string>> List() = 0;
  virtual Result<void> Remove(std::string_view name) = 0;
  // Replaces `to` atomically.
  virtual Result<void> Rename(std::string_view from, std::string_view to) = 0;
  // Swaps two names atomically, which takes no space; kNotFound unless both are
  // there. False, and nothing is done, where the file system cannot.
  virtual Result<bool> Exchange(std::string_view a, std::string_view b) = 0;
  // Makes creations, removals, renames and exchanges durable.
  virtual Result<void> Sync() = 0;

  // Which of `files` are no longer there under their names. The directory
  // itself comes first, if it is no longer at its path or cannot be written.
  // What cannot be checked now does not count as missing. May wait for the
  // disk, and other calls may go on meanwhile: a file that is being removed or
  // replaced may count as missing.
  virtual std::vector<Missing> FindMissing(
      std::span<const ExpectedFile> files) = 0;

  // Takes an exclusive flock on the directory until destruction and writes the
  // pid into a LOCK file for people. kHeld, naming the holder, when it is
  // taken.
  virtual Result<void> Lock() = 0;

  // Bytes that an unprivileged write could still use.
  virtual Result<uint64_t> FreeBytes() = 0;

  // The size of a synced write above which AllocateZeroed() costs more time
  // than it saves, by a trial that takes some ms and, meanwhile, 4 MiB of disk.
  // Nothing where that cannot be measured.
  virtual std::optional<uint64_t> ZeroingLimit() { return {}; }

  // `wake` is called, on any thread, when a completion waits to be polled.
  virtual Result<std::unique_ptr<DurableWriter>> NewDurableWriter(
      WriteDevice device, Wake wake) = 0;
  // Null where the kernel has none; then threads have to read.
  virtual std::unique_ptr<ReadQueue> NewReadQueue(size_t reads_max,
                                                  Wake wake) = 0;
};

// The whole content of a file. Errors name the path.
Result<std::string> ReadWholeFile(Directory& directory, std::string_view name);

// For implementations.

// Whether this errno means that the disk is gone or takes no writes at all. An
// I/O error does not: it may concern single blocks.
bool IsLostStorage(int sys_errno);

// Aborts the process unless `name` can be that of a file in a directory.
void CheckFileName(std::string_view name);
// Aborts the process unless DurableWriter::Submit() takes these.
void CheckSubmission(bool busy, uint64_t offset, std::string_view bytes,
                     DurableWriter::Durability durability);
// kHeld, with the text that every implementation uses; pid 0: the holder is
// unknown.
tl::unexpected<Error> FailHeld(std::string_view path, int64_t pid);

}  // namespace kvd
