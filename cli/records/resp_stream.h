// SPDX-License-Identifier: MIT
//
// A stream of commands in Redis's protocol, which any Redis takes:
//
//   redis-cli --pipe < FILE
//
// Written are SET key value [PXAT milliseconds], and SELECT where several
// databases are. Read are these, and EXAT; other commands are refused, since
// they are no records, and so are times that count from now.
#pragma once

#include "cli/records/codec.h"
#include "resp/command_parser.h"

namespace kvctl {

class RespStreamDecoder final : public RecordDecoder {
 public:
  RespStreamDecoder();
  DecodeOutcome Next(std::string_view input, bool is_end,
                     Record* record) override;

 private:
  bool TakeSelect();
  bool TakeSet(Record* record);
  bool TakeDeadline(Record* record);
  bool Refuse(std::string why);

  kvd::CommandParser parser_;
  int64_t bytes_ = 0;  // Before the current command.
  std::optional<int64_t> database_;
};

class RespStreamEncoder final : public RecordEncoder {
 public:
  explicit RespStreamEncoder(const EncodeOptions& options)
      : options_(options) {}
  void Append(const Record& record, std::string* out) override;

 private:
  const EncodeOptions options_;
  std::optional<int64_t> database_;
};

}  // namespace kvctl
