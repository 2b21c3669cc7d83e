// SPDX-License-Identifier: MIT
#include "cli/records/dump_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "cli/records/interrupt.h"
#include "cli/text.h"

namespace kvctl {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kPageRecords = 1000;
constexpr size_t kPageBytes = 1 << 20;
// Bytes before the cursor are dropped when there are so many.
constexpr size_t kDropBytes = 1 << 20;
constexpr size_t kMagicBytes = 4;

void DropConsumed(std::string* buffer, size_t* begin) {
  if (*begin < buffer->size() && *begin < kDropBytes) return;
  buffer->erase(0, *begin);
  *begin = 0;
}

}  // namespace

Attempt<std::unique_ptr<DumpSource>> DumpSource::Open(
    const std::string& path, const DumpOptions& options) {
  if (path == "-") {
    return std::unique_ptr<DumpSource>(
        new DumpSource(kvd::UniqueFd(), "standard input", options));
  }
  kvd::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status = {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    return Refuse(ExitCode::kLocalIo, "cannot read {}: {}", Escape(path),
                  std::generic_category().message(errno));
  }
  std::unique_ptr<DumpSource> source(
      new DumpSource(std::move(file), Escape(path), options));
  if (S_ISREG(status.st_mode)) source->size_ = status.st_size;
  return source;
}

int DumpSource::fd() const { return file_ ? file_.get() : STDIN_FILENO; }

Attempt<bool> DumpSource::Next(std::vector<Record>* page) {
  size_t bytes = 0;
  while (!IsPage(*page, bytes)) {
    Record record;
    KVD_TRY_ASSIGN(const bool found, DecodeNext(&record));
    if (found) {
      bytes += BytesOf(record);
      page->push_back(std::move(record));
      continue;
    }
    if (input_end_) return !page->empty();
    // What is there goes on before more is waited for.
    if (!page->empty() || Interrupted()) return true;
    KVD_TRY(ReadMore());
  }
  return true;
}

bool DumpSource::IsPage(const std::vector<Record>& page, size_t bytes) const {
  return page.size() >= kPageRecords || bytes >= kPageBytes;
}

Attempt<bool> DumpSource::DecodeNext(Record* record) {
  if (decoder_ == nullptr) return false;
  const std::string_view input = std::string_view(input_).substr(input_begin_);
  const DecodeOutcome outcome = decoder_->Next(input, input_end_, record);
  if (outcome == DecodeOutcome::kError) {
    Place place = decoder_->place();
    return Refuse(ExitCode::kUsage, "{}: {}: {}", name_, Describe(place),
                  decoder_->error());
  }
  const std::string_view taken = input.substr(0, decoder_->consumed());
  input_begin_ += taken.size();
  if (outcome == DecodeOutcome::kNeedMore) {
    between_.append(taken);
    return false;
  }
  checksum_.Update(between_);
  checksum_.Update(taken);
  decoded_bytes_ += static_cast<int64_t>(between_.size() + taken.size());
  between_.clear();
  ++decoded_records_;
  record->place = decoder_->place();
  if (!record->database) record->database = options_.database;
  return true;
}

// Makes input_ longer, or finds its end, or returns when interrupted.
Attempt<void> DumpSource::ReadMore() {
  DropConsumed(&input_, &input_begin_);
  if (!begun_) {
    KVD_TRY(Begin());
  } else if (decompressor_) {
    KVD_TRY(Decompress());
  } else {
    KVD_TRY(ReadRaw(&input_));
    input_end_ = raw_end_;
  }
  if (begun_ && decoder_ == nullptr) return ChooseDecoder();
  return {};
}

// Looks at the first bytes, which tell whether they are compressed.
Attempt<void> DumpSource::Begin() {
  KVD_TRY(ReadRaw(&raw_));
  if (raw_.size() < kMagicBytes && !raw_end_) return {};
  begun_ = true;
  if (IsCompressed(raw_)) {
    decompressor_.emplace();
    return {};
  }
  input_ = std::move(raw_);
  input_end_ = raw_end_;
  return {};
}

Attempt<void> DumpSource::ChooseDecoder() {
  const std::optional<DumpFormat> format =
      options_.format ? options_.format : FormatByContent(input_);
  if (format) {
    decoder_ = MakeDecoder(*format);
    return {};
  }
  if (input_.find_first_not_of(" \t\r\n") == input_.npos) return {};
  // A short first piece may hold a part of a header.
  const bool may_be_part =
      input_.size() < kReadBytes && input_.find('\n') == input_.npos;
  if (may_be_part && !input_end_) return {};
  return Refuse(ExitCode::kUsage,
                "{} is no dump: it begins with {}"
                "\n  JSON lines, CSV with a header, and SETs in Redis's "
                "protocol are read",
                name_, Quote(std::string_view(input_).substr(0, 20)));
}

Attempt<void> DumpSource::Decompress() {
  std::string_view left = std::string_view(raw_).substr(raw_begin_);
  const size_t before = left.size();
  const size_t old_size = input_.size();
  if (!decompressor_->Next(&left, &input_)) {
    return Refuse(ExitCode::kUsage, "{} is damaged, or is no zstd file: {}",
                  name_, decompressor_->error());
  }
  raw_begin_ += before - left.size();
  if (left.size() < before || input_.size() > old_size) return {};
  if (raw_end_) {
    if (!decompressor_->at_frame_end()) {
      return Refuse(ExitCode::kUsage,
                    "{} is cut off: its last frame is not whole", name_);
    }
    input_end_ = true;
    return {};
  }
  DropConsumed(&raw_, &raw_begin_);
  return ReadRaw(&raw_);
}

Attempt<void> DumpSource::ReadRaw(std::string* out) {
  AwaitInput(fd());
  if (Interrupted()) return {};
  const size_t old_size = out->size();
  out->resize(old_size + kReadBytes);
  const ssize_t got = ::read(fd(), out->data() + old_size, kReadBytes);
  const int fault = errno;
  out->resize(old_size + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  if (got > 0) {
    raw_bytes_ += got;
  } else if (got == 0) {
    raw_end_ = true;
  } else if (fault != EINTR) {
    return Refuse(ExitCode::kLocalIo, "cannot read {}: {}", name_,
                  std::generic_category().message(fault));
  }
  return {};
}

RecordSource::Progress DumpSource::progress() const {
  return {.done = raw_bytes_, .all = size_};
}

void DumpSource::Save(Checkpoint* checkpoint) const {
  checkpoint->input_bytes = decoded_bytes_;
  checkpoint->input_checksum = static_cast<int64_t>(checksum_.Digest());
}

Attempt<void> DumpSource::Resume(const Checkpoint& checkpoint) {
  Record record;
  while (decoded_records_ < checkpoint.records) {
    KVD_TRY_ASSIGN(const bool found, DecodeNext(&record));
    if (found) continue;
    if (input_end_) break;
    if (Interrupted()) {
      return Refuse(ExitCode::kInterrupted, "interrupted; nothing was done");
    }
    KVD_TRY(ReadMore());
  }
  if (decoded_bytes_ == checkpoint.input_bytes &&
      static_cast<int64_t>(checksum_.Digest()) == checkpoint.input_checksum) {
    return {};
  }
  return Refuse(ExitCode::kUsage,
                "{} is not what was interrupted: its first {} records are "
                "others\n  Remove the state file to begin anew",
                name_, Grouped(checkpoint.records));
}

}  // namespace kvctl
