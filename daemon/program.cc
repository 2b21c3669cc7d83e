// SPDX-License-Identifier: MIT
#include "daemon/program.h"

#include <cstdio>
#include <string>
#include <vector>

#include "base/standard_streams.h"
#include "daemon/backend_settings.h"
#include "daemon/config_check.h"
#include "daemon/offline.h"
#include "daemon/options.h"
#include "daemon/run.h"

namespace {

kvd::ExitCode RefuseConfig(const kvd::Error& error) {
  std::fprintf(stderr, "kvd: %s\n", error.message().c_str());
  return kvd::ExitCode::kUsage;
}

kvd::ExitCode ReportConfig(const kvd::Settings& settings,
                           const std::vector<std::string>& remarks) {
  const auto checked = kvd::CheckConfig(settings.config);
  if (!checked) return RefuseConfig(checked.error());
  if (settings.file.empty()) {
    std::printf("no %s: the defaults are fine\n", kvd::kDefaultConfigPath);
  } else {
    std::printf("%s is fine\n", settings.file.c_str());
  }
  for (const std::string& remark : remarks) {
    std::printf("  %s\n", remark.c_str());
  }
  return kvd::Printed(kvd::ExitCode::kStopped);
}

kvd::ExitCode Main(int argc, const char* const* argv,
                   const kvd::SharedStores* shared) {
  const auto parsed = shared == nullptr
                          ? kvd::ParseOptions(argc, argv)
                          : kvd::ParseOptions(argc, argv, shared->program);
  if (const auto* code = std::get_if<kvd::ExitCode>(&parsed)) return *code;
  const auto& options = std::get<kvd::Options>(parsed);
  if (options.action == kvd::Options::Action::kVerify) {
    return kvd::RunVerify(options.directory);
  }
  if (options.action == kvd::Options::Action::kRestore) {
    return kvd::RunRestore(options.backups, options.directory);
  }
  if (options.action == kvd::Options::Action::kInspect) {
    return kvd::RunInspect(options);
  }
  if (options.action == kvd::Options::Action::kSalvage) {
    return kvd::RunSalvage(options);
  }
  auto settings = kvd::LoadSettings(options);
  if (!settings) return RefuseConfig(settings.error());
  const auto backend = kvd::CheckBackend(settings->config, shared);
  if (!backend) return RefuseConfig(backend.error());
  std::vector<std::string> remarks = kvd::AdaptToBackend(&settings->config);
  remarks.insert(remarks.end(), backend->begin(), backend->end());
  if (options.action == kvd::Options::Action::kCheckConfig) {
    return ReportConfig(*settings, remarks);
  }
  return kvd::RunDaemon(*settings, remarks,
                        shared == nullptr ? nullptr : shared->open);
}

}  // namespace

namespace kvd {

int RunProgram(int argc, const char* const* argv, const SharedStores* shared) {
  if (!KeepStandardStreams()) return static_cast<int>(ExitCode::kCannotStart);
  return static_cast<int>(Main(argc, argv, shared));
}

}  // namespace kvd
