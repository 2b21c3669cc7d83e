// SPDX-License-Identifier: MIT
#include "resp/reply_writer.h"

#include <charconv>
#include <cmath>

namespace kvd {
namespace {

// Holds any 64-bit number, or the shortest text of any double.
constexpr size_t kNumberBytesMax = 32;

std::string_view FormatDouble(double value, char (&buffer)[kNumberBytesMax]) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, static_cast<size_t>(result.ptr - buffer)};
}

}  // namespace

void ReplyWriter::SimpleString(std::string_view text) { Line('+', text); }

void ReplyWriter::Error(std::string_view code_and_text) {
  Line('-', code_and_text.substr(0, kErrorBytesMax));
}

void ReplyWriter::Integer(int64_t value) {
  char buffer[kNumberBytesMax];
  buffer[0] = ':';
  char* end = std::to_chars(buffer + 1, buffer + sizeof buffer, value).ptr;
  *end++ = '\r';
  *end++ = '\n';
  Text({buffer, static_cast<size_t>(end - buffer)});
}

void ReplyWriter::Bulk(std::string_view bytes) {
  if (BeginBulk(bytes.size())) out_->append(bytes);
  EndBulk();
}

void ReplyWriter::BulkInteger(int64_t value) {
  char buffer[kNumberBytesMax];
  const char* end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  Bulk({buffer, static_cast<size_t>(end - buffer)});
}

void ReplyWriter::Null() { Text(resp3_ ? "_\r\n" : "$-1\r\n"); }

void ReplyWriter::NullArray() { Text(resp3_ ? "_\r\n" : "*-1\r\n"); }

void ReplyWriter::Double(double value) {
  char buffer[kNumberBytesMax];
  const std::string_view text = FormatDouble(value, buffer);
  if (resp3_) {
    Line(',', text);
  } else {
    Bulk(text);
  }
}

bool ReplyWriter::BeginVerbatimText(size_t size) {
  if (!resp3_) return BeginBulk(size);
  constexpr std::string_view kFormat = "txt:";
  Header('=', kFormat.size() + size);
  Text(kFormat);
  return Claim(size);
}

void ReplyWriter::VerbatimText(std::string_view text) {
  if (BeginVerbatimText(text.size())) out_->append(text);
  EndBulk();
}

void ReplyWriter::ArrayHeader(size_t count) { Header('*', count); }

void ReplyWriter::MapHeader(size_t pairs) {
  if (resp3_) {
    Header('%', pairs);
  } else {
    Header('*', pairs * 2);
  }
}

void ReplyWriter::SetHeader(size_t count) { Header(resp3_ ? '~' : '*', count); }

void ReplyWriter::PushHeader(size_t count) {
  Header(resp3_ ? '>' : '*', count);
}

void ReplyWriter::Header(char type, uint64_t number) {
  char buffer[kNumberBytesMax];
  buffer[0] = type;
  char* end = std::to_chars(buffer + 1, buffer + sizeof buffer, number).ptr;
  *end++ = '\r';
  *end++ = '\n';
  Text({buffer, static_cast<size_t>(end - buffer)});
}

void ReplyWriter::Line(char type, std::string_view text) {
  if (!Claim(text.size() + 3)) return;  // With type and line end.
  out_->push_back(type);
  const size_t start = out_->size();
  out_->append(text);
  for (size_t i = start; i < out_->size(); ++i) {
    char& c = (*out_)[i];
    if (c == '\r' || c == '\n') c = ' ';
  }
  out_->append("\r\n");
}

}  // namespace kvd
