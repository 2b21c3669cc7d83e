// SPDX-License-Identifier: MIT
//
// What salvage says: in words, and as JSON lines.
#pragma once

#include <string>
#include <vector>

#include "salvage/salvage.h"

namespace kvd {

struct ReportNames {
  std::string from;
  std::string to;
  bool uncertain = false;  // Keys that are uncertain were taken, too.
};

// Names at most kKeysInWords keys of each kind.
inline constexpr size_t kKeysInWords = 50;

std::vector<std::string> ReportInWords(const SalvageReport& report,
                                       const ReportNames& names);
// All of it; the last line is a summary.
std::vector<std::string> ReportInJson(const SalvageReport& report,
                                      const ReportNames& names);

}  // namespace kvd
