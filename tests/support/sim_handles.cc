// SPDX-License-Identifier: MIT
//
// The simulated disk as kvd's code sees it: directory, files, durable writers.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/check.h"
#include "tests/support/sim_file_system.h"

namespace kvd {

class SimFileSystem::SimFile final : public File {
 public:
  // The disk's mutex is held.
  SimFile(SimFileSystem& disk, InodeId id, std::string name, bool writable)
      : disk_(disk), id_(id), name_(std::move(name)), writable_(writable) {
    ++inode().handles;
  }
  ~SimFile() override {
    std::lock_guard hold(disk_.mutex_);
    if (--inode().handles == 0) disk_.CollectGarbage();
  }

  uint64_t identity() const override { return id_; }

  Result<size_t> ReadAt(uint64_t offset, std::span<char> out) override {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(disk_.Begin(Op::kRead, name_));
    const std::string& content = inode().seen();
    if (offset >= content.size()) return size_t{0};
    return content.copy(out.data(), out.size(), offset);
  }

  Result<bool> TryReadAt(uint64_t offset, std::span<char> out) override {
    if (disk_.reads_wait_) return false;
    KVD_TRY_ASSIGN(const size_t got, ReadAt(offset, out));
    return got == out.size();
  }

  Result<void> WriteAt(uint64_t offset, std::string_view bytes) override {
    std::lock_guard hold(disk_.mutex_);
    size_t partial_bytes = 0;
    Result<void> begun = Begin(Op::kWrite, &partial_bytes);
    if (!begun) {
      disk_.WriteBytes(inode(), offset, bytes.substr(0, partial_bytes));
      return begun;
    }
    const size_t room = disk_.RoomFor(inode(), offset, bytes.size());
    disk_.WriteBytes(inode(), offset, bytes.substr(0, room));
    if (room < bytes.size()) return FailWith(ENOSPC, Op::kWrite);
    return {};
  }

  Result<void> AllocateZeroed(uint64_t bytes) override {
    return Allocate(bytes, Op::kAllocate);
  }

  Result<void> AllocateReserved(uint64_t bytes) override {
    return Allocate(bytes, Op::kReserve);
  }

  Result<void> ZeroReserved(uint64_t bytes) override {
    return WriteAt(0, std::string(bytes, '\0'));
  }

  Result<void> KeepRoom(uint64_t bytes) override {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(Begin(Op::kReserve));
    if (disk_.RoomFor(inode(), 0, bytes) < bytes) {
      return FailWith(ENOSPC, Op::kReserve);
    }
    inode().room = std::max(inode().room, WholePages(bytes));
    return {};
  }

  Result<void> Truncate(uint64_t bytes) override {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(Begin(Op::kTruncate));
    disk_.SetSize(inode(), bytes);
    return {};
  }

  Result<void> Sync() override {
    std::lock_guard hold(disk_.mutex_);
    if (Result<void> begun = disk_.Begin(Op::kSync, name_); !begun) {
      if (!disk_.crashed_) disk_.AbandonUnsynced(id_);
      return begun;
    }
    if (!disk_.ignore_file_sync_) disk_.MakeDurable(id_);
    return {};
  }

  Result<uint64_t> Size() override {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(disk_.Begin(Op::kSize, name_));
    return inode().seen().size();
  }

 private:
  friend class SimFileSystem;

  Inode& inode() { return disk_.inodes_.at(id_); }

  Result<void> Allocate(uint64_t bytes, Op op) {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(Begin(op));
    disk_.SetSize(inode(), 0);
    if (disk_.RoomFor(inode(), 0, bytes) < bytes) return FailWith(ENOSPC, op);
    disk_.SetSize(inode(), bytes);
    return {};
  }

  Result<void> Begin(Op op, size_t* partial_bytes = nullptr) {
    KVD_TRY(disk_.Begin(op, name_, partial_bytes));
    if (!writable_) return FailWith(EBADF, op);
    return {};
  }

  tl::unexpected<Error> FailWith(int sys_errno, Op op) {
    return Unexpected(disk_.OpError(sys_errno, op, name_));
  }

  SimFileSystem& disk_;
  const InodeId id_;
  const std::string name_;
  const bool writable_;
};

class SimFileSystem::SimWriter final : public DurableWriter {
 public:
  SimWriter(SimFileSystem& disk, Wake wake)
      : disk_(disk), wake_(std::move(wake)) {}
  ~SimWriter() override {
    std::lock_guard hold(disk_.mutex_);
    if (in_flight_) disk_.Finish(*this);
  }

  void Submit(File& file, uint64_t offset, std::string_view bytes,
              Durability durability) override {
    CheckSubmission(busy(), offset, bytes, durability);
    auto* sim_file = dynamic_cast<SimFile*>(&file);
    KVD_CHECK(sim_file != nullptr);
    {
      std::lock_guard hold(disk_.mutex_);
      Start(sim_file, offset, bytes, durability);
      if (disk_.write_mode_ == WriteMode::kManual && in_flight_) return;
    }
    wake_();
  }

  std::optional<Result<void>> Poll() override {
    std::lock_guard hold(disk_.mutex_);
    if (in_flight_ &&
        (disk_.crashed_ || disk_.write_mode_ == WriteMode::kAtPoll)) {
      disk_.Finish(*this);
    }
    return std::exchange(result_, std::nullopt);
  }

  bool busy() const override {
    std::lock_guard hold(disk_.mutex_);
    return in_flight_ || result_.has_value();
  }

  std::string_view device() const override { return "simulated"; }

 private:
  friend class SimFileSystem;

  void Start(SimFile* file, uint64_t offset, std::string_view bytes,
             Durability durability) {
    file_ = file;
    bytes_ = bytes;
    durability_ = durability;
    size_t partial_bytes = 0;
    if (Result<void> begun =
            disk_.Begin(Op::kSubmit, file->name_, &partial_bytes);
        !begun) {
      disk_.WriteBytes(file->inode(), offset, bytes.substr(0, partial_bytes));
      result_ = std::move(begun);
      return;
    }
    if (!file->writable_) {
      result_ = file->FailWith(EBADF, Op::kSubmit);
      return;
    }
    KVD_CHECK(offset + bytes.size() <= file->inode().seen().size());
    disk_.WriteBytes(file->inode(), offset, bytes);
    submitted_.assign(bytes);
    in_flight_ = true;
    disk_.in_flight_.push_back(this);
  }

  SimFileSystem& disk_;
  const Wake wake_;
  SimFile* file_ = nullptr;
  std::string_view bytes_;  // The caller's, which may not change in flight.
  std::string submitted_;
  Durability durability_ = Durability::kSynced;
  bool in_flight_ = false;
  std::optional<Result<void>> result_;
};

// Reads as late as it can, the newest first.
class SimReadQueue final : public ReadQueue {
 public:
  SimReadQueue(size_t reads_max, Wake wake)
      : reads_max_(reads_max), wake_(std::move(wake)) {}
  ~SimReadQueue() override { Poll(); }

  void Add(File& file, uint64_t offset, std::span<char> out,
           uint64_t id) override {
    added_.push_back({&file, offset, out, id});
    KVD_CHECK(added_.size() + started_.size() <= reads_max_);
  }

  void Submit() override {
    started_.insert(started_.begin(), added_.rbegin(), added_.rend());
    added_.clear();
    if (!started_.empty()) wake_();
  }

  std::vector<Completion> Poll() override {
    std::vector<Completion> completions;
    for (const Read& read : std::exchange(started_, {})) {
      const Result<size_t> got = read.file->ReadAt(read.offset, read.out);
      completions.push_back({read.id, got && *got == read.out.size()});
    }
    return completions;
  }

 private:
  struct Read {
    File* file;
    uint64_t offset;
    std::span<char> out;
    uint64_t id;
  };

  const size_t reads_max_;
  const Wake wake_;
  std::vector<Read> added_;
  std::vector<Read> started_;
};

class SimFileSystem::SimDirectory final : public Directory {
 public:
  SimDirectory(SimFileSystem& disk, bool read_only)
      : disk_(disk), read_only_(read_only) {}
  ~SimDirectory() override {
    std::lock_guard hold(disk_.mutex_);
    if (disk_.holder_ == this) disk_.holder_ = nullptr;
  }

  const std::string& path() const override { return disk_.path_; }

  Result<std::unique_ptr<File>> Create(std::string_view name) override {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(Begin(Op::kCreate, name));
    if (disk_.names_.contains(name)) {
      return Unexpected(disk_.OpError(EEXIST, Op::kCreate, name));
    }
    const InodeId id = disk_.next_inode_++;
    disk_.inodes_.emplace(id, Inode());
    disk_.Link("", std::string(name), id);
    return MakeFile(id, name, true);
  }

  Result<std::unique_ptr<File>> Open(std::string_view name,
                                     OpenMode mode) override {
    std::lock_guard hold(disk_.mutex_);
    CheckFileName(name);
    KVD_TRY(disk_.Begin(Op::kOpen, name));
    const bool writable = mode == OpenMode::kReadWrite;
    if (writable) KVD_TRY(CheckWritable(Op::kOpen, name));
    KVD_TRY_ASSIGN(const InodeId id, Find(Op::kOpen, name));
    return MakeFile(id, name, writable);
  }

  Result<std::vector<std::string>> List() override {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(disk_.Begin(Op::kList, ""));
    std::vector<std::string> names;
    for (const auto& [name, id] : disk_.names_) names.push_back(name);
    return names;
  }

  Result<void> Remove(std::string_view name) override {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(Begin(Op::kRemove, name));
    KVD_TRY_ASSIGN(const InodeId id, Find(Op::kRemove, name));
    disk_.Link(std::string(name), "", id);
    disk_.CollectGarbage();
    return {};
  }

  Result<void> Rename(std::string_view from, std::string_view to) override {
    std::lock_guard hold(disk_.mutex_);
    CheckFileName(to);
    KVD_TRY(Begin(Op::kRename, from));
    KVD_TRY_ASSIGN(const InodeId id, Find(Op::kRename, from));
    if (from == to) return {};
    disk_.Link(std::string(from), std::string(to), id);
    disk_.CollectGarbage();
    return {};
  }

  Result<bool> Exchange(std::string_view a, std::string_view b) override {
    std::lock_guard hold(disk_.mutex_);
    CheckFileName(b);
    KVD_TRY(Begin(Op::kExchange, a));
    if (!disk_.exchanges_) return false;
    KVD_TRY_ASSIGN(const InodeId of_a, Find(Op::kExchange, a));
    KVD_TRY_ASSIGN(const InodeId of_b, Find(Op::kExchange, b));
    if (a != b) disk_.Link(std::string(a), std::string(b), of_a, of_b);
    return true;
  }

  Result<void> Sync() override {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(disk_.Begin(Op::kDirectorySync, ""));
    if (disk_.ignore_directory_sync_) return {};
    disk_.durable_names_ = disk_.names_;
    disk_.name_changes_.clear();
    disk_.CollectGarbage();
    return {};
  }

  std::vector<Missing> FindMissing(
      std::span<const ExpectedFile> files) override {
    std::lock_guard hold(disk_.mutex_);
    if (!disk_.Begin(Op::kLook, "")) return {};
    std::vector<Missing> missing;
    if (disk_.fate_ != Fate::kThere) {
      missing.push_back({"", "data directory " + disk_.path_ + " is gone"});
    }
    for (const ExpectedFile& file : files) {
      const auto found = disk_.names_.find(file.name);
      const bool same =
          found != disk_.names_.end() &&
          (file.identity == 0 || file.identity == found->second) &&
          disk_.inodes_.at(found->second).seen().size() >= file.bytes_min;
      if (!same) missing.push_back({file.name, file.name + " is gone"});
    }
    return missing;
  }

  Result<void> Lock() override {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(disk_.Begin(Op::kLock, kLockFileName));
    if (disk_.holder_ != nullptr && disk_.holder_ != this) {
      return FailHeld(disk_.path_, getpid());
    }
    disk_.holder_ = this;
    // Durable at once: no start reads it, so its being lost or kept would only
    // multiply the crash images.
    if (!read_only_) {
      Inode& inode = disk_.MakeIfMissing(kLockFileName);
      inode.durable = fmt::format("{}\n", getpid());
      disk_.durable_names_.insert(*disk_.names_.find(kLockFileName));
    }
    return {};
  }

  Result<uint64_t> FreeBytes() override {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(disk_.Begin(Op::kFreeBytes, ""));
    return disk_.capacity_ - std::min(disk_.capacity_, disk_.UsedBytes());
  }

  std::optional<uint64_t> ZeroingLimit() override {
    std::lock_guard hold(disk_.mutex_);
    ++disk_.zero_trials_;
    return disk_.zeroing_limit_;
  }

  Result<std::unique_ptr<DurableWriter>> NewDurableWriter(WriteDevice,
                                                          Wake wake) override {
    std::lock_guard hold(disk_.mutex_);
    KVD_TRY(disk_.Begin(Op::kNewWriter, ""));
    return std::make_unique<SimWriter>(disk_, std::move(wake));
  }

  std::unique_ptr<ReadQueue> NewReadQueue(size_t reads_max,
                                          Wake wake) override {
    if (!disk_.has_read_queues_) return nullptr;
    std::lock_guard hold(disk_.mutex_);
    if (!disk_.Begin(Op::kNewQueue, "")) return nullptr;
    return std::make_unique<SimReadQueue>(reads_max, std::move(wake));
  }

 private:
  Result<void> Begin(Op op, std::string_view name) {
    CheckFileName(name);
    KVD_TRY(disk_.Begin(op, name));
    return CheckWritable(op, name);
  }

  Result<void> CheckWritable(Op op, std::string_view name) {
    if (read_only_) return Unexpected(disk_.OpError(EPERM, op, name));
    return {};
  }

  Result<InodeId> Find(Op op, std::string_view name) {
    const auto found = disk_.names_.find(name);
    if (found == disk_.names_.end()) {
      return Unexpected(disk_.OpError(ENOENT, op, name));
    }
    return found->second;
  }

  std::unique_ptr<File> MakeFile(InodeId id, std::string_view name,
                                 bool writable) {
    return std::make_unique<SimFile>(disk_, id, std::string(name), writable);
  }

  SimFileSystem& disk_;
  const bool read_only_;
};

std::unique_ptr<Directory> SimFileSystem::OpenDirectory(bool read_only) {
  return std::make_unique<SimDirectory>(*this, read_only);
}

void SimFileSystem::Finish(SimWriter& writer) {
  std::erase(in_flight_, &writer);
  writer.in_flight_ = false;
  KVD_CHECK(writer.bytes_ == writer.submitted_);
  const InodeId id = writer.file_->id_;
  const bool synced = writer.durability_ == DurableWriter::Durability::kSynced;
  writer.result_ = Begin(Op::kComplete, writer.file_->name_);
  if (crashed_) return;
  if (!*writer.result_) {
    if (synced) AbandonUnsynced(id);
    return;
  }
  if (synced && !ignore_durable_sync_) MakeDurable(id);
}

void SimFileSystem::SetWriteMode(WriteMode mode) {
  std::lock_guard hold(mutex_);
  write_mode_ = mode;
}

size_t SimFileSystem::pending_writes() const {
  std::lock_guard hold(mutex_);
  return in_flight_.size();
}

void SimFileSystem::CompleteWrite(size_t index) {
  const Wake wake = [&] {
    std::lock_guard hold(mutex_);
    KVD_CHECK(index < in_flight_.size());
    SimWriter& writer = *in_flight_[index];
    Finish(writer);
    return writer.wake_;
  }();
  wake();
}

}  // namespace kvd
