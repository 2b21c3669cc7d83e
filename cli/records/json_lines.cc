// SPDX-License-Identifier: MIT
#include "cli/records/json_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/json.h"
#include "cli/text.h"

namespace kvctl {
namespace {

using Json = nlohmann::json;

enum class Field { kKey, kKeyB64, kValue, kValueB64, kExpires, kRev, kDb };

constexpr std::pair<std::string_view, Field> kFields[] = {
    {"key", Field::kKey},
    {"key_b64", Field::kKeyB64},
    {"value", Field::kValue},
    {"value_b64", Field::kValueB64},
    {"expires_ms", Field::kExpires},
    {"rev", Field::kRev},
    {"db", Field::kDb}};

// What the parser of a line calls. Each function says whether to go on.
class LineHandler {
 public:
  explicit LineHandler(Record* record) : record_(*record) {}

  const std::string& error() const { return error_; }

  // After the whole line.
  bool IsComplete() {
    if (!has_key_) return Fail("it has neither \"key\" nor \"key_b64\"");
    if (!has_value_) return Fail("it has neither \"value\" nor \"value_b64\"");
    return true;
  }

  bool start_object(size_t) {
    if (in_object_) return Fail(Name() + " is an object");
    in_object_ = true;
    return true;
  }
  bool end_object() { return true; }

  bool key(std::string& name) {
    for (const auto& [known, field] : kFields) {
      if (known == name) return Begin(field);
    }
    return Fail(fmt::format(
        "unknown field {}; known are key, key_b64, value, value_b64, "
        "expires_ms, rev and db{}",
        Quote(name),
        name == "ttl_ms" ? " (a time to live counts from nobody knows when)"
                         : ""));
  }

  bool string(std::string& text) {
    switch (field_) {
      case Field::kKey:
        record_.key = std::move(text);
        return TakesText();
      case Field::kValue:
        record_.value = std::move(text);
        return TakesText();
      case Field::kKeyB64:
        return TakeBase64(text, &record_.key);
      case Field::kValueB64:
        return TakeBase64(text, &record_.value);
      default:
        return Fail(Name() + " is a text, not a number");
    }
  }

  bool number_integer(int64_t number) { return TakeNumber(number); }
  bool number_unsigned(uint64_t number) {
    constexpr auto kMax =
        static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (number > kMax) return Fail(Name() + " is too large");
    return TakeNumber(static_cast<int64_t>(number));
  }

  bool null() {
    const bool may_be_null =
        in_object_ && (field_ == Field::kExpires || field_ == Field::kRev);
    return may_be_null || Fail(Name() + " is null");
  }

  bool number_float(double, const std::string& text) {
    return Fail(fmt::format("{} is {}, not a whole number", Name(), text));
  }
  bool boolean(bool) { return Fail(Name() + " is true or false"); }
  bool start_array(size_t) { return Fail(Name() + " is an array"); }
  bool end_array() { return true; }
  bool binary(Json::binary_t&) { return Fail("binary data"); }

  bool parse_error(size_t column, const std::string& token,
                   const Json::exception&) {
    return Fail(fmt::format("no JSON object from column {} on, at {}", column,
                            Quote(token.substr(0, kTokenBytesShown))));
  }

 private:
  static constexpr size_t kTokenBytesShown = 40;

  bool Fail(std::string error) {
    // The first one says most.
    if (error_.empty()) error_ = std::move(error);
    return false;
  }

  std::string Name() const {
    if (!in_object_) return "the line";
    return Quote(kFields[static_cast<size_t>(field_)].first);
  }

  bool Begin(Field field) {
    field_ = field;
    const unsigned bit = 1u << static_cast<unsigned>(field);
    if ((seen_ & bit) != 0) return Fail(Name() + " is there twice");
    seen_ |= bit;
    bool* has = field == Field::kKey || field == Field::kKeyB64 ? &has_key_
                : field == Field::kValue || field == Field::kValueB64
                    ? &has_value_
                    : nullptr;
    if (has == nullptr) return true;
    if (*has) return Fail("it is there as text and as base64");
    *has = true;
    return true;
  }

  bool TakesText() {
    return in_object_ || Fail("the line is a text, not an object");
  }

  bool TakeBase64(const std::string& text, std::string* bytes) {
    std::optional<std::string> decoded = FromBase64(text);
    if (!decoded) return Fail(Name() + " is no base64");
    *bytes = std::move(*decoded);
    return true;
  }

  bool TakeNumber(int64_t number) {
    if (!in_object_) return Fail("the line is a number, not an object");
    switch (field_) {
      case Field::kExpires:
        if (number < 1) return Fail("\"expires_ms\" is no Unix time");
        record_.expires_ms = number;
        return true;
      case Field::kRev:
        record_.revision = number;
        return true;
      case Field::kDb:
        if (number < 0) return Fail("\"db\" is negative");
        record_.database = number;
        return true;
      default:
        return Fail(Name() + " is a number, not a text");
    }
  }

  Record& record_;
  Field field_ = Field::kKey;
  unsigned seen_ = 0;
  bool in_object_ = false;
  bool has_key_ = false;
  bool has_value_ = false;
  std::string error_;
};

}  // namespace

DecodeOutcome JsonLinesDecoder::Next(std::string_view input, bool is_end,
                                     Record* record) {
  consumed_ = 0;
  while (true) {
    const std::string_view rest = input.substr(consumed_);
    const size_t end = rest.find('\n', scanned_);
    place_.line = lines_ + 1;
    if (std::min(end, rest.size()) > kRecordTextBytesMax) {
      return Fail("the line is longer than any record");
    }
    if (end == rest.npos && !is_end) {
      scanned_ = rest.size();
      return DecodeOutcome::kNeedMore;
    }
    const std::string_view line = rest.substr(0, end);
    consumed_ += end == rest.npos ? rest.size() : end + 1;
    scanned_ = 0;
    if (end != rest.npos) ++lines_;
    if (line.find_first_not_of(" \t\r") != line.npos) {
      ++place_.record;
      *record = Record();
      LineHandler handler(record);
      if (!Json::sax_parse(line.begin(), line.end(), &handler) ||
          !handler.IsComplete()) {
        return Fail(handler.error());
      }
      return DecodeOutcome::kRecord;
    }
    if (end == rest.npos) return DecodeOutcome::kNeedMore;
  }
}

void JsonLinesEncoder::Append(const Record& record, std::string* out) {
  JsonObject json;
  json.Bytes("key", record.key).Bytes("value", record.value);
  if (record.expires_ms) {
    json.Integer("expires_ms", *record.expires_ms);
  } else {
    json.Null("expires_ms");
  }
  if (options_.revisions && record.revision) {
    json.Integer("rev", *record.revision);
  }
  if (options_.databases) json.Integer("db", record.database.value_or(0));
  out->append(json.Line());
}

}  // namespace kvctl
