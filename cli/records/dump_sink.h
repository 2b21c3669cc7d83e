// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "cli/records/codec.h"
#include "cli/records/compression.h"
#include "cli/records/dump_format.h"
#include "cli/records/record_source.h"

namespace kvctl {

// Writes a dump, compressed if the file's name ends in ".zst". A regular file
// is called "NAME.part" until Finish(): a file of the name is a whole dump.
// What is neither finished nor saved is removed.
class DumpSink final : public RecordSink {
 public:
  // "-" is standard output.
  static Attempt<std::unique_ptr<DumpSink>> Open(const std::string& path,
                                                 DumpFormat format,
                                                 const EncodeOptions& options);

  ~DumpSink() override;

  Attempt<void> Put(const std::vector<Record>& page) override;
  Attempt<void> Settle() override;
  Attempt<void> Finish() override;
  bool KeepsParts() const override { return part_path_.empty(); }
  void Save(Checkpoint* checkpoint) override;
  Attempt<void> Resume(const Checkpoint& checkpoint) override;

 private:
  DumpSink(std::string path, std::string part_path,
           std::unique_ptr<RecordEncoder> encoder)
      : path_(std::move(path)),
        part_path_(std::move(part_path)),
        encoder_(std::move(encoder)) {}

  Attempt<void> OpenFile(int flags);
  void Begin();
  Attempt<void> WriteOut(bool all);
  Attempt<void> Write(std::string_view bytes);
  const std::string& written_path() const {
    return part_path_.empty() ? path_ : part_path_;
  }

  const std::string path_;
  const std::string part_path_;  // Empty: no file that gets its name later.
  const std::unique_ptr<RecordEncoder> encoder_;
  kvd::UniqueFd file_;  // None: standard output.
  std::optional<Compressor> compressor_;
  bool begun_ = false;
  bool keep_part_ = false;

  std::string text_;
  std::string compressed_;
  int64_t written_bytes_ = 0;
};

}  // namespace kvctl
