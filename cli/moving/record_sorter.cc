// SPDX-License-Identifier: MIT
#include "cli/moving/record_sorter.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "cli/text.h"

namespace kvctl {
namespace {

constexpr size_t kBufferBytes = 64 * 1024;
constexpr size_t kWriteBytes = 1 << 20;

// What stands before key and value in the file; numbers in the machine's
// order, as nobody else reads it.
struct Header {
  uint64_t value_size;
  int64_t database;
  int64_t expires_ms;  // 0: none.
  int64_t revision;    // -1: none.
  uint32_t key_size;
  uint32_t unused = 0;
};

void Append(const Record& record, std::string* out) {
  const Header header = {.value_size = record.value.size(),
                         .database = record.database.value_or(0),
                         .expires_ms = record.expires_ms.value_or(0),
                         .revision = record.revision.value_or(-1),
                         .key_size = static_cast<uint32_t>(record.key.size())};
  out->append(reinterpret_cast<const char*>(&header), sizeof header);
  out->append(record.key).append(record.value);
}

tl::unexpected<Failure> TemporaryFileFault(std::string_view what, int fault) {
  return Refuse(ExitCode::kLocalIo,
                "cannot {} a temporary file: {}"
                "\n  Another folder for it:  TMPDIR=FOLDER kvctl …",
                what, std::generic_category().message(fault));
}

bool IsSameKey(const Record& a, const Record& b) {
  return a.database.value_or(0) == b.database.value_or(0) && a.key == b.key;
}

}  // namespace

bool ComesBefore(const Record& a, const Record& b) {
  const int64_t a_database = a.database.value_or(0);
  const int64_t b_database = b.database.value_or(0);
  return a_database != b_database ? a_database < b_database : a.key < b.key;
}

// A sorted part of the file, of which one record is in memory.
class RecordSorter::Run {
 public:
  Run(int fd, uint64_t begin, uint64_t end)
      : fd_(fd), position_(begin), end_(end) {}

  const Record& current() const { return current_; }
  Record Take() { return std::move(current_); }

  // Makes the next record current(); false at the end.
  Attempt<bool> Advance() {
    if (position_ == end_ && begin_ == buffer_.size()) return false;
    Header header;
    KVD_TRY(Read(sizeof header, reinterpret_cast<char*>(&header)));
    current_ = Record();
    current_.key.resize(header.key_size);
    KVD_TRY(Read(current_.key.size(), current_.key.data()));
    current_.value.resize(header.value_size);
    KVD_TRY(Read(current_.value.size(), current_.value.data()));
    current_.database = header.database;
    if (header.expires_ms > 0) current_.expires_ms = header.expires_ms;
    if (header.revision >= 0) current_.revision = header.revision;
    return true;
  }

 private:
  Attempt<void> Read(size_t size, char* out) {
    while (size > 0) {
      if (begin_ == buffer_.size()) KVD_TRY(Fill());
      const size_t part = std::min(size, buffer_.size() - begin_);
      std::memcpy(out, buffer_.data() + begin_, part);
      begin_ += part;
      out += part;
      size -= part;
    }
    return {};
  }

  Attempt<void> Fill() {
    const uint64_t left = end_ - position_;
    buffer_.resize(static_cast<size_t>(std::min<uint64_t>(left, kBufferBytes)));
    begin_ = 0;
    ssize_t got;
    do {
      got = ::pread(fd_, buffer_.data(), buffer_.size(),
                    static_cast<off_t>(position_));
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return TemporaryFileFault("read", got < 0 ? errno : EIO);
    buffer_.resize(static_cast<size_t>(got));
    position_ += static_cast<uint64_t>(got);
    return {};
  }

  const int fd_;
  uint64_t position_;  // Of what the buffer does not have.
  const uint64_t end_;
  std::string buffer_;
  size_t begin_ = 0;
  Record current_;
};

RecordSorter::RecordSorter(size_t run_bytes) : run_bytes_(run_bytes) {}
RecordSorter::~RecordSorter() = default;
RecordSorter::RecordSorter(RecordSorter&&) noexcept = default;

Attempt<void> RecordSorter::Add(Record record) {
  pending_bytes_ += BytesOf(record);
  pending_.push_back(std::move(record));
  if (pending_bytes_ < run_bytes_) return {};
  return WriteRun();
}

Attempt<void> RecordSorter::Sort() {
  if (runs_.empty()) {
    SortPending();
    return {};
  }
  if (!pending_.empty()) KVD_TRY(WriteRun());
  pending_ = {};
  for (size_t i = 0; i < runs_.size(); ++i) {
    KVD_TRY(runs_[i]->Advance());  // A run is never empty.
    heap_.push_back(i);
  }
  const auto after = [this](size_t a, size_t b) { return IsAfter(a, b); };
  std::ranges::make_heap(heap_, after);
  return {};
}

void RecordSorter::SortPending() {
  std::ranges::stable_sort(pending_, ComesBefore);
  // Of equal keys the last one stays.
  size_t kept = 0;
  for (size_t i = 0; i < pending_.size(); ++i) {
    const bool last =
        i + 1 == pending_.size() || !IsSameKey(pending_[i], pending_[i + 1]);
    if (!last) continue;
    if (kept != i) pending_[kept] = std::move(pending_[i]);
    ++kept;
  }
  pending_.resize(kept);
}

Attempt<void> RecordSorter::WriteRun() {
  if (!file_) KVD_TRY(OpenFile());
  SortPending();
  const uint64_t begin = file_bytes_;
  std::string text;
  for (const Record& record : pending_) {
    Append(record, &text);
    if (text.size() < kWriteBytes) continue;
    KVD_TRY(Write(text));
    text.clear();
  }
  KVD_TRY(Write(text));
  runs_.push_back(std::make_unique<Run>(file_.get(), begin, file_bytes_));
  pending_.clear();
  pending_bytes_ = 0;
  return {};
}

Attempt<void> RecordSorter::OpenFile() {
  const char* folder = std::getenv("TMPDIR");
  std::string path = folder != nullptr && *folder != '\0' ? folder : "/tmp";
  path += "/kvctl-XXXXXX";
  file_.Reset(::mkostemp(path.data(), O_CLOEXEC));
  if (!file_) return TemporaryFileFault("make", errno);
  // It goes away with the process.
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  return {};
}

Attempt<void> RecordSorter::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::write(file_.get(), bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return TemporaryFileFault("write", errno);
    bytes.remove_prefix(static_cast<size_t>(size));
    file_bytes_ += static_cast<uint64_t>(size);
  }
  return {};
}

Attempt<bool> RecordSorter::Next(Record* record) {
  if (runs_.empty()) {
    if (next_pending_ == pending_.size()) return false;
    *record = std::move(pending_[next_pending_++]);
    return true;
  }
  if (heap_.empty()) return false;
  KVD_TRY(TakeLeast(record));
  // Later runs come first among equal keys: what follows is older.
  Record older;
  while (!heap_.empty() &&
         IsSameKey(runs_[heap_.front()]->current(), *record)) {
    KVD_TRY(TakeLeast(&older));
  }
  return true;
}

Attempt<void> RecordSorter::TakeLeast(Record* record) {
  const auto after = [this](size_t a, size_t b) { return IsAfter(a, b); };
  std::ranges::pop_heap(heap_, after);
  Run& run = *runs_[heap_.back()];
  *record = run.Take();
  KVD_TRY_ASSIGN(const bool more, run.Advance());
  if (more) {
    std::ranges::push_heap(heap_, after);
  } else {
    heap_.pop_back();
  }
  return {};
}

bool RecordSorter::IsAfter(size_t a, size_t b) const {
  const Record& of_a = runs_[a]->current();
  const Record& of_b = runs_[b]->current();
  if (ComesBefore(of_b, of_a)) return true;
  return !ComesBefore(of_a, of_b) && a < b;
}

}  // namespace kvctl
