// SPDX-License-Identifier: MIT
#include "resp/reply_parser.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "resp/number_line.h"

namespace kvd {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

std::optional<int64_t> ReadInteger(std::string_view line) {
  if (!line.empty() && line[0] == '+') line.remove_prefix(1);
  int64_t value = 0;
  const auto [end, fault] =
      std::from_chars(line.data(), line.data() + line.size(), value);
  if (fault != std::errc() || end != line.data() + line.size()) return {};
  return value;
}

std::optional<double> ReadDouble(std::string_view line) {
  if (line == "inf" || line == "+inf") {
    return std::numeric_limits<double>::infinity();
  }
  if (line == "-inf") return -std::numeric_limits<double>::infinity();
  if (line == "nan" || line == "-nan") return std::nan("");
  double value = 0;
  const auto [end, fault] =
      std::from_chars(line.data(), line.data() + line.size(), value);
  if (fault != std::errc() || end != line.data() + line.size()) return {};
  return value;
}

bool IsBigNumber(std::string_view line) {
  if (!line.empty() && (line[0] == '-' || line[0] == '+')) {
    line.remove_prefix(1);
  }
  return !line.empty() &&
         line.find_first_not_of("0123456789") == std::string_view::npos;
}

// Printable whatever it is: it goes to a terminal.
std::string Quoted(char type) {
  const auto byte = static_cast<unsigned char>(type);
  if (byte >= ' ' && byte < 0x7f) return {'\'', type, '\''};
  constexpr char kDigits[] = "0123456789abcdef";
  return {'\'', '\\', 'x', kDigits[byte >> 4], kDigits[byte & 15], '\''};
}

void AppendNumberLine(std::string* out, char type, size_t number) {
  char buffer[32];
  buffer[0] = type;
  char* end = std::to_chars(buffer + 1, buffer + sizeof buffer, number).ptr;
  out->append(buffer, static_cast<size_t>(end - buffer)).append(kLineEnd);
}

}  // namespace

ReplyOutcome ReplyParser::Next(std::string_view input) {
  consumed_ = 0;
  bytes_wanted_ = 0;
  while (true) {
    switch (ReadValue(input.substr(consumed_))) {
      case Step::kReply:
        return ReplyOutcome::kReply;
      case Step::kGoOn:
        break;
      case Step::kNeedMore:
        return ReplyOutcome::kNeedMore;
      case Step::kError:
        return ReplyOutcome::kError;
    }
  }
}

// Reads one value, or the header of an aggregate, and consumes it.
ReplyParser::Step ReplyParser::ReadValue(std::string_view rest) {
  const size_t line_end = rest.find(kLineEnd, line_scanned_);
  const bool whole = line_end != std::string_view::npos;
  bytes_examined_ += (whole ? line_end : rest.size()) - line_scanned_;
  if ((whole ? line_end : rest.size()) > kReplyLineBytesMax) {
    return Fail("a line in a reply is too long");
  }
  if (!whole) {
    // The last byte may be the first of a line end.
    line_scanned_ = rest.empty() ? 0 : rest.size() - 1;
    return Step::kNeedMore;
  }
  // An unfinished string finds its header again at once.
  line_scanned_ = line_end;
  if (line_end == 0) return Fail("a reply without a type");
  const char type = rest[0];
  const std::string_view line = rest.substr(1, line_end - 1);
  const size_t line_bytes = line_end + kLineEnd.size();
  switch (type) {
    case '$':
    case '!':
    case '=':
      return ReadString(type, rest, line);
    case '*':
    case '%':
    case '~':
    case '>':
    case '|':
      Consume(line_bytes);
      return ReadAggregate(type, line);
    default:
      Consume(line_bytes);
      return ReadScalar(type, line);
  }
}

ReplyParser::Step ReplyParser::ReadString(char type, std::string_view rest,
                                          std::string_view size_line) {
  const std::optional<int64_t> size = ReadInteger(size_line);
  const size_t start = 1 + size_line.size() + kLineEnd.size();
  if (type == '$' && size == -1) {
    Consume(start);
    return Place(Reply{});
  }
  if (!size || *size < 0 || static_cast<size_t>(*size) > kReplyBulkBytesMax) {
    return Fail("invalid length of a string in a reply");
  }
  const size_t end = start + static_cast<size_t>(*size);
  if (rest.size() < end + kLineEnd.size()) {
    bytes_wanted_ = end + kLineEnd.size() - rest.size();
    return Step::kNeedMore;
  }
  if (rest.substr(end, kLineEnd.size()) != kLineEnd) {
    return Fail("a string in a reply is not followed by a line end");
  }
  std::string_view body = rest.substr(start, end - start);
  Reply reply;
  reply.type = type == '!' ? ReplyType::kError : ReplyType::kString;
  if (type == '=') {
    constexpr size_t kFormatBytes = 4;  // "txt:"
    if (body.size() < kFormatBytes || body[kFormatBytes - 1] != ':') {
      return Fail("a verbatim string without its format");
    }
    reply.type = ReplyType::kVerbatim;
    body.remove_prefix(kFormatBytes);
  }
  reply.text = body;
  Consume(end + kLineEnd.size());
  return Place(std::move(reply));
}

ReplyParser::Step ReplyParser::ReadAggregate(char type,
                                             std::string_view count_line) {
  const std::optional<int64_t> count = ReadInteger(count_line);
  if (type == '*' && count == -1) return Place(Reply{});
  if (!count || *count < 0 || static_cast<size_t>(*count) > kReplyElementsMax) {
    return Fail("invalid number of elements in a reply");
  }
  if (frames_.size() == kReplyDepthMax) {
    return Fail("a reply is nested too deeply");
  }
  Frame frame;
  frame.is_attribute = type == '|';
  frame.elements_left = static_cast<size_t>(*count);
  if (type == '%' || type == '|') frame.elements_left *= 2;
  frame.reply.type = type == '%' || type == '|' ? ReplyType::kMap
                     : type == '~'              ? ReplyType::kSet
                     : type == '>'              ? ReplyType::kPush
                                                : ReplyType::kArray;
  frames_.push_back(std::move(frame));
  return CloseFrames();
}

ReplyParser::Step ReplyParser::ReadScalar(char type, std::string_view line) {
  Reply reply;
  bool valid = true;
  switch (type) {
    case '+':
      reply.type = ReplyType::kStatus;
      reply.text = line;
      break;
    case '-':
      reply.type = ReplyType::kError;
      reply.text = line;
      break;
    case ':': {
      const std::optional<int64_t> value = ReadInteger(line);
      valid = value.has_value();
      reply.type = ReplyType::kInteger;
      reply.integer = value.value_or(0);
      break;
    }
    case ',': {
      const std::optional<double> value = ReadDouble(line);
      valid = value.has_value();
      reply.type = ReplyType::kDouble;
      reply.number = value.value_or(0);
      reply.text = line;
      break;
    }
    case '#':
      valid = line == "t" || line == "f";
      reply.type = ReplyType::kBoolean;
      reply.integer = line == "t";
      break;
    case '(':
      valid = IsBigNumber(line);
      reply.type = ReplyType::kBigNumber;
      reply.text = line;
      break;
    case '_':
      valid = line.empty();
      break;
    default:
      return Fail("unknown type " + Quoted(type) + " of a reply");
  }
  if (!valid) return Fail("invalid value of type " + Quoted(type));
  return Place(std::move(reply));
}

// Puts a finished value where it belongs.
ReplyParser::Step ReplyParser::Place(Reply value) {
  if (frames_.empty()) {
    reply_ = std::move(value);
    return Step::kReply;
  }
  Frame& parent = frames_.back();
  if (!parent.is_attribute) {
    parent.reply.elements.push_back(std::move(value));
  }
  --parent.elements_left;
  return CloseFrames();
}

// Finishes the aggregates whose last element has come.
ReplyParser::Step ReplyParser::CloseFrames() {
  while (!frames_.empty() && frames_.back().elements_left == 0) {
    Frame done = std::move(frames_.back());
    frames_.pop_back();
    // The value that an attribute describes follows it; the attribute itself is
    // no element.
    if (done.is_attribute) return Step::kGoOn;
    if (frames_.empty()) {
      reply_ = std::move(done.reply);
      return Step::kReply;
    }
    Frame& parent = frames_.back();
    if (!parent.is_attribute) {
      parent.reply.elements.push_back(std::move(done.reply));
    }
    --parent.elements_left;
  }
  return Step::kGoOn;
}

void ReplyParser::Consume(size_t bytes) {
  consumed_ += bytes;
  line_scanned_ = 0;
}

ReplyParser::Step ReplyParser::Fail(std::string text) {
  error_ = std::move(text);
  return Step::kError;
}

void AppendCommand(std::string* out, std::span<const std::string_view> args) {
  AppendNumberLine(out, '*', args.size());
  for (const std::string_view arg : args) {
    AppendNumberLine(out, '$', arg.size());
    out->append(arg).append(kLineEnd);
  }
}

}  // namespace kvd
