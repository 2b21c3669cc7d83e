// SPDX-License-Identifier: MIT
//
// The client's side of the protocol: replies of versions 2 and 3 become value
// trees, commands become bytes. No I/O. Source: the Redis serialization
// protocol specification.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvd {

// Bounds on what a server, perhaps not kvd, can make a client do.
inline constexpr size_t kReplyDepthMax = 64;
inline constexpr size_t kReplyBulkBytesMax = size_t{1} << 30;
inline constexpr size_t kReplyLineBytesMax = 64 * 1024;
inline constexpr size_t kReplyElementsMax = size_t{1} << 31;

enum class ReplyType {
  kNull,
  kStatus,     // text, as in +OK
  kError,      // text: code and explanation
  kString,     // text: any bytes
  kVerbatim,   // text, to be shown as it is
  kBigNumber,  // text: decimal digits
  kInteger,    // integer
  kBoolean,    // integer: 0 or 1
  kDouble,     // number; text as it was sent
  kArray,      // elements
  kSet,        // elements
  kPush,       // elements; out of band
  kMap,        // elements: key, value, key, value, …
};

struct Reply {
  ReplyType type = ReplyType::kNull;
  std::string text;
  int64_t integer = 0;
  double number = 0;
  std::vector<Reply> elements;

  bool is_null() const { return type == ReplyType::kNull; }
  bool is_error() const { return type == ReplyType::kError; }
  // Whether `text` is the value: a string, status or verbatim text.
  bool is_text() const {
    return type == ReplyType::kString || type == ReplyType::kStatus ||
           type == ReplyType::kVerbatim;
  }
  // Whether `elements` is the value.
  bool is_aggregate() const { return type >= ReplyType::kArray; }
};

enum class ReplyOutcome {
  kReply,     // TakeReply() gives a whole reply.
  kNeedMore,  // The rest has not arrived.
  kError,     // error() says why; the connection cannot go on.
};

// An incremental parser; the caller owns the input and may move it between
// calls. Costs time linear in the size of a reply however it is cut, and memory
// grows with what has arrived, never with a count that was announced.
// Attributes are read and dropped. Thread: one at a time.
class ReplyParser {
 public:
  // `input` begins after the consumed() bytes of the last call's input and
  // holds everything received since. After kError the parser must not be used
  // again.
  ReplyOutcome Next(std::string_view input);

  // The bytes of the last input that the caller must drop, after kReply and
  // after kNeedMore: elements of an unfinished array are already taken over.
  size_t consumed() const { return consumed_; }

  // After kReply, once.
  Reply TakeReply() { return std::move(reply_); }

  // After kNeedMore: how many further bytes end the string that has begun; 0
  // when that is not known. The server announced it: cap it before use.
  size_t bytes_wanted() const { return bytes_wanted_; }

  // After kError: what was wrong with the bytes.
  const std::string& error() const { return error_; }

  // The bytes looked at since the start, bodies of strings excepted: tests
  // assert that this is linear in the input.
  uint64_t bytes_examined() const { return bytes_examined_; }

 private:
  // An aggregate whose elements are arriving.
  struct Frame {
    Reply reply;
    size_t elements_left;
    bool is_attribute;
  };
  enum class Step { kReply, kGoOn, kNeedMore, kError };

  Step ReadValue(std::string_view rest);
  Step ReadString(char type, std::string_view rest, std::string_view size_line);
  Step ReadAggregate(char type, std::string_view count_line);
  Step ReadScalar(char type, std::string_view line);
  Step Place(Reply value);
  Step CloseFrames();
  void Consume(size_t bytes);
  Step Fail(std::string text);

  std::vector<Frame> frames_;
  size_t line_scanned_ = 0;  // Of the value that has begun: holds no line end.

  size_t consumed_ = 0;
  size_t bytes_wanted_ = 0;
  Reply reply_;
  std::string error_;
  uint64_t bytes_examined_ = 0;
};

// Appends a command as an array of bulk strings.
void AppendCommand(std::string* out, std::span<const std::string_view> args);

}  // namespace kvd
