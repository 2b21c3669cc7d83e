// SPDX-License-Identifier: MIT
#include "cli/servers/other_types.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <system_error>

#include "cli/json.h"
#include "cli/text.h"

namespace kvctl {

Attempt<void> OtherTypes::ListIn(const std::string& path) {
  path_ = path;
  file_.Reset(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!file_) {
    return Refuse(ExitCode::kLocalIo, "cannot write {}: {}", Escape(path),
                  std::generic_category().message(errno));
  }
  output_.emplace(file_.get());
  return {};
}

void OtherTypes::Add(int64_t database, const std::string& key,
                     const std::string& type) {
  ++count_;
  ++by_type_[type];
  if (named_.size() < kNamedMax) named_.push_back(Quote(key));
  if (!output_) return;
  output_->Write(JsonObject()
                     .Bytes("key", key)
                     .Bytes("type", type)
                     .Integer("db", database)
                     .Line());
}

Attempt<void> OtherTypes::Flush() {
  if (output_) return output_->Flush();
  return {};
}

std::string OtherTypes::Report(std::string_view not_what) const {
  if (count_ == 0) return "";
  std::vector<std::string> types;
  for (const auto& [type, count] : by_type_) {
    types.push_back(Grouped(count) + " " + Escape(type));
  }
  const std::string what =
      fmt::format("{}, since they are no strings: {} ({})", not_what,
                  count_ == 1 ? "1 key" : Grouped(count_) + " keys",
                  fmt::join(types, ", "));
  if (is_listed()) return fmt::format("{}; see {}\n", what, Escape(path_));
  const bool all = static_cast<size_t>(count_) == named_.size();
  return fmt::format("{}\n  {}{}\n", what, fmt::join(named_, " "),
                     all ? "" : " …   List all of them:  --skipped FILE");
}

}  // namespace kvctl
