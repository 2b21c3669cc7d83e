// SPDX-License-Identifier: MIT
#include "daemon/program.h"

#include <cstdio>

#include "base/standard_streams.h"
#include "daemon/config_check.h"
#include "daemon/offline.h"
#include "daemon/options.h"
#include "daemon/run.h"

namespace {

kvd::ExitCode Main(int argc, const char* const* argv,
                   kvd::OpenSharedStore open_shared) {
  const auto parsed = kvd::ParseOptions(argc, argv);
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
  const auto settings = kvd::LoadSettings(options);
  if (!settings) {
    std::fprintf(stderr, "kvd: %s\n", settings.error().message().c_str());
    return kvd::ExitCode::kUsage;
  }
  if (options.action == kvd::Options::Action::kCheckConfig) {
    const auto checked = kvd::CheckConfig(settings->config);
    if (!checked) {
      std::fprintf(stderr, "kvd: %s\n", checked.error().message().c_str());
      return kvd::ExitCode::kUsage;
    }
    if (settings->file.empty()) {
      std::printf("no %s: the defaults are fine\n", kvd::kDefaultConfigPath);
    } else {
      std::printf("%s is fine\n", settings->file.c_str());
    }
    return kvd::Printed(kvd::ExitCode::kStopped);
  }
  return kvd::RunDaemon(*settings, open_shared);
}

}  // namespace

namespace kvd {

int RunProgram(int argc, const char* const* argv, OpenSharedStore open_shared) {
  if (!KeepStandardStreams()) return static_cast<int>(ExitCode::kCannotStart);
  return static_cast<int>(Main(argc, argv, open_shared));
}

}  // namespace kvd
