// SPDX-License-Identifier: MIT
//
// Reads lib/log/FORMAT.md, so that what it promises is what is tested.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace kvd {

inline std::string FormatPage() {
  std::ifstream file(KVD_SOURCE_DIR "/lib/log/FORMAT.md", std::ios::binary);
  EXPECT_TRUE(file.good());
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// What stands between a heading and the next one of the same level.
inline std::string Section(const std::string& page,
                           const std::string& heading) {
  const size_t begin = page.find("\n" + heading + "\n");
  EXPECT_NE(begin, std::string::npos) << heading;
  if (begin == std::string::npos) return "";
  const size_t body = begin + heading.size() + 2;
  const size_t end = page.find("\n## ", body);
  return page.substr(body, end == std::string::npos ? end : end - body);
}

// The cells of the first table's rows, without its head.
inline std::vector<std::vector<std::string>> TableOf(
    const std::string& section) {
  std::vector<std::vector<std::string>> rows;
  bool in_table = false;
  for (const std::string& line : Lines(section)) {
    if (!line.starts_with("|")) {
      if (in_table) break;
      continue;
    }
    in_table = true;
    std::vector<std::string> cells;
    std::stringstream rest(line.substr(1));
    for (std::string cell; std::getline(rest, cell, '|');) {
      const size_t begin = cell.find_first_not_of(' ');
      const size_t end = cell.find_last_not_of(' ');
      cells.push_back(begin == std::string::npos
                          ? ""
                          : cell.substr(begin, end - begin + 1));
    }
    rows.push_back(cells);
  }
  EXPECT_GE(rows.size(), 2u);
  rows.erase(rows.begin(), rows.begin() + std::min<long>(2, rows.size()));
  return rows;
}

// The text of the nth block between ``` lines.
inline std::string Block(const std::string& section, size_t n) {
  size_t at = 0;
  for (size_t i = 0;; ++i) {
    at = section.find("```\n", at);
    EXPECT_NE(at, std::string::npos);
    if (at == std::string::npos) return "";
    at += 4;
    const size_t end = section.find("```\n", at);
    EXPECT_NE(end, std::string::npos);
    if (i == n || end == std::string::npos) return section.substr(at, end - at);
    at = end + 4;
  }
}

}  // namespace kvd
