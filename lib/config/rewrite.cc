// SPDX-License-Identifier: MIT
#include "config/rewrite.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <optional>

#include "config/config.h"
#include "config/settings.h"

namespace kvd {
namespace {

// A piece of a text.
struct Range {
  size_t begin;
  size_t end;
};

std::optional<toml::table> Parse(std::string_view text) {
  try {
    return toml::parse(text);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

// Where the line with that number, from 1, begins.
size_t LineAt(std::string_view text, uint32_t line) {
  size_t at = 0;
  for (; line > 1 && at < text.size(); --line) {
    at = std::min(text.find('\n', at), text.size() - 1) + 1;
  }
  return at;
}

// Columns count characters, from 1, and not bytes.
size_t OffsetOf(std::string_view text, const toml::source_position& place) {
  const auto continues = [&](size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
  };
  size_t at = LineAt(text, place.line);
  for (auto column = place.column; column > 1 && at < text.size(); --column) {
    ++at;
    while (at < text.size() && continues(at)) ++at;
  }
  return at;
}

Range RangeOf(std::string_view text, const toml::node& node) {
  return {OffsetOf(text, node.source().begin),
          OffsetOf(text, node.source().end)};
}

// "limits.value_size" → "limits", "value_size"; no section: empty.
std::pair<std::string_view, std::string_view> Split(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == name.npos) return {{}, name};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

const toml::node* Find(const toml::table& file, std::string_view name) {
  const auto [section, key] = Split(name);
  if (section.empty()) return file.get(key);
  const toml::table* table = file[section].as_table();
  return table == nullptr ? nullptr : table->get(key);
}

// The last line that `node` reaches.
uint32_t LastLineOf(const toml::node& node) {
  uint32_t last = node.source().end.line;
  if (const toml::table* table = node.as_table()) {
    for (const auto& [key, child] : *table) {
      last = std::max(last, LastLineOf(child));
    }
  }
  return last;
}

std::string Quoted(std::string_view value) {
  std::string quoted = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += fmt::format("\\u{:04X}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string LiteralOf(std::string_view name, const std::string& value) {
  const Setting* setting = FindSetting(name);
  const bool quotes =
      setting != nullptr && TypeOf(*setting) == TomlType::kString;
  return quotes ? Quoted(value) : value;
}

// `text` with another line behind `line`; 0: before all others.
std::string WithLine(std::string_view text, uint32_t line,
                     std::string_view added, std::string_view line_end) {
  const size_t at = LineAt(text, line + 1);
  std::string result(text.substr(0, at));
  if (!result.empty() && !result.ends_with('\n')) result += line_end;
  result += added;
  result += line_end;
  result += text.substr(at);
  return result;
}

// The places where a missing setting may go, the nicest first. A section can
// also be written with dots or in braces, where one or the other is no TOML.
std::vector<std::string> WithAddedSetting(std::string_view text,
                                          const toml::table& file,
                                          std::string_view name,
                                          const std::string& literal) {
  const std::string_view line_end =
      text.find("\r\n") == text.npos ? "\n" : "\r\n";
  const auto [section, key] = Split(name);
  const std::string line = fmt::format("{} = {}", key, literal);
  if (section.empty()) return {WithLine(text, 0, line, line_end)};
  std::vector<std::string> results;
  if (const toml::node* table = file.get(section)) {
    const uint32_t last = LastLineOf(*table);
    results.push_back(WithLine(text, last, line, line_end));
    results.push_back(
        WithLine(text, last, fmt::format("{} = {}", name, literal), line_end));
  }
  const auto lines = static_cast<uint32_t>(std::ranges::count(text, '\n')) + 1;
  const std::string_view gap = text.empty() ? "" : line_end;
  results.push_back(WithLine(
      text, lines, fmt::format("{}[{}]{}{}", gap, section, line_end, line),
      line_end));
  return results;
}

// Whether the text has the setting, with a value that reads so.
bool Says(std::string_view text, std::string_view name,
          const std::string& literal) {
  const std::optional<toml::table> file = Parse(text);
  const toml::node* node = file ? Find(*file, name) : nullptr;
  if (node == nullptr) return false;
  const Range range = RangeOf(text, *node);
  return text.substr(range.begin, range.end - range.begin) == literal;
}

Result<std::string> WithSetting(std::string_view text, const std::string& path,
                                std::string_view name,
                                const std::string& value) {
  const std::string literal = LiteralOf(name, value);
  const std::optional<toml::table> file = Parse(text);
  std::vector<std::string> results;
  if (const toml::node* node = file ? Find(*file, name) : nullptr) {
    const Range range = RangeOf(text, *node);
    std::string result(text);
    result.replace(range.begin, range.end - range.begin, literal);
    results.push_back(std::move(result));
  } else if (file) {
    results = WithAddedSetting(text, *file, name, literal);
  }
  for (std::string& result : results) {
    if (Says(result, name, literal)) return std::move(result);
  }
  return Fail(ErrorCode::kInvalid,
              "{}: found no place for {} = {}; write it by hand", path, name,
              literal);
}

}  // namespace

Result<std::string> RewriteConfig(
    std::string_view text, const std::string& file,
    const std::vector<std::pair<std::string, std::string>>& changes) {
  KVD_TRY_ASSIGN(Config wanted, ParseConfig(text, file));
  std::string result(text);
  for (const auto& [name, value] : changes) {
    KVD_TRY(SetSetting(&wanted, name, value));
    KVD_TRY_ASSIGN(result, WithSetting(result, file, name, value));
  }
  KVD_TRY_ASSIGN(const Config written, ParseConfig(result, file));
  if (DescribeSettings(written) != DescribeSettings(wanted)) {
    return Fail(ErrorCode::kInvalid,
                "{}: cannot be changed without changing other settings; write "
                "them by hand",
                file);
  }
  return result;
}

}  // namespace kvd
