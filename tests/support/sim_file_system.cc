// SPDX-License-Identifier: MIT
#include "tests/support/sim_file_system.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/check.h"

namespace kvd {
namespace {

constexpr std::string_view kOpNames[SimFileSystem::kOpCount] = {
    "create",     "open",     "read",     "write",          "allocate",
    "reserve",    "truncate", "sync",     "size",           "list",
    "remove",     "rename",   "exchange", "sync directory", "lock",
    "free bytes", "submit",   "complete", "make a writer",  "make a read queue",
    "look"};

constexpr bool ChangesDisk(SimFileSystem::Op op) {
  using Op = SimFileSystem::Op;
  return op != Op::kOpen && op != Op::kRead && op != Op::kSize &&
         op != Op::kList && op != Op::kFreeBytes && op != Op::kNewWriter &&
         op != Op::kNewQueue && op != Op::kLook;
}

tl::unexpected<Error> FailCrashed() {
  return Fail(ErrorCode::kIo, "simulated crash");
}

}  // namespace

SimFileSystem::SimFileSystem(std::string path) : path_(std::move(path)) {}

SimFileSystem::~SimFileSystem() = default;

Result<void> SimFileSystem::Begin(Op op, std::string_view name,
                                  size_t* partial_bytes) {
  if (crashed_) return FailCrashed();
  if (ChangesDisk(op)) {
    if (operations_.size() == crash_at_) {
      crashed_ = true;
      return FailCrashed();
    }
    operations_.push_back({op, std::string(name)});
  }
  ++calls_[static_cast<size_t>(op)];

  std::optional<Failure> met;
  for (size_t i = 0; i < failures_.size(); ++i) {
    Failure& failure = failures_[i];
    if (!failure.any_op && failure.op != op) continue;
    if (failure.calls_before > 0) {
      --failure.calls_before;
      continue;
    }
    if (met) continue;
    met = failure;
    if (failure.repeat == Repeat::kOnce) {
      failures_.erase(failures_.begin() + static_cast<ptrdiff_t>(i--));
    }
  }
  if (!met && fate_ == Fate::kReadOnly && ChangesDisk(op)) {
    return Unexpected(OpError(EROFS, op, name));
  }
  if (!met && fate_ == Fate::kGone &&
      (op == Op::kCreate || op == Op::kRename || op == Op::kExchange)) {
    return Unexpected(OpError(ENOENT, op, name));
  }
  if (!met) return {};
  ++failure_count_;
  if (met->sys_errno == EINTR) return {};
  met_.push_back({op, met->sys_errno});
  if (partial_bytes != nullptr) *partial_bytes = met->partial_bytes;
  return Unexpected(OpError(met->sys_errno, op, name));
}

Error SimFileSystem::OpError(int sys_errno, Op op,
                             std::string_view name) const {
  return Error::FromErrno(
      sys_errno, fmt::format("{} {}{}{}", kOpNames[static_cast<size_t>(op)],
                             path_, name.empty() ? "" : "/", name));
}

uint64_t SimFileSystem::PageOf(uint64_t offset) { return offset / kPageBytes; }

uint64_t SimFileSystem::WholePages(uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

void SimFileSystem::PutBytes(std::string* content, uint64_t offset,
                             std::string_view bytes) {
  if (content->size() < offset + bytes.size()) {
    content->resize(offset + bytes.size());
  }
  content->replace(offset, bytes.size(), bytes);
}

std::string& SimFileSystem::Inode::Writable() {
  if (!has_cached) {
    cached = durable;
    has_cached = true;
  }
  return cached;
}

void SimFileSystem::WriteBytes(Inode& inode, uint64_t offset,
                               std::string_view bytes) {
  std::string& content = inode.Writable();
  while (!bytes.empty()) {
    const size_t size =
        std::min(bytes.size(), kPageBytes - offset % kPageBytes);
    inode.unsynced.push_back(
        {next_order_++, false, offset, std::string(bytes.substr(0, size))});
    PutBytes(&content, offset, bytes.substr(0, size));
    offset += size;
    bytes.remove_prefix(size);
  }
}

void SimFileSystem::SetSize(Inode& inode, uint64_t bytes) {
  if (inode.seen().size() == bytes) return;
  if (bytes < inode.seen().size()) inode.room = 0;
  inode.unsynced.push_back({next_order_++, true, bytes, ""});
  inode.Writable().resize(bytes);
}

void SimFileSystem::MakeDurable(InodeId id) {
  for (NameChange& change : name_changes_) {
    if (change.inode == id || change.from_inode == id) {
      change.file_synced = true;
    }
  }
  Inode& inode = inodes_.at(id);
  std::vector<uint64_t> pages;
  bool size_changes = false;
  for (const Change& change : inode.unsynced) {
    if (change.abandoned) continue;
    if (change.is_size) {
      // Also what is cut off and grows again reads as zeros.
      inode.durable.resize(change.offset);
      size_changes = true;
      continue;
    }
    pages.push_back(PageOf(change.offset));
    size_changes |= change.offset + change.bytes.size() > inode.durable.size();
  }
  if (size_changes) inode.durable.resize(inode.cached.size());
  std::sort(pages.begin(), pages.end());
  pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
  for (const uint64_t page : pages) {
    // A page is written whole, with what an abandoned change left in it.
    const std::string_view cached = inode.cached;
    const uint64_t offset = page * kPageBytes;
    if (offset >= cached.size()) continue;
    PutBytes(&inode.durable, offset, cached.substr(offset, kPageBytes));
  }
  std::erase_if(inode.unsynced, [&](const Change& change) {
    return !change.abandoned || (change.is_size && size_changes) ||
           std::binary_search(pages.begin(), pages.end(),
                              PageOf(change.offset));
  });
}

void SimFileSystem::AbandonUnsynced(InodeId id) {
  if (failed_sync_.reaches_disk) return MakeDurable(id);
  Inode& inode = inodes_.at(id);
  for (Change& change : inode.unsynced) change.abandoned = true;
  if (!failed_sync_.stays_in_cache) {
    inode.unsynced.clear();
    inode.cached.clear();
    inode.has_cached = false;
  }
}

uint64_t SimFileSystem::TakenBytes(const Inode& inode) {
  return std::max(WholePages(inode.seen().size()), inode.room);
}

uint64_t SimFileSystem::UsedBytes() const {
  uint64_t bytes = 0;
  for (const auto& [id, inode] : inodes_) {
    bytes += TakenBytes(inode);
  }
  return bytes;
}

size_t SimFileSystem::RoomFor(const Inode& inode, uint64_t offset,
                              size_t bytes) const {
  const uint64_t own = TakenBytes(inode);
  const uint64_t others = UsedBytes() - own;
  const uint64_t room = std::max(own, capacity_ - std::min(capacity_, others)) /
                        kPageBytes * kPageBytes;
  if (offset + bytes <= room) return bytes;
  return room > offset ? room - offset : 0;
}

// Makes a change of names, to be remembered until the directory is synced.
void SimFileSystem::Link(std::string from, std::string to, InodeId inode,
                         InodeId from_inode) {
  if (!from.empty()) names_.erase(from);
  if (from_inode != 0) names_[from] = from_inode;
  if (!to.empty()) names_[to] = inode;
  name_changes_.push_back(
      {next_order_++, std::move(from), std::move(to), inode, from_inode});
}

// Drops files that no handle, no name and no crash can reach any more.
void SimFileSystem::CollectGarbage() {
  std::erase_if(inodes_, [&](const auto& item) {
    const auto& [id, inode] = item;
    const auto is_it = [id = id](const auto& name) {
      return name.second == id;
    };
    return inode.handles == 0 &&
           std::none_of(names_.begin(), names_.end(), is_it) &&
           std::none_of(durable_names_.begin(), durable_names_.end(), is_it) &&
           std::none_of(name_changes_.begin(), name_changes_.end(),
                        [id = id](const NameChange& change) {
                          return change.inode == id || change.from_inode == id;
                        });
  });
}

// --- Settings and counts ---

uint64_t SimFileSystem::operations() const {
  std::lock_guard hold(mutex_);
  return operations_.size();
}

std::string SimFileSystem::DescribeOperation(uint64_t n) const {
  std::lock_guard hold(mutex_);
  const Operation& operation = operations_.at(n);
  return fmt::format("{} {}", kOpNames[static_cast<size_t>(operation.op)],
                     operation.name);
}

void SimFileSystem::CrashAt(uint64_t n) {
  std::lock_guard hold(mutex_);
  crash_at_ = n;
}

bool SimFileSystem::crashed() const {
  std::lock_guard hold(mutex_);
  return crashed_;
}

uint64_t SimFileSystem::calls(Op op) const {
  std::lock_guard hold(mutex_);
  return calls_[static_cast<size_t>(op)];
}

uint64_t SimFileSystem::calls() const {
  std::lock_guard hold(mutex_);
  uint64_t sum = 0;
  for (const uint64_t calls : calls_) sum += calls;
  return sum;
}

void SimFileSystem::FailAt(Op op, uint64_t nth, int sys_errno, Repeat repeat,
                           size_t partial_bytes) {
  std::lock_guard hold(mutex_);
  failures_.push_back({false, op, nth, sys_errno, repeat, partial_bytes});
}

void SimFileSystem::FailAtCall(uint64_t nth, int sys_errno, Repeat repeat) {
  std::lock_guard hold(mutex_);
  failures_.push_back({true, Op::kOpen, nth, sys_errno, repeat, 0});
}

void SimFileSystem::ClearFailures() {
  std::lock_guard hold(mutex_);
  failures_.clear();
}

uint64_t SimFileSystem::failures() const {
  std::lock_guard hold(mutex_);
  return failure_count_;
}

std::vector<SimFileSystem::Met> SimFileSystem::met() const {
  std::lock_guard hold(mutex_);
  return met_;
}

void SimFileSystem::SetFailedSync(FailedSync policy) {
  std::lock_guard hold(mutex_);
  failed_sync_ = policy;
}

void SimFileSystem::SetFate(Fate fate) {
  std::lock_guard hold(mutex_);
  fate_ = fate;
}

void SimFileSystem::SetCapacity(uint64_t bytes) {
  std::lock_guard hold(mutex_);
  capacity_ = bytes;
}

void SimFileSystem::SetExchanges(bool can) {
  std::lock_guard hold(mutex_);
  exchanges_ = can;
}

void SimFileSystem::SetZeroingLimit(uint64_t bytes) {
  std::lock_guard hold(mutex_);
  zeroing_limit_ = bytes;
}

uint64_t SimFileSystem::zero_trials() const {
  std::lock_guard hold(mutex_);
  return zero_trials_;
}

uint64_t SimFileSystem::used_bytes() const {
  std::lock_guard hold(mutex_);
  return UsedBytes();
}

void SimFileSystem::IgnoreFileSync(bool ignore) {
  std::lock_guard hold(mutex_);
  ignore_file_sync_ = ignore;
}

void SimFileSystem::IgnoreDirectorySync(bool ignore) {
  std::lock_guard hold(mutex_);
  ignore_directory_sync_ = ignore;
}

void SimFileSystem::IgnoreDurableSync(bool ignore) {
  std::lock_guard hold(mutex_);
  ignore_durable_sync_ = ignore;
}

std::unique_ptr<SimFileSystem> SimFileSystem::Clone() const {
  std::lock_guard hold(mutex_);
  auto clone = std::make_unique<SimFileSystem>(path_);
  clone->capacity_ = capacity_;
  clone->exchanges_ = exchanges_;
  clone->inodes_ = inodes_;
  for (auto& [id, inode] : clone->inodes_) inode.handles = 0;
  clone->names_ = names_;
  clone->durable_names_ = durable_names_;
  clone->name_changes_ = name_changes_;
  clone->next_inode_ = next_inode_;
  clone->next_order_ = next_order_;
  clone->CollectGarbage();
  return clone;
}

// --- The medium, by hand ---

SimFileSystem::Inode& SimFileSystem::InodeOf(std::string_view name) {
  const auto found = names_.find(name);
  KVD_CHECK(found != names_.end());
  return inodes_.at(found->second);
}

const SimFileSystem::Inode& SimFileSystem::InodeOf(
    std::string_view name) const {
  const auto found = names_.find(name);
  KVD_CHECK(found != names_.end());
  return inodes_.at(found->second);
}

void SimFileSystem::Settle(std::string_view name) {
  Inode& inode = InodeOf(name);
  if (inode.has_cached) inode.durable = inode.cached;
  inode.unsynced.clear();
  SettleNames();
}

void SimFileSystem::SettleNames() {
  durable_names_ = names_;
  name_changes_.clear();
  CollectGarbage();
}

std::vector<std::string> SimFileSystem::Names() const {
  std::lock_guard hold(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, id] : names_) names.push_back(name);
  return names;
}

bool SimFileSystem::Exists(std::string_view name) const {
  std::lock_guard hold(mutex_);
  return names_.contains(name);
}

std::string SimFileSystem::ReadAll(std::string_view name) const {
  std::lock_guard hold(mutex_);
  return InodeOf(name).seen();
}

void SimFileSystem::Put(std::string_view name, std::string_view content) {
  std::lock_guard hold(mutex_);
  MakeIfMissing(name).Writable().assign(content);
  Settle(name);
}

SimFileSystem::Inode& SimFileSystem::MakeIfMissing(std::string_view name) {
  const auto [named, made] = names_.try_emplace(std::string(name), next_inode_);
  if (made) ++next_inode_;
  return inodes_[named->second];
}

void SimFileSystem::Overwrite(std::string_view name, uint64_t offset,
                              std::string_view bytes) {
  std::lock_guard hold(mutex_);
  PutBytes(&InodeOf(name).Writable(), offset, bytes);
  Settle(name);
}

void SimFileSystem::Flip(std::string_view name, uint64_t bit) {
  std::lock_guard hold(mutex_);
  std::string& content = InodeOf(name).Writable();
  KVD_CHECK(bit / 8 < content.size());
  content[bit / 8] = static_cast<char>(content[bit / 8] ^ (1 << bit % 8));
  Settle(name);
}

void SimFileSystem::Truncate(std::string_view name, uint64_t bytes) {
  std::lock_guard hold(mutex_);
  InodeOf(name).Writable().resize(bytes);
  Settle(name);
}

void SimFileSystem::Copy(std::string_view from, std::string_view to) {
  std::lock_guard hold(mutex_);
  std::string content = InodeOf(from).seen();
  MakeIfMissing(to).Writable() = std::move(content);
  Settle(to);
}

void SimFileSystem::Remove(std::string_view name) {
  std::lock_guard hold(mutex_);
  KVD_CHECK(names_.contains(name));
  names_.erase(std::string(name));
  SettleNames();
}

}  // namespace kvd
