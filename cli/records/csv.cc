// SPDX-License-Identifier: MIT
#include "cli/records/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "cli/text.h"

namespace kvctl {
namespace {

// What spreadsheet programs put before UTF-8.
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

constexpr std::string_view kNames[CsvDecoder::kColumns] = {
    "key", "key_b64", "value", "value_b64", "expires_ms", "rev", "db"};

// Whether programs that read CSV take it as it is.
bool IsPlainText(std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    const bool space = c == '\t' || c == '\n' || c == '\r';
    if ((byte < ' ' && !space) || byte == 0x7f) return false;
  }
  return IsUtf8(bytes);
}

void AppendField(std::string_view text, std::string* out) {
  const bool quote = text.find_first_of("\",\r\n") != text.npos ||
                     text.starts_with(' ') || text.ends_with(' ');
  if (!quote) {
    out->append(text);
    return;
  }
  out->push_back('"');
  for (const char c : text) {
    if (c == '"') out->push_back('"');
    out->push_back(c);
  }
  out->push_back('"');
}

// Both fields of a key or a value.
void AppendBytes(std::string_view bytes, std::string* out) {
  if (IsPlainText(bytes)) {
    AppendField(bytes, out);
    out->push_back(',');
  } else {
    out->push_back(',');
    out->append(Base64(bytes));
  }
}

// Takes a quoted field off `line`; false when it is not closed as it should be.
bool TakeQuoted(std::string_view* line, std::string* field) {
  line->remove_prefix(1);
  while (true) {
    const size_t quote = line->find('"');
    if (quote == line->npos) return false;
    field->append(line->substr(0, quote));
    line->remove_prefix(quote + 1);
    if (!line->starts_with('"')) return line->empty() || line->front() == ',';
    field->push_back('"');
    line->remove_prefix(1);
  }
}

}  // namespace

DecodeOutcome CsvDecoder::Next(std::string_view input, bool is_end,
                               Record* record) {
  consumed_ = 0;
  while (true) {
    std::string_view line;
    const Step step = FindLine(input.substr(consumed_), is_end, &line);
    if (step == Step::kError) return DecodeOutcome::kError;
    if (step == Step::kNeedMore) return DecodeOutcome::kNeedMore;
    // A record has two fields at the least, so an empty line is none.
    if (line.empty()) continue;
    if (has_header_) ++place_.record;
    if (!Split(line)) return DecodeOutcome::kError;
    if (has_header_) {
      *record = Record();
      return TakeRecord(record) ? DecodeOutcome::kRecord
                                : DecodeOutcome::kError;
    }
    if (!TakeHeader()) return DecodeOutcome::kError;
  }
}

// A quote counts only at the beginning of a field, or within quotes: another
// one is no reason to swallow the lines that follow.
CsvDecoder::Part CsvDecoder::Behind(char c, Part part) {
  if (part == Part::kQuoted) {
    return c == '"' ? Part::kQuoteInQuoted : Part::kQuoted;
  }
  if (c == ',' || c == '\n') return Part::kFieldStart;
  return c == '"' && part != Part::kPlain ? Part::kQuoted : Part::kPlain;
}

// A line of CSV, which may hold line ends between quotes.
CsvDecoder::Step CsvDecoder::FindLine(std::string_view rest, bool is_end,
                                      std::string_view* line) {
  place_.line = lines_ + 1;
  size_t end = rest.npos;
  while (end == rest.npos && scanned_ < rest.size()) {
    const char c = rest[scanned_++];
    const bool quoted = part_ == Part::kQuoted;
    part_ = Behind(c, part_);
    if (c != '\n') continue;
    ++line_feeds_;
    if (!quoted) end = scanned_ - 1;
  }
  if (scanned_ > kRecordTextBytesMax) {
    return Cut("it is longer than any record; is a quote not closed?");
  }
  if (end == rest.npos) {
    if (!is_end || rest.empty()) return Step::kNeedMore;
    if (part_ == Part::kQuoted) {
      return Cut("a quote that is opened in it is never closed");
    }
  }
  *line = rest.substr(0, end);
  consumed_ += scanned_;
  if (line->ends_with('\r')) line->remove_suffix(1);
  lines_ += line_feeds_;
  scanned_ = 0;
  line_feeds_ = 0;
  part_ = Part::kFieldStart;
  return Step::kLine;
}

CsvDecoder::Step CsvDecoder::Cut(std::string why) {
  if (has_header_) ++place_.record;
  Fail(std::move(why));
  return Step::kError;
}

bool CsvDecoder::Split(std::string_view line) {
  fields_.clear();
  if (!has_header_ && line.starts_with(kByteOrderMark)) {
    line.remove_prefix(kByteOrderMark.size());
  }
  while (true) {
    std::string& field = fields_.emplace_back();
    if (line.starts_with('"')) {
      if (!TakeQuoted(&line, &field)) {
        return Refuse(
            fmt::format("text behind the closing quote of field {}; a quote "
                        "in a field is written twice",
                        fields_.size()));
      }
    } else {
      field = line.substr(0, line.find(','));
      line.remove_prefix(field.size());
      if (field.find('"') != field.npos) {
        return Refuse(
            fmt::format("a quote within field {}, which does not "
                        "begin with one",
                        fields_.size()));
      }
    }
    if (line.empty()) return true;
    line.remove_prefix(1);  // The comma.
  }
}

bool CsvDecoder::TakeHeader() {
  for (const std::string& name : fields_) {
    const auto* found = std::ranges::find(kNames, std::string_view(name));
    if (found == std::end(kNames)) {
      return Refuse(fmt::format(
          "the header has a column {}; known are key, key_b64, value, "
          "value_b64, expires_ms, rev and db",
          Quote(name.substr(0, 40))));
    }
    const auto column = static_cast<Column>(found - std::begin(kNames));
    if (std::ranges::find(columns_, column) != columns_.end()) {
      return Refuse("the header has a column twice: " + name);
    }
    columns_.push_back(column);
  }
  const auto has = [&](Column column) {
    return std::ranges::find(columns_, column) != columns_.end();
  };
  if (!(has(Column::kKey) || has(Column::kKeyB64)) ||
      !(has(Column::kValue) || has(Column::kValueB64))) {
    return Refuse(
        "the first line must be a header such as key,value,expires_ms");
  }
  has_header_ = true;
  return true;
}

bool CsvDecoder::TakeRecord(Record* record) {
  if (fields_.size() != columns_.size()) {
    return Refuse(fmt::format("it has {} fields, and the header {}",
                              fields_.size(), columns_.size()));
  }
  for (size_t i = 0; i < fields_.size(); ++i) {
    FieldOf(columns_[i]) = std::move(fields_[i]);
  }
  return TakeBytes(Column::kKey, Column::kKeyB64, &record->key) &&
         TakeBytes(Column::kValue, Column::kValueB64, &record->value) &&
         TakeNumber(Column::kExpires, 1, &record->expires_ms) &&
         TakeNumber(Column::kRev, 0, &record->revision) &&
         TakeNumber(Column::kDb, 0, &record->database);
}

bool CsvDecoder::TakeBytes(Column text, Column base64, std::string* bytes) {
  if (FieldOf(base64).empty()) {
    *bytes = std::move(FieldOf(text));
    return true;
  }
  const std::string_view name = kNames[static_cast<size_t>(base64)];
  if (!FieldOf(text).empty()) {
    return Refuse(fmt::format("it has both {} and {}",
                              kNames[static_cast<size_t>(text)], name));
  }
  std::optional<std::string> decoded = FromBase64(FieldOf(base64));
  if (!decoded) return Refuse(fmt::format("{} is no base64", name));
  *bytes = std::move(*decoded);
  return true;
}

bool CsvDecoder::TakeNumber(Column column, int64_t min,
                            std::optional<int64_t>* number) {
  const std::string& text = FieldOf(column);
  if (text.empty()) return true;
  int64_t value = 0;
  const char* last = text.data() + text.size();
  const auto [end, fault] = std::from_chars(text.data(), last, value);
  if (fault != std::errc() || end != last || value < min) {
    return Refuse(fmt::format("{} is {}, not a whole number from {} on",
                              kNames[static_cast<size_t>(column)],
                              Quote(text.substr(0, 40)), min));
  }
  *number = value;
  return true;
}

std::string& CsvDecoder::FieldOf(Column column) {
  return by_column_[static_cast<size_t>(column)];
}

bool CsvDecoder::Refuse(std::string why) {
  Fail(std::move(why));
  return false;
}

void CsvEncoder::Begin(std::string* out) {
  out->append("key,key_b64,value,value_b64,expires_ms");
  if (options_.revisions) out->append(",rev");
  if (options_.databases) out->append(",db");
  out->append("\r\n");
}

void CsvEncoder::Append(const Record& record, std::string* out) {
  AppendBytes(record.key, out);
  out->push_back(',');
  AppendBytes(record.value, out);
  out->push_back(',');
  if (record.expires_ms) out->append(std::to_string(*record.expires_ms));
  if (options_.revisions) {
    out->push_back(',');
    if (record.revision) out->append(std::to_string(*record.revision));
  }
  if (options_.databases) {
    out->append(",").append(std::to_string(record.database.value_or(0)));
  }
  out->append("\r\n");
}

}  // namespace kvctl
