// SPDX-License-Identifier: MIT
#include "cli/records/dump_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "cli/text.h"

namespace kvctl {
namespace {

constexpr size_t kWriteBytes = 256 * 1024;

std::string ErrnoText(int fault) {
  return std::generic_category().message(fault);
}

// Whether the path may be a file that is written under another name first.
bool MayBeReplaced(const std::string& path) {
  std::error_code fault;
  const auto status = std::filesystem::status(path, fault);
  return !std::filesystem::exists(status) ||
         std::filesystem::is_regular_file(status);
}

}  // namespace

Attempt<std::unique_ptr<DumpSink>> DumpSink::Open(
    const std::string& path, DumpFormat format, const EncodeOptions& options) {
  const bool is_output = path == "-";
  const std::string part =
      !is_output && MayBeReplaced(path) ? path + ".part" : std::string();
  std::unique_ptr<DumpSink> sink(
      new DumpSink(path, part, MakeEncoder(format, options)));
  if (path.ends_with(".zst")) sink->compressor_.emplace();
  if (is_output) return sink;
  // Not emptied yet: what is there may be gone on with.
  KVD_TRY(sink->OpenFile(O_WRONLY | O_CREAT | O_CLOEXEC));
  return sink;
}

DumpSink::~DumpSink() {
  std::error_code ignored;
  if (file_ && !part_path_.empty() && !keep_part_) {
    std::filesystem::remove(part_path_, ignored);
  }
}

Attempt<void> DumpSink::OpenFile(int flags) {
  file_.Reset(::open(written_path().c_str(), flags, 0666));
  if (file_) return {};
  return Refuse(ExitCode::kLocalIo, "cannot write {}: {}",
                Escape(written_path()), ErrnoText(errno));
}

Attempt<void> DumpSink::Put(const std::vector<Record>& page) {
  if (!begun_) {
    if (!part_path_.empty()) {
      KVD_TRY(OpenFile(O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC));
    }
    Begin();
  }
  for (const Record& record : page) {
    encoder_->Append(record, &text_);
    if (text_.size() >= kWriteBytes) KVD_TRY(WriteOut(/*all=*/false));
  }
  return {};
}

void DumpSink::Begin() {
  begun_ = true;
  encoder_->Begin(&text_);
}

Attempt<void> DumpSink::Settle() {
  if (compressor_) {
    compressor_->Append(text_, &compressed_);
    text_.clear();
    compressor_->EndFrame(&compressed_);
  }
  return WriteOut(/*all=*/true);
}

Attempt<void> DumpSink::Finish() {
  KVD_TRY(Put({}));  // A dump without records is one, too.
  KVD_TRY(Settle());
  if (part_path_.empty()) return {};
  if (::close(file_.Release()) != 0) {
    return Refuse(ExitCode::kLocalIo, "cannot write {}: {}", Escape(part_path_),
                  ErrnoText(errno));
  }
  std::error_code fault;
  std::filesystem::rename(part_path_, path_, fault);
  if (!fault) return {};
  return Refuse(ExitCode::kLocalIo, "cannot write {}: {}", Escape(path_),
                fault.message());
}

Attempt<void> DumpSink::WriteOut(bool all) {
  if (!compressor_) {
    KVD_TRY(Write(text_));
    text_.clear();
    return {};
  }
  compressor_->Append(text_, &compressed_);
  text_.clear();
  if (!all && compressed_.size() < kWriteBytes) return {};
  KVD_TRY(Write(compressed_));
  compressed_.clear();
  return {};
}

Attempt<void> DumpSink::Write(std::string_view bytes) {
  const int fd = file_ ? file_.get() : STDOUT_FILENO;
  while (!bytes.empty()) {
    const ssize_t size = ::write(fd, bytes.data(), bytes.size());
    if (size >= 0) {
      bytes.remove_prefix(static_cast<size_t>(size));
      written_bytes_ += size;
    } else if (errno == EAGAIN) {
      // Another program has made it non-blocking.
      pollfd room = {fd, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return Refuse(ExitCode::kLocalIo, "cannot write {}: {}",
                    file_ ? Escape(written_path()) : "the output",
                    ErrnoText(errno));
    }
  }
  return {};
}

void DumpSink::Save(Checkpoint* checkpoint) {
  keep_part_ = true;
  checkpoint->output_bytes = written_bytes_;
}

Attempt<void> DumpSink::Resume(const Checkpoint& checkpoint) {
  std::error_code fault;
  const std::uintmax_t size = std::filesystem::file_size(part_path_, fault);
  const auto wanted = static_cast<std::uintmax_t>(checkpoint.output_bytes);
  if (fault || size < wanted) {
    return Refuse(ExitCode::kUsage,
                  "{} is not what was interrupted: it has less than {} bytes"
                  "\n  Remove the state file to begin anew",
                  Escape(part_path_), Grouped(checkpoint.output_bytes));
  }
  std::filesystem::resize_file(part_path_, wanted, fault);
  if (fault) {
    return Refuse(ExitCode::kLocalIo, "cannot write {}: {}", Escape(part_path_),
                  fault.message());
  }
  KVD_TRY(OpenFile(O_WRONLY | O_APPEND | O_CLOEXEC));
  written_bytes_ = checkpoint.output_bytes;
  keep_part_ = true;
  // A header stands at the beginning only.
  begun_ = checkpoint.output_bytes > 0;
  return {};
}

}  // namespace kvctl
