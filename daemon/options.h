// SPDX-License-Identifier: MIT
//
// kvd's command line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "config/config.h"
#include "daemon/exit_code.h"

namespace kvd {

inline constexpr char kDefaultConfigPath[] = "/etc/kvd/kvd.toml";

struct Options {
  enum class Action {
    kRun,
    kCheckConfig,
    kVerify,
    kRestore,
    kInspect,
    kSalvage
  };

  Action action = Action::kRun;
  std::string config_path = kDefaultConfigPath;
  bool config_named = false;           // By the user: the file must exist.
  std::vector<std::string> overrides;  // "name=value", the last one counts.
  std::string directory;               // Of all but kRun and kCheckConfig.
  std::vector<std::string> backups;    // For kRestore, oldest first.
  std::string new_directory;           // For kSalvage.
  bool json = false;                   // For kInspect and kSalvage.
  bool records = false;                // For kInspect.
  std::optional<std::string> key;      // For kInspect.
  bool uncertain = false;              // For kSalvage.
};

// What the arguments ask for. Or, when that is help, the version or nonsense,
// the exit code after having answered on stdout or stderr.
// `program` is what it is called there.
std::variant<Options, ExitCode> ParseOptions(int argc, const char* const* argv,
                                             std::string_view program = "kvd");

// To be called when all is printed on stdout: `code`, or kLocalIo if all went
// well until what was printed could not be written.
ExitCode Printed(ExitCode code);

struct Settings {
  Config config;
  std::string file;  // Empty: the default one is not there.
};
// What these options lead to.
Result<Settings> LoadSettings(const Options& options);

}  // namespace kvd
