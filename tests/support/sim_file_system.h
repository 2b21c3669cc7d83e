// SPDX-License-Identifier: MIT
//
// A disk that loses power on request. It holds one directory of kvd's files in
// memory, and remembers of each change whether anything made it durable.
//
// The fault model:
//
// - Bytes and names are durable separately. File::Sync() (or a DurableWriter's
//   synced write) makes a file's bytes and size durable, Directory::Sync() the
//   names: creations, removals, renames, exchanges (both names or none).
// - At a power loss anything unsynced may be kept or lost, each page (4096
//   bytes) for itself and in any order. A page that was changed several times
//   may be at any of those states, never at a mixture, unless it is torn: then
//   each 512-byte sector is at a state of its own. A size may be durable
//   without the bytes (zeros are read) and the bytes without the name.
// - A sector is atomic: nothing is torn inside 512 bytes.
// - A synced file whose name was not synced is lost by the letter of POSIX, and
//   kept by ext4. Both are among the choices.
// - A crash image is the disk after such a loss: a new SimFileSystem with
//   everything on it durable. The order in which the unsynced changes were made
//   matters for the images "up to here" alone.
// - A write in flight of a DurableWriter is unsynced from Submit() on.
// - CrashAt(n): from the changing operation n on, every call on the disk fails
//   and changes nothing. A run without a crash counts the operations, and then
//   each of them can be made the first that fails. Images may also be taken at
//   any moment of a running disk.
// - A failed sync: nothing, or everything, has reached the disk; reads go on
//   showing the bytes, or no more; a later sync that succeeds does not make
//   those bytes durable. A page that is written again afterwards is whole.
// - A failed write that was not to be synced leaves what it has put down, and
//   what was written before, to a later sync.
// - A process that dies alone (kill -9) loses nothing: destroy the Directory
//   and its files, then open another one on the same disk.
//
// What is not modelled: a directory sync whose failure is followed by one that
// succeeds (the real ones turn read-only), and damage that the medium does by
// itself: tests damage files with Flip() and its like.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"

namespace kvd {

// What of the unsynced changes a power loss leaves.
struct CrashChoice {
  enum class Bytes {
    kNone,
    kAll,
    kPrefix,        // The first `index` units, in the order of writing.
    kOnly,          // Unit `index` alone.
    kWithout,       // All but unit `index`.
    kRandom,        // Any, by `seed`.
    kZeroExtended,  // The sizes, but not the bytes.
  };
  enum class Names {
    kLost,
    kOfSyncedFiles,  // Those of files that were synced afterwards, as on ext4.
    kKept,
    kPrefix,   // The first `name_count` changes.
    kAsUnits,  // A change of names is a unit among those of bytes.
    kRandom,
  };

  Bytes bytes = Bytes::kNone;
  Names names = Names::kLost;
  // What is kept or lost as a whole: 4096 (a page) or 512 (a sector).
  size_t unit_bytes = 4096;
  size_t index = 0;
  size_t name_count = 0;
  uint64_t seed = 0;

  // For SCOPED_TRACE; enough to build the choice again.
  std::string Describe() const;
};

// Thread: any. Outlives its directories, files and writers.
class SimFileSystem {
 public:
  enum class Op {
    kCreate,
    kOpen,
    kRead,
    kWrite,
    kAllocate,  // Zeroed.
    kReserve,
    kTruncate,
    kSync,
    kSize,
    kList,
    kRemove,
    kRename,
    kExchange,
    kDirectorySync,
    kLock,
    kFreeBytes,
    kSubmit,    // A DurableWriter's write begins …
    kComplete,  // … and ends.
    kNewWriter,
    kNewQueue,
    kLook,  // Whether all is there.
  };
  static constexpr size_t kOpCount = 21;

  explicit SimFileSystem(std::string path = "/sim");
  ~SimFileSystem();
  SimFileSystem(const SimFileSystem&) = delete;
  SimFileSystem& operator=(const SimFileSystem&) = delete;

  // Opens the directory; several may be open, one may hold the lock.
  std::unique_ptr<Directory> OpenDirectory(bool read_only = false);

  // --- Crashes ---

  // The changing operations so far; operation 0 is the first.
  uint64_t operations() const;
  // What operation n was, e.g. "write 0000000001.seg".
  std::string DescribeOperation(uint64_t n) const;
  // Operation n and every later call fail with kIo, "simulated crash".
  void CrashAt(uint64_t n);
  bool crashed() const;

  // What a power loss now can leave, the worst cases first, then every prefix,
  // every unit kept alone and lost alone at both sizes, then random ones. When
  // these are more than `limit` (at least 8), the middle is thinned out evenly.
  // Everything synced: a single choice.
  std::vector<CrashChoice> Choices(size_t limit) const;
  // The disk after a power loss now. It has this one's path and capacity,
  // exchanges names or not as this one does, and has no other setting.
  std::unique_ptr<SimFileSystem> Image(const CrashChoice& choice) const;
  // The whole disk with what is unsynced, likewise without other settings.
  std::unique_ptr<SimFileSystem> Clone() const;

  // --- Errors ---

  // The calls of a kind so far, failed ones too; also of those that change
  // nothing.
  uint64_t calls(Op op) const;
  uint64_t calls() const;

  enum class Repeat { kOnce, kForever };
  // The nth call of that kind from now (0 is the next) fails with `sys_errno`,
  // and with kForever all of that kind thereafter. EINTR is resumed inside, as
  // the real implementation does, so that it shows no effect. A kWrite or a
  // kSubmit puts down `partial_bytes` before.
  void FailAt(Op op, uint64_t nth, int sys_errno, Repeat repeat = Repeat::kOnce,
              size_t partial_bytes = 0);
  // The same over the calls of all kinds.
  void FailAtCall(uint64_t nth, int sys_errno, Repeat repeat = Repeat::kOnce);
  void ClearFailures();
  // How many calls have met a planted error.
  uint64_t failures() const;
  // Which of them, without those that showed no effect.
  struct Met {
    Op op;
    int sys_errno;
  };
  std::vector<Met> met() const;

  struct FailedSync {
    bool reaches_disk = false;
    bool stays_in_cache = true;
  };
  // What a sync or a synced write that fails from now on leaves.
  void SetFailedSync(FailedSync policy);

  // The bytes that all files together may take, in whole pages; ENOSPC beyond.
  void SetCapacity(uint64_t bytes);
  // Whether it can exchange names; at first it can.
  void SetExchanges(bool can);
  // What ZeroingLimit() says from now on; how often it was asked.
  void SetZeroingLimit(uint64_t bytes);
  uint64_t zero_trials() const;
  uint64_t used_bytes() const;

  // What becomes of the directory as a whole while it is held open. Files in it
  // can still be read and written, as on Linux.
  enum class Fate {
    kThere,
    kGone,      // Removed, renamed, or its file system unmounted.
    kReadOnly,  // Every change fails with EROFS.
  };
  void SetFate(Fate fate);

  // --- Planted bugs: a sync that succeeds and does nothing ---

  void IgnoreFileSync(bool ignore);
  void IgnoreDirectorySync(bool ignore);
  // Of a DurableWriter's synced writes.
  void IgnoreDurableSync(bool ignore);

  // --- Durable writers ---

  enum class WriteMode {
    kAtPoll,  // A write completes at the next Poll(); the default.
    kManual,  // CompleteWrite() does it.
  };
  void SetWriteMode(WriteMode mode);
  // Writes in flight, of all writers.
  size_t pending_writes() const;
  // Completes the one that was submitted as the index'th of those in flight.
  void CompleteWrite(size_t index = 0);

  // Whether directories have read queues; at first they have none.
  void SetReadQueues(bool has) { has_read_queues_ = has; }
  // How many reads they were told to make past the page cache.

  // Whether reads that must not wait find nothing in memory.
  void SetReadsWait(bool wait) { reads_wait_ = wait; }

  // --- The medium, by hand ---
  //
  // Neither counted nor failing. A change makes the bytes of its file durable,
  // and all names.

  std::vector<std::string> Names() const;
  bool Exists(std::string_view name) const;
  // What a reader sees. The file must exist, here and below.
  std::string ReadAll(std::string_view name) const;
  // Makes or replaces a file.
  void Put(std::string_view name, std::string_view content);
  void Overwrite(std::string_view name, uint64_t offset,
                 std::string_view bytes);
  // Flips a bit; bit 0 is the lowest of the first byte.
  void Flip(std::string_view name, uint64_t bit);
  void Truncate(std::string_view name, uint64_t bytes);
  void Copy(std::string_view from, std::string_view to);
  void Remove(std::string_view name);

 private:
  class SimDirectory;
  class SimFile;
  class SimWriter;

  using InodeId = uint64_t;
  using NameMap = std::map<std::string, InodeId, std::less<>>;

  // An unsynced change of a file: of bytes inside one page, or of the size.
  struct Change {
    uint64_t order;  // Among all changes of the disk.
    bool is_size;
    uint64_t offset;    // Or the new size.
    std::string bytes;  // Empty for a size.
    // A sync of it has failed: it may be on the disk, but no later sync will
    // put it there.
    bool abandoned = false;
  };

  struct Inode {
    std::string durable;
    std::string cached;  // What readers see, while `has_cached`.
    bool has_cached = false;
    std::vector<Change> unsynced;
    uint64_t room = 0;  // Bytes that are taken in any case, until a power loss.
    size_t handles = 0;

    const std::string& seen() const { return has_cached ? cached : durable; }
    std::string& Writable();
  };

  // An unsynced change of names: `from` goes, `to` comes; either may be empty.
  // Or, in an exchange, `from` becomes another file's.
  struct NameChange {
    uint64_t order;
    std::string from;
    std::string to;
    InodeId inode;
    InodeId from_inode;        // 0: nobody's.
    bool file_synced = false;  // The file was, after the change.
  };

  // One of the things that a crash keeps or loses.
  struct Unit {
    uint64_t order;
    InodeId inode;    // 0 for a change of names.
    size_t change;    // Its index in the inode's or in the names' list.
    uint8_t sectors;  // Bit i: sector i of the change's page.
  };
  // Which sectors of which change are kept.
  struct Kept {
    std::map<InodeId, std::vector<uint8_t>> changes;
    std::vector<bool> names;
    std::map<InodeId, bool> full_size;
  };

  struct Failure {
    bool any_op;
    Op op;
    uint64_t calls_before;
    int sys_errno;
    Repeat repeat;
    size_t partial_bytes;
  };
  struct Operation {
    Op op;
    std::string name;
  };

  static constexpr size_t kPageBytes = 4096;

  static uint64_t PageOf(uint64_t offset);
  static uint64_t WholePages(uint64_t bytes);
  static void PutBytes(std::string* content, uint64_t offset,
                       std::string_view bytes);

  // Counts a call and says whether it may go on. A failed one gets the bytes
  // that a write has yet to put down.
  Result<void> Begin(Op op, std::string_view name,
                     size_t* partial_bytes = nullptr);
  Error OpError(int sys_errno, Op op, std::string_view name) const;

  Inode& InodeOf(std::string_view name);
  const Inode& InodeOf(std::string_view name) const;
  void Settle(std::string_view name);
  void SettleNames();
  Inode& MakeIfMissing(std::string_view name);
  void CollectGarbage();
  void Link(std::string from, std::string to, InodeId inode,
            InodeId from_inode = 0);

  void WriteBytes(Inode& inode, uint64_t offset, std::string_view bytes);
  void SetSize(Inode& inode, uint64_t bytes);
  void MakeDurable(InodeId id);
  void AbandonUnsynced(InodeId id);
  static uint64_t TakenBytes(const Inode& inode);
  uint64_t UsedBytes() const;
  // The first of `bytes` at `offset` for which there is room.
  size_t RoomFor(const Inode& inode, uint64_t offset, size_t bytes) const;

  // Ends a write in flight; `mutex_` is held.
  void Finish(SimWriter& writer);

  std::vector<Unit> Units(size_t unit_bytes) const;
  Kept Keep(const CrashChoice& choice) const;
  void KeepNames(const CrashChoice& choice, Kept* kept) const;
  void KeepUnits(const CrashChoice& choice, Kept* kept) const;
  void KeepRandomly(uint64_t seed, Kept* kept) const;
  NameMap NamesAfter(const std::vector<bool>& kept) const;
  std::string ContentAfter(const Inode& inode,
                           const std::vector<uint8_t>& sectors,
                           bool full_size) const;

  const std::string path_;
  mutable std::mutex mutex_;

  std::map<InodeId, Inode> inodes_;
  NameMap names_;
  NameMap durable_names_;
  std::vector<NameChange> name_changes_;
  InodeId next_inode_ = 1;
  uint64_t next_order_ = 0;

  const SimDirectory* holder_ = nullptr;
  std::vector<SimWriter*> in_flight_;

  std::vector<Operation> operations_;
  uint64_t crash_at_ = UINT64_MAX;
  bool crashed_ = false;
  std::atomic<bool> reads_wait_ = false;
  std::atomic<bool> has_read_queues_ = false;
  std::array<uint64_t, kOpCount> calls_{};
  std::vector<Failure> failures_;
  uint64_t failure_count_ = 0;
  std::vector<Met> met_;
  FailedSync failed_sync_;
  Fate fate_ = Fate::kThere;
  uint64_t capacity_ = UINT64_C(1) << 40;
  bool exchanges_ = true;
  std::optional<uint64_t> zeroing_limit_;
  uint64_t zero_trials_ = 0;
  bool ignore_file_sync_ = false;
  bool ignore_directory_sync_ = false;
  bool ignore_durable_sync_ = false;
  WriteMode write_mode_ = WriteMode::kAtPoll;
};

// Crashes `scenario` at each of its changing operations in turn, and once after
// the last, each time on a clone of `start`. After each crash `check` gets up
// to `images_per_crash` images (see Choices()) and words for SCOPED_TRACE. What
// the scenario notes down outside, it resets when it begins: `check` compares
// the image with the notes of the run that crashed. Settings other than those
// that Clone() keeps are the scenario's to make. Returns the number of images.
size_t ForEachCrash(
    const SimFileSystem& start, size_t images_per_crash,
    const std::function<void(SimFileSystem&)>& scenario,
    const std::function<void(SimFileSystem&, const std::string&)>& check);

}  // namespace kvd
