// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "cli/failure.h"
#include "cli/output.h"

namespace kvctl {

// Keys that cannot be copied, since their values are no strings: counted by
// type, the first ones named, all of them listed in a file if there is one.
class OtherTypes {
 public:
  // The names kept for the report.
  static constexpr size_t kNamedMax = 10;

  // Lists each key in a file, as JSON lines of "key", "type" and "db".
  Attempt<void> ListIn(const std::string& path);
  void Add(int64_t database, const std::string& key, const std::string& type);
  // Everything is in the file.
  Attempt<void> Flush();

  int64_t count() const { return count_; }
  bool is_listed() const { return output_.has_value(); }
  // "not copied, as no strings: 3 keys (2 list, 1 hash) …", or "".
  std::string Report(std::string_view not_what) const;

 private:
  int64_t count_ = 0;
  std::map<std::string, int64_t> by_type_;
  std::vector<std::string> named_;
  std::string path_;
  kvd::UniqueFd file_;
  std::optional<Output> output_;
};

}  // namespace kvctl
