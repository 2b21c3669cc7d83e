// SPDX-License-Identifier: MIT
#include "daemon/options.h"

#include <fmt/format.h>

#include <cstdio>
#include <iterator>

#include "base/arguments.h"
#include "daemon/state/server_state.h"

namespace kvd {
namespace {

constexpr char kHelp[] =
    "kvd, a durable key-value store for the processes of one host\n"
    "Usage: kvd [OPTIONS] [run | check-config | verify DIR |\n"
    "                      restore FILE... DIR]\n"
    "\n"
    "Options:\n"
    "  -h,--help         print this help\n"
    "  --version         print the version\n"
    "  --config FILE     the configuration; by default /etc/kvd/kvd.toml,\n"
    "                    if it is there\n"
    "  --data-dir DIR    overrides data_dir\n"
    "  --socket PATH     overrides socket.path\n"
    "  --set NAME=VALUE  overrides a setting, e.g. limits.value_size=128MiB;\n"
    "                    may be repeated\n"
    "\n"
    "Commands:\n"
    "  run               serve clients (the default)\n"
    "  check-config      say whether \"run\" would take the configuration\n"
    "  verify DIR        read every byte of a data directory that no daemon\n"
    "                    uses, and report damage\n"
    "  restore FILE... DIR\n"
    "                    make the data directory DIR, which is new or empty, "
    "out\n"
    "                    of a backup of \"kvctl backup\" and the incremental "
    "ones\n"
    "                    on top of it; \"-\" is standard input. Run it as the\n"
    "                    user that kvd runs as\n"
    "\n"
    "Exit codes:\n"
    "  0 stopped as asked           1 cannot start (socket, permissions)\n"
    "  2 usage or configuration     3 another kvd uses the data directory\n"
    "  7 the data is damaged        8 the data has an unknown format\n"
    "  9 the disk failed, had no room for a start or a stop, or the data\n"
    "    directory went away\n"
    " 74 the output cannot be written\n";

enum Name {
  kHelpShort,
  kHelpLong,
  kVersionLong,
  kConfig,
  kDataDir,
  kSocket,
  kSet
};
constexpr OptionName kNames[] = {{"-h", false},        {"--help", false},
                                 {"--version", false}, {"--config", true},
                                 {"--data-dir", true}, {"--socket", true},
                                 {"--set", true}};
static_assert(std::size(kNames) == kSet + 1);

// What was given, as far as it is understood.
struct Line {
  Options options;
  std::string command;
  std::string data_dir;
  std::string socket;
  bool asks_help = false;
  bool asks_version = false;
};

void TakeOption(const Argument& argument, Line* line) {
  const std::string value(argument.text);
  switch (argument.option) {
    case kHelpShort:
    case kHelpLong:
      line->asks_help = true;
      break;
    case kVersionLong:
      line->asks_version = true;
      break;
    case kConfig:
      line->options.config_path = value;
      line->options.config_named = true;
      break;
    case kDataDir:
      line->data_dir = value;
      break;
    case kSocket:
      line->socket = value;
      break;
    case kSet:
      line->options.overrides.push_back(value);
      break;
    default:
      break;
  }
}

Result<void> TakeWord(const Argument& argument, Line* line) {
  const std::string_view word = argument.text;
  Options& options = line->options;
  if (!argument.after_dashes && word.size() > 1 && word[0] == '-') {
    return Fail(ErrorCode::kInvalid,
                "unknown option {} (a directory of that name: ./{})", word,
                word);
  }
  if (line->command == "restore") {
    if (word.empty()) {
      return Fail(ErrorCode::kInvalid, "restore: the name of a file is empty");
    }
    options.backups.emplace_back(word);
    return {};
  }
  if (!line->command.empty()) {
    if (line->command != "verify" || !options.directory.empty()) {
      return Fail(ErrorCode::kInvalid, "unexpected argument \"{}\"", word);
    }
    if (word.empty()) {
      return Fail(ErrorCode::kInvalid, "verify: the name of DIR is empty");
    }
    options.directory = word;
    return {};
  }
  line->command = word;
  if (word == "run") return {};
  if (word == "check-config") {
    options.action = Options::Action::kCheckConfig;
  } else if (word == "verify") {
    options.action = Options::Action::kVerify;
  } else if (word == "restore") {
    options.action = Options::Action::kRestore;
  } else {
    return Fail(ErrorCode::kInvalid,
                "unknown command \"{}\": run, check-config, verify or restore",
                word);
  }
  return {};
}

Result<Line> ReadLine(int argc, const char* const* argv) {
  Line line;
  ArgumentScanner scanner(argc, argv);
  while (!scanner.at_end()) {
    KVD_TRY_ASSIGN(const Argument argument, scanner.Next(kNames));
    if (argument.is_word()) {
      KVD_TRY(TakeWord(argument, &line));
    } else {
      TakeOption(argument, &line);
    }
  }
  if (line.command == "verify" && line.options.directory.empty() &&
      !line.asks_help) {
    return Fail(ErrorCode::kInvalid, "verify: DIR is missing");
  }
  if (line.command == "restore" && !line.asks_help) {
    std::vector<std::string>& words = line.options.backups;
    if (words.size() < 2) {
      return Fail(ErrorCode::kInvalid, "restore: {} missing",
                  words.empty() ? "FILE and DIR are" : "DIR is");
    }
    line.options.directory = std::move(words.back());
    words.pop_back();
  }
  return line;
}

}  // namespace

std::variant<Options, ExitCode> ParseOptions(int argc,
                                             const char* const* argv) {
  Result<Line> line = ReadLine(argc, argv);
  if (!line) {
    std::fprintf(stderr, "kvd: %s\n  See:  kvd --help\n",
                 line.error().message().c_str());
    return ExitCode::kUsage;
  }
  if (line->asks_help || line->asks_version) {
    const std::string version = fmt::format("kvd {}\n", kVersion);
    std::fputs(line->asks_help ? kHelp : version.c_str(), stdout);
    return Printed(ExitCode::kStopped);
  }
  // They win over --set, wherever they stand.
  std::vector<std::string>& overrides = line->options.overrides;
  if (!line->data_dir.empty())
    overrides.push_back("data_dir=" + line->data_dir);
  if (!line->socket.empty()) overrides.push_back("socket.path=" + line->socket);
  return std::move(line->options);
}

ExitCode Printed(ExitCode code) {
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (written || code != ExitCode::kStopped) return code;
  std::fprintf(stderr, "kvd: cannot write the output\n");
  return ExitCode::kLocalIo;
}

Result<Settings> LoadSettings(const Options& options) {
  auto config = LoadConfig(options.config_path, options.overrides);
  if (config) return Settings{std::move(*config), options.config_path};
  // The file that nobody asked for may be missing: the defaults are complete.
  if (options.config_named || config.error().code() != ErrorCode::kNotFound) {
    return Unexpected(config.error());
  }
  KVD_TRY_ASSIGN(Config defaults, LoadConfig("", options.overrides));
  return Settings{std::move(defaults), ""};
}

}  // namespace kvd
