// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/checksum.h"
#include "base/unique_fd.h"
#include "cli/records/codec.h"
#include "cli/records/compression.h"
#include "cli/records/dump_format.h"
#include "cli/records/record_source.h"

namespace kvctl {

struct DumpOptions {
  std::optional<DumpFormat> format =
      {};                // Found out from the content without it.
  int64_t database = 0;  // Of records that name none.
};

// Reads a dump, compressed or not, in memory for one record and a page.
class DumpSource final : public RecordSource {
 public:
  // "-" is standard input.
  static Attempt<std::unique_ptr<DumpSource>> Open(const std::string& path,
                                                   const DumpOptions& options);

  Attempt<bool> Next(std::vector<Record>* page) override;
  // In bytes of the file.
  Progress progress() const override;
  void Save(Checkpoint* checkpoint) const override;
  Attempt<void> Resume(const Checkpoint& checkpoint) override;

 private:
  DumpSource(kvd::UniqueFd file, std::string name, const DumpOptions& options)
      : file_(std::move(file)), name_(std::move(name)), options_(options) {}

  int fd() const;
  Attempt<void> ReadMore();
  Attempt<void> ReadRaw(std::string* out);
  Attempt<void> Begin();
  Attempt<void> ChooseDecoder();
  Attempt<void> Decompress();
  Attempt<bool> DecodeNext(Record* record);
  bool IsPage(const std::vector<Record>& page, size_t bytes) const;

  const kvd::UniqueFd file_;  // None: standard input.
  const std::string name_;
  const DumpOptions options_;
  int64_t size_ = 0;  // 0: unknown.

  bool begun_ = false;
  std::string raw_;  // Compressed bytes that were read.
  size_t raw_begin_ = 0;
  std::optional<Decompressor> decompressor_;
  bool raw_end_ = false;
  int64_t raw_bytes_ = 0;

  std::string input_;  // Bytes for the decoder.
  size_t input_begin_ = 0;
  bool input_end_ = false;
  std::unique_ptr<RecordDecoder> decoder_;

  // Up to the end of the last record, and what was taken behind it.
  int64_t decoded_records_ = 0;
  int64_t decoded_bytes_ = 0;
  kvd::StreamingChecksum checksum_{0};
  std::string between_;
};

}  // namespace kvctl
