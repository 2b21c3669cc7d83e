// SPDX-License-Identifier: MIT
//
// JSON lines: an object for each record.
//
//   {"key":"greeting","value":"hello","expires_ms":null}
//   {"key_b64":"/w==","value_b64":"AA==","expires_ms":1900000000000,"rev":7,
//    "db":3}                                                    (on one line)
//
// "key" and "value" are text; bytes that are no UTF-8 are "key_b64" and
// "value_b64", in base64. "expires_ms" is a Unix time in milliseconds. Only key
// and value must be there. Fields of other names are refused: they may mean
// something that would be lost.
#pragma once

#include "cli/records/codec.h"

namespace kvctl {

class JsonLinesDecoder final : public RecordDecoder {
 public:
  DecodeOutcome Next(std::string_view input, bool is_end,
                     Record* record) override;

 private:
  size_t scanned_ = 0;  // Of the line that has begun: holds no line end.
  int64_t lines_ = 0;
};

class JsonLinesEncoder final : public RecordEncoder {
 public:
  explicit JsonLinesEncoder(const EncodeOptions& options) : options_(options) {}
  void Append(const Record& record, std::string* out) override;

 private:
  const EncodeOptions options_;
};

}  // namespace kvctl
