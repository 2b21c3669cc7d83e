// SPDX-License-Identifier: MIT
#include "resp/command_parser.h"

#include <climits>

#include "resp/number_line.h"

namespace kvd {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

// A command of more words than this gives its memory back before the next one.
constexpr size_t kWordsKept = 1024;

// What ReadWholeArray takes: most commands are within it.
constexpr size_t kQuickWordsMax = 64;
constexpr ptrdiff_t kQuickDigitsMax = 8;

// Takes a number of few digits and its line end off `*at`. False when there is
// anything else, which need not be wrong.
inline bool TakeSmallNumber(const char** at, const char* end, size_t* number) {
  const char* const start = *at;
  // One digit alone: commands have few words, and most names are short.
  if (end - start >= 3 && start[1] == '\r' && start[2] == '\n') {
    *at = start + 3;
    *number = static_cast<unsigned char>(*start) - '0';
    return *number <= 9;
  }
  const char* p = start;
  size_t value = 0;
  for (; p != end; ++p) {
    const unsigned digit = static_cast<unsigned char>(*p) - '0';
    if (digit > 9) break;
    value = value * 10 + digit;
  }
  const ptrdiff_t digits = p - start;
  if (digits == 0 || digits > kQuickDigitsMax || end - p < 2) return false;
  if (p[0] != '\r' || p[1] != '\n' || (*start == '0' && digits > 1))
    return false;
  *at = p + 2;
  *number = value;
  return true;
}

// Fills `words` from what follows the '*' of an array, and moves `*from` to
// where it stopped. False unless it is all there, right and within the limits.
inline bool TakeWords(const char** from, const char* end,
                      const ParserLimits& limits,
                      std::vector<std::string_view>* words,
                      size_t* bulk_bytes) {
  const char*& at = *from;
  size_t count = 0;
  if (!TakeSmallNumber(&at, end, &count)) return false;
  if (count == 0 || count > kQuickWordsMax || count > limits.arguments_max) {
    return false;
  }
  words->resize(count);
  for (std::string_view& word : *words) {
    size_t size = 0;
    if (at == end || *at != '$') return false;
    ++at;
    if (!TakeSmallNumber(&at, end, &size)) return false;
    if (size > limits.bulk_bytes_max) return false;
    if (static_cast<size_t>(end - at) < size + kLineEnd.size()) return false;
    if (at[size] != '\r' || at[size + 1] != '\n') return false;
    word = {at, size};
    at += size + kLineEnd.size();
    *bulk_bytes += size;
  }
  return true;
}

// isspace() of the C locale.
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char UnescapeLetter(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Moves the text after an opening quote to `out`. Returns what follows the
// closing quote, or null data when the quote is not closed, or closed in the
// middle of a word.
std::string_view TakeQuoted(std::string_view rest, char quote,
                            std::string* out) {
  while (!rest.empty()) {
    const char c = rest[0];
    size_t taken = 1;
    if (c == quote) {
      rest.remove_prefix(1);
      if (!rest.empty() && !IsSpace(rest[0])) return {};
      return rest;
    }
    if (c == '\\' && quote == '"' && rest.size() >= 4 && rest[1] == 'x' &&
        HexDigit(rest[2]) >= 0 && HexDigit(rest[3]) >= 0) {
      out->push_back(
          static_cast<char>(HexDigit(rest[2]) * 16 + HexDigit(rest[3])));
      taken = 4;
    } else if (c == '\\' && quote == '"' && rest.size() >= 2) {
      out->push_back(UnescapeLetter(rest[1]));
      taken = 2;
    } else if (c == '\\' && rest.size() >= 2 && rest[1] == '\'') {
      out->push_back('\'');
      taken = 2;
    } else {
      out->push_back(c);
    }
    rest.remove_prefix(taken);
  }
  return {};
}

}  // namespace

ParseOutcome CommandParser::Next(std::string_view input) {
  consumed_ = 0;
  bytes_wanted_ = 0;
  if (args_.capacity() > kWordsKept)
    std::vector<std::string_view>().swap(args_);

  while (consumed_ < input.size()) {
    const std::string_view command = input.substr(consumed_);
    switch (command[0] == '*' ? ReadArray(command) : ReadInline(command)) {
      case Step::kCommand:
        consumed_ += position_;
        StartCommand();
        return ParseOutcome::kCommand;
      case Step::kSkipped:
        consumed_ += position_;
        StartCommand();
        break;
      case Step::kNeedMore:
        return ParseOutcome::kNeedMore;
      case Step::kError:
        return ParseOutcome::kError;
    }
  }
  return ParseOutcome::kNeedMore;
}

// The usual case, faster than ReadArray because nothing is remembered: a
// command of a few words that is there as a whole. False for any other and for
// what is wrong, with nothing changed but the work that is counted.
bool CommandParser::ReadWholeArray(std::string_view command) {
  const char* at = command.data() + 1;
  size_t bulk_bytes = 0;
  const bool whole = TakeWords(&at, command.data() + command.size(), limits_,
                               &args_, &bulk_bytes);
  const size_t taken = static_cast<size_t>(at - command.data());
  bytes_examined_ += taken - bulk_bytes;
  if (!whole || taken > limits_.command_bytes_max) return false;
  position_ = taken;
  return true;
}

CommandParser::Step CommandParser::ReadArray(std::string_view command) {
  if (arguments_left_ == 0) {
    if (ReadWholeArray(command)) return Step::kCommand;
    const Step step = ReadArraySize(command);
    if (step != Step::kCommand) return step;
  }
  while (arguments_left_ > 0) {
    if (!in_bulk_) {
      const Step step = ReadBulkSize(command);
      if (step != Step::kCommand) return step;
    }
    const size_t bulk_end = position_ + bulk_bytes_;
    if (command.size() < bulk_end + kLineEnd.size()) {
      bytes_wanted_ = bulk_end + kLineEnd.size() - command.size();
      return Step::kNeedMore;
    }
    if (command[bulk_end] != '\r' || command[bulk_end + 1] != '\n') {
      return Fail("Protocol error: bulk string not followed by a line end");
    }
    words_.push_back({position_, bulk_bytes_});
    position_ = bulk_end + kLineEnd.size();
    in_bulk_ = false;
    --arguments_left_;
  }
  ViewArguments(command.data());
  return Step::kCommand;
}

// Returns kCommand when the command goes on after the size.
CommandParser::Step CommandParser::ReadArraySize(std::string_view command) {
  const NumberLine line = ReadNumberLine(command.substr(1));
  bytes_examined_ += line.bytes;
  if (line.outcome == NumberLineOutcome::kNeedMore) return Step::kNeedMore;
  if (line.outcome == NumberLineOutcome::kInvalid || line.number > INT_MAX ||
      (line.number > 0 &&
       static_cast<size_t>(line.number) > limits_.arguments_max)) {
    return Fail("Protocol error: invalid multibulk length");
  }
  position_ = 1 + line.bytes;
  if (line.number <= 0) return Step::kSkipped;
  arguments_left_ = static_cast<size_t>(line.number);
  return Step::kCommand;
}

// Answers kCommand when the bulk string begins at the new position.
CommandParser::Step CommandParser::ReadBulkSize(std::string_view command) {
  if (position_ == command.size()) return Step::kNeedMore;
  if (command[position_] != '$') {
    std::string text = "Protocol error: expected '$', got '";
    text.push_back(command[position_]);
    text.push_back('\'');
    return Fail(text);
  }
  const NumberLine line = ReadNumberLine(command.substr(position_ + 1));
  bytes_examined_ += line.bytes;
  if (line.outcome == NumberLineOutcome::kNeedMore) return Step::kNeedMore;
  if (line.outcome == NumberLineOutcome::kInvalid || line.number < 0 ||
      static_cast<size_t>(line.number) > limits_.bulk_bytes_max) {
    return Fail("Protocol error: invalid bulk length");
  }
  position_ += 1 + line.bytes;
  bulk_bytes_ = static_cast<size_t>(line.number);
  in_bulk_ = true;
  if (position_ + bulk_bytes_ + kLineEnd.size() > limits_.command_bytes_max) {
    return Fail("Protocol error: too big command");
  }
  return Step::kCommand;
}

CommandParser::Step CommandParser::ReadInline(std::string_view command) {
  // What is before position_ has no line end: it was searched in earlier calls.
  const size_t line_feed = command.find('\n', position_);
  const bool whole = line_feed != std::string_view::npos;
  size_t line_bytes = whole ? line_feed : command.size();
  bytes_examined_ += line_bytes - position_;
  if (whole && line_bytes > 0 && command[line_bytes - 1] == '\r') --line_bytes;
  // An unfinished line may have one byte more, which will prove to be its CR.
  if (line_bytes > limits_.inline_bytes_max + (whole ? 0 : 1)) {
    return Fail("Protocol error: too big inline request");
  }
  if (!whole) {
    position_ = command.size();
    return Step::kNeedMore;
  }
  position_ = line_feed + 1;
  if (!SplitInline(command.substr(0, line_bytes))) {
    return Fail("Protocol error: unbalanced quotes in request");
  }
  if (words_.empty()) return Step::kSkipped;
  if (words_.size() > limits_.arguments_max) {
    return Fail("Protocol error: too many words in inline request");
  }
  ViewArguments(inline_bytes_.data());
  return Step::kCommand;
}

// Fills words_ and inline_bytes_, by the rules of Redis's sdssplitargs. False
// when quotes do not match.
bool CommandParser::SplitInline(std::string_view line) {
  inline_bytes_.clear();
  while (true) {
    while (!line.empty() && IsSpace(line[0])) line.remove_prefix(1);
    if (line.empty()) return true;

    const size_t start = inline_bytes_.size();
    while (!line.empty()) {
      const char c = line[0];
      // Not IsSpace: within a word Redis takes \v and \f as they are.
      if (c == ' ' || c == '\t' || c == '\r') break;
      line.remove_prefix(1);
      if (c == '"' || c == '\'') {
        line = TakeQuoted(line, c, &inline_bytes_);
        if (line.data() == nullptr) return false;
        break;
      }
      inline_bytes_.push_back(c);
    }
    words_.push_back({start, inline_bytes_.size() - start});
  }
}

void CommandParser::ViewArguments(const char* base) {
  args_.clear();
  for (const Slice& word : words_) {
    args_.emplace_back(base + word.offset, word.size);
  }
}

void CommandParser::StartCommand() {
  position_ = 0;
  arguments_left_ = 0;
  in_bulk_ = false;
  words_.clear();
  if (words_.capacity() > kWordsKept) std::vector<Slice>().swap(words_);
}

CommandParser::Step CommandParser::Fail(std::string_view text) {
  error_ = text;
  return Step::kError;
}

}  // namespace kvd
