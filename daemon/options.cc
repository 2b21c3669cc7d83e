// SPDX-License-Identifier: MIT
#include "daemon/options.h"

#include <CLI/CLI.hpp>

#include "daemon/service.h"

namespace kvd {
namespace {

constexpr char kExitCodes[] =
    "Exit codes:\n"
    "  0 stopped as asked           1 cannot start (socket, permissions)\n"
    "  2 usage or configuration     3 the data directory is held by another\n"
    "  7 damage                     8 format not known\n"
    "  9 disk fault while running";

std::variant<Options, ExitCode> Parse(CLI::App& app, int argc,
                                      const char* const* argv) {
  Options options;
  std::string data_dir;
  std::string socket;
  app.set_version_flag("--version", std::string("kvd ") + kVersion);
  app.footer(kExitCodes);
  CLI::Option* config =
      app.add_option("--config", options.config_path, "Configuration file")
          ->type_name("FILE")
          ->capture_default_str();
  app.add_option("--data-dir", data_dir, "Overrides data_dir")
      ->type_name("DIR");
  app.add_option("--socket", socket, "Overrides socket.path")
      ->type_name("PATH");
  app.add_option("--set", options.overrides,
                 "Overrides a setting, e.g. limits.value_size=128MiB")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->allow_extra_args(false)
      ->take_all();
  app.add_subcommand("run", "Serve clients (the default)")->fallthrough();
  CLI::App* check =
      app.add_subcommand("check-config", "Check the configuration and exit")
          ->fallthrough();
  CLI::App* verify =
      app.add_subcommand("verify",
                         "Read every byte of a data directory that no daemon "
                         "uses and report damage")
          ->fallthrough();
  verify->add_option("DIR", options.directory, "The data directory")
      ->required();
  app.require_subcommand(0, 1);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? ExitCode::kStopped : ExitCode::kUsage;
  }
  options.config_named = config->count() > 0;
  if (!data_dir.empty()) options.overrides.push_back("data_dir=" + data_dir);
  if (!socket.empty()) options.overrides.push_back("socket.path=" + socket);
  if (check->parsed()) options.action = Options::Action::kCheckConfig;
  if (verify->parsed()) options.action = Options::Action::kVerify;
  return options;
}

}  // namespace

std::variant<Options, ExitCode> ParseOptions(int argc,
                                             const char* const* argv) {
  CLI::App app("kvd, a durable key-value store for the processes of one host",
               "kvd");
  return Parse(app, argc, argv);
}

Result<Config> LoadSettings(const Options& options) {
  auto config = LoadConfig(options.config_path, options.overrides);
  // The file that nobody asked for may be missing: the defaults are complete.
  if (!config && !options.config_named &&
      config.error().code() == ErrorCode::kNotFound) {
    return LoadConfig("", options.overrides);
  }
  return config;
}

}  // namespace kvd
