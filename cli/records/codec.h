// SPDX-License-Identifier: MIT
//
// Records become bytes and bytes records, without I/O. Each format is exact: a
// key and a value may be any bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "cli/records/record.h"

namespace kvctl {

// The longest text of one record. JSON's longest form of a byte is "\u0000".
inline constexpr size_t kRecordTextBytesMax =
    6 * (kvd::kKeyBytesMax + kvd::kValueBytesMax) + 4096;

enum class DecodeOutcome {
  kRecord,
  kNeedMore,  // At the end of the input: there are no more records.
  kError,     // error() says why, place() where.
};

// Finds records in bytes that arrive in pieces. The caller owns the input and
// may move it between calls. Thread: one at a time.
class RecordDecoder {
 public:
  virtual ~RecordDecoder() = default;

  // Finds the next record. `input` begins after the consumed() bytes of the
  // last call's input and holds everything read since; `is_end` says that no
  // more will follow. After kError it must not be used again.
  virtual DecodeOutcome Next(std::string_view input, bool is_end,
                             Record* record) = 0;

  // The bytes of the last input that the caller must drop, after kNeedMore as
  // well.
  size_t consumed() const { return consumed_; }
  const std::string& error() const { return error_; }
  // Of the record that was found, or is at fault.
  const Place& place() const { return place_; }

 protected:
  DecodeOutcome Fail(std::string error) {
    error_ = std::move(error);
    return DecodeOutcome::kError;
  }

  size_t consumed_ = 0;
  Place place_;

 private:
  std::string error_;
};

// What is written of each record beside key, value and deadline.
struct EncodeOptions {
  bool revisions = false;
  bool databases = false;
};

class RecordEncoder {
 public:
  virtual ~RecordEncoder() = default;
  // What stands before all records.
  virtual void Begin(std::string*) {}
  virtual void Append(const Record& record, std::string* out) = 0;
};

}  // namespace kvctl
