// SPDX-License-Identifier: MIT
#include "daemon/offline.h"

#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "fs/posix_file_system.h"
#include "salvage/inspect.h"
#include "salvage/report.h"
#include "salvage/salvage.h"

namespace kvd {
namespace {

ExitCode Fails(const Error& error) {
  std::fprintf(stderr, "kvd: %s\n", error.message().c_str());
  return error.code() == ErrorCode::kInvalid ||
                 error.code() == ErrorCode::kNotFound
             ? ExitCode::kUsage
             : ExitCodeOf(error);
}

void PrintLine(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
}

// A directory, or one of its files.
struct Target {
  std::string directory;
  std::string file;
};

Target TargetOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || S_ISDIR(info.st_mode)) {
    return {path, ""};
  }
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

// An empty directory, made if need be, that this process holds.
Result<std::unique_ptr<Directory>> OpenNew(const std::string& path) {
  KVD_TRY_ASSIGN(
      std::unique_ptr<Directory> directory,
      OpenPosixDirectory(path, {.create = true, .private_only = true}));
  KVD_TRY_ASSIGN(const std::vector<std::string> names, directory->List());
  const bool empty = std::all_of(
      names.begin(), names.end(),
      [](const std::string& name) { return name == kLockFileName; });
  if (!empty) {
    return Fail(ErrorCode::kInvalid,
                "{}: is not empty; name a directory that is empty or not there",
                path);
  }
  KVD_TRY(directory->Lock());
  return directory;
}

Result<SalvageReport> RunSalvageOf(const Options& options) {
  KVD_TRY_ASSIGN(const std::unique_ptr<Directory> from,
                 OpenPosixDirectory(options.directory, {.read_only = true}));
  KVD_TRY(from->Lock());
  KVD_TRY_ASSIGN(const std::unique_ptr<Directory> to,
                 OpenNew(options.new_directory));
  SystemClock clock;
  SalvageOptions salvage;
  salvage.uncertain = options.uncertain;
  salvage.now_ms = static_cast<uint64_t>(clock.WallMs());
  return Salvage(*from, *to, salvage);
}

}  // namespace

ExitCode RunInspect(const Options& options) {
  const Target target = TargetOf(options.directory);
  auto directory = OpenPosixDirectory(target.directory, {.read_only = true});
  if (!directory) return Fails(directory.error());
  InspectOptions inspect;
  inspect.json = options.json;
  inspect.records = options.records;
  inspect.key = options.key;
  const Result<void> shown =
      Inspect(**directory, target.file, inspect, PrintLine);
  if (!shown) {
    (void)Printed(ExitCode::kStopped);
    return Fails(shown.error());
  }
  return Printed(ExitCode::kStopped);
}

ExitCode RunSalvage(const Options& options) {
  std::signal(SIGXFSZ, SIG_IGN);
  const Result<SalvageReport> report = RunSalvageOf(options);
  if (!report) return Fails(report.error());
  const ReportNames names = {options.directory, options.new_directory,
                             options.uncertain};
  const std::vector<std::string> lines = options.json
                                             ? ReportInJson(*report, names)
                                             : ReportInWords(*report, names);
  for (const std::string& line : lines) PrintLine(line);
  return Printed(report->complete() ? ExitCode::kStopped : ExitCode::kDamage);
}

}  // namespace kvd
