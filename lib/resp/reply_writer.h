// SPDX-License-Identifier: MIT
//
// Values become bytes for a client, in the protocol it asked for. Source: the
// Redis serialization protocol specification, versions 2 and 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kvd {

// The protocol versions that HELLO knows.
inline constexpr int kRespProtocolMin = 2;
inline constexpr int kRespProtocolMax = 3;

// Appends replies to a string that it borrows. What version 2 does not have is
// written as the nearest thing that it has, as Redis does. Cheap to make: one
// for each command is fine. Thread: the string's.
//
// It writes at most `bytes_max`: what would go beyond that is left out, and so
// is everything after it. What was written is then no whole reply, and the
// caller must Drop() it; long loops check overflowed() now and then.
class ReplyWriter {
 public:
  // `protocol` is 2 or 3.
  ReplyWriter(std::string* out, int protocol, size_t bytes_max = SIZE_MAX)
      : out_(out),
        start_(out->size()),
        bytes_max_(bytes_max),
        resp3_(protocol >= 3) {}

  int protocol() const { return resp3_ ? 3 : 2; }
  // From the next value on.
  void set_protocol(int protocol) { resp3_ = protocol >= 3; }
  std::string* out() { return out_; }

  // Counts bytes that reach the client other than by these functions; false if
  // they are too many: then they must not be sent.
  bool Claim(size_t bytes) {
    wanted_ += bytes;
    if (wanted_ > bytes_max_) overflowed_ = true;
    return !overflowed_;
  }
  bool HasRoom(size_t bytes) const { return wanted_ + bytes <= bytes_max_; }
  // A reference, so that a long loop can check it cheaply.
  const bool& overflowed() const { return overflowed_; }
  // The bytes of all that was to be written, including the part left out.
  size_t wanted_bytes() const { return wanted_; }
  // Takes back all that it has written.
  void Drop() {
    out_->resize(start_);
    wanted_ = 0;
    overflowed_ = false;
  }

  void Ok() { Text("+OK\r\n"); }
  // A short text; line ends in it become spaces, which would break the framing.
  void SimpleString(std::string_view text);
  // `code_and_text` as in "ERR no such key": an upper-case code, a space and a
  // text for a person. Line ends in it become spaces. Cut off at
  // kErrorBytesMax, since texts quote what clients sent.
  static constexpr size_t kErrorBytesMax = 4096;
  void Error(std::string_view code_and_text);
  void Integer(int64_t value);
  void Bulk(std::string_view bytes);
  // A bulk string of `size` bytes, which the caller appends between the two
  // calls if this returns true.
  bool BeginBulk(size_t size) {
    Header('$', size);
    return Claim(size);
  }
  bool BeginVerbatimText(size_t size);
  void EndBulk() { Text("\r\n"); }
  // A bulk string of the decimal number.
  void BulkInteger(int64_t value);
  void Null();
  // The absence of an array; version 2: an array of size -1.
  void NullArray();
  // The shortest text that reads back as `value`; version 2: a bulk string.
  void Double(double value);
  // Text to be shown as it is (INFO); version 2: a bulk string.
  void VerbatimText(std::string_view text);

  // Each header is followed by that many values, or pairs of values, by
  // further calls.
  void ArrayHeader(size_t count);
  // Version 2: an array of twice the size.
  void MapHeader(size_t pairs);
  // Version 2: an array.
  void SetHeader(size_t count);
  // Of a message that is no reply, or not only; version 2: an array.
  void PushHeader(size_t count);

 private:
  void Text(std::string_view text) {
    if (Claim(text.size())) out_->append(text);
  }
  void Header(char type, uint64_t number);
  void Line(char type, std::string_view text);

  std::string* out_;
  size_t start_;
  size_t bytes_max_;
  size_t wanted_ = 0;
  bool overflowed_ = false;
  bool resp3_;
};

}  // namespace kvd
