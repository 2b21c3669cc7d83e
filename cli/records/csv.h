// SPDX-License-Identifier: MIT
//
// CSV as RFC 4180 has it, with a header and CR LF at the end of lines:
//
//   key,key_b64,value,value_b64,expires_ms
//   greeting,,hello,,
//   ,/w==,,AA==,1900000000000
//
// Of "key" and "key_b64" (base64) one is empty, and so it is with the value:
// what is no UTF-8, or holds control characters that programs stumble over, is
// base64. "rev" and "db" may follow. A reader takes the columns in any order,
// and needs but one for the key and one for the value; lines may end with LF.
#pragma once

#include <array>
#include <vector>

#include "cli/records/codec.h"

namespace kvctl {

class CsvDecoder final : public RecordDecoder {
 public:
  DecodeOutcome Next(std::string_view input, bool is_end,
                     Record* record) override;

  enum class Column { kKey, kKeyB64, kValue, kValueB64, kExpires, kRev, kDb };
  static constexpr size_t kColumns = 7;

 private:
  enum class Step { kLine, kNeedMore, kError };
  // Where in a line a byte is.
  enum class Part { kFieldStart, kPlain, kQuoted, kQuoteInQuoted };

  static Part Behind(char c, Part part);

  Step FindLine(std::string_view rest, bool is_end, std::string_view* line);
  Step Cut(std::string why);
  bool Split(std::string_view line);
  bool TakeHeader();
  bool TakeRecord(Record* record);
  bool TakeBytes(Column text, Column base64, std::string* bytes);
  bool TakeNumber(Column column, int64_t min, std::optional<int64_t>* number);
  // Never null for a column that is not there: it is empty.
  std::string& FieldOf(Column column);
  bool Refuse(std::string why);

  // Of the line that has begun.
  size_t scanned_ = 0;
  Part part_ = Part::kFieldStart;
  int64_t line_feeds_ = 0;
  int64_t lines_ = 0;  // Before it.

  bool has_header_ = false;
  std::vector<Column> columns_;  // In the order of the header.
  std::vector<std::string> fields_;
  std::array<std::string, kColumns> by_column_;
};

class CsvEncoder final : public RecordEncoder {
 public:
  explicit CsvEncoder(const EncodeOptions& options) : options_(options) {}
  void Begin(std::string* out) override;
  void Append(const Record& record, std::string* out) override;

 private:
  const EncodeOptions options_;
};

}  // namespace kvctl
