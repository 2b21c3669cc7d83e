// SPDX-License-Identifier: MIT
#include "cli/records/checkpoint.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>

#include "cli/text.h"

namespace kvctl {
namespace {

using Json = nlohmann::json;

// Calls visit(name, member) for each member of the file.
template <typename Subject, typename Visit>
void ForEachField(Subject& checkpoint, Visit visit) {
  visit("task", checkpoint.task);
  visit("records", checkpoint.records);
  visit("bytes", checkpoint.bytes);
  visit("input_bytes", checkpoint.input_bytes);
  visit("input_checksum", checkpoint.input_checksum);
  visit("run_id", checkpoint.run_id);
  visit("database", checkpoint.database);
  visit("cursor", checkpoint.cursor);
  visit("output_bytes", checkpoint.output_bytes);
}

bool Take(const Json& json, std::string* value) {
  if (!json.is_string()) return false;
  *value = json.get<std::string>();
  return true;
}

bool Take(const Json& json, int64_t* value) {
  if (!json.is_number_integer()) return false;
  *value = json.get<int64_t>();
  return true;
}

tl::unexpected<Failure> CannotWrite(const std::string& path,
                                    const std::string& why) {
  return Refuse(ExitCode::kLocalIo, "cannot write {}: {}", Escape(path), why);
}

}  // namespace

Attempt<std::optional<Checkpoint>> LoadCheckpoint(const std::string& path) {
  std::error_code fault;
  if (!std::filesystem::exists(path, fault)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  Checkpoint checkpoint;
  bool good = json.is_object();
  if (good) {
    ForEachField(checkpoint, [&](const char* name, auto& member) {
      const auto found = json.find(name);
      good = good && found != json.end() && Take(*found, &member);
    });
  }
  if (good) return checkpoint;
  return Refuse(ExitCode::kUsage,
                "{} does not say how far an import or export is"
                "\n  Name a file that is not there, or remove it to begin anew",
                Escape(path));
}

Attempt<void> SaveCheckpoint(const std::string& path,
                             const Checkpoint& checkpoint) {
  Json json;
  ForEachField(checkpoint, [&](const char* name, const auto& member) {
    json[name] = member;
  });
  const std::string next = path + ".new";
  std::ofstream file(next, std::ios::binary | std::ios::trunc);
  file << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  file.close();
  if (!file) {
    return CannotWrite(next, std::generic_category().message(errno));
  }
  std::error_code fault;
  std::filesystem::rename(next, path, fault);
  if (fault) return CannotWrite(path, fault.message());
  return {};
}

Attempt<void> RemoveCheckpoint(const std::string& path) {
  std::error_code fault;
  std::filesystem::remove(path, fault);
  if (fault) return CannotWrite(path, fault.message());
  return {};
}

}  // namespace kvctl
