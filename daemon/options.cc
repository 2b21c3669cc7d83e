// SPDX-License-Identifier: MIT
#include "daemon/options.h"

#include <fmt/format.h>

#include <cstdio>
#include <iterator>

#include "base/arguments.h"
#include "daemon/state/server_state.h"

namespace kvd {
namespace {

constexpr char kAbout[] =
    "kvd, a durable key-value store for the processes of one host";
constexpr char kSharedAbout[] =
    "kvd with its data in etcd, where storage.backend says so";

// Behind what it is, and "Usage: …".
constexpr char kHelp[] =
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
    "  inspect DIR|FILE  show what stands in a data directory, or in one of "
    "its\n"
    "                    files, damaged or not; beside a running kvd, too\n"
    "    --records       groups, records and the entries of hints, too\n"
    "    --key KEY       with --records: those of this key alone\n"
    "    --json          a JSON object a line\n"
    "  salvage DIR NEWDIR\n"
    "                    make a new store, in a directory that is empty or "
    "not\n"
    "                    there, of all that can be read of a damaged one, and\n"
    "                    report what was lost; DIR stays as it is\n"
    "    --uncertain     take keys that perhaps changed or were deleted, too\n"
    "    --json          a JSON object a line\n"
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
  kSet,
  kJson,
  kRecords,
  kKey,
  kUncertain
};
constexpr OptionName kNames[] = {
    {"-h", false},      {"--help", false},     {"--version", false},
    {"--config", true}, {"--data-dir", true},  {"--socket", true},
    {"--set", true},    {"--json", false},     {"--records", false},
    {"--key", true},    {"--uncertain", false}};
static_assert(std::size(kNames) == kUncertain + 1);

std::string HelpOf(std::string_view program) {
  return fmt::format("{}\nUsage: {} [OPTIONS] [COMMAND]\n{}",
                     program == "kvd" ? kAbout : kSharedAbout, program, kHelp);
}

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
    case kJson:
      line->options.json = true;
      break;
    case kRecords:
      line->options.records = true;
      break;
    case kKey:
      line->options.key = value;
      break;
    case kUncertain:
      line->options.uncertain = true;
      break;
    default:
      break;
  }
}

bool TakesDirectory(const Options& options) {
  return options.action != Options::Action::kRun &&
         options.action != Options::Action::kCheckConfig;
}

// A word behind the command.
Result<void> TakeOperand(std::string_view word, Line* line) {
  Options& options = line->options;
  if (options.action == Options::Action::kRestore) {
    if (word.empty()) {
      return Fail(ErrorCode::kInvalid, "restore: the name of a file is empty");
    }
    options.backups.emplace_back(word);
    return {};
  }
  const bool salvages = options.action == Options::Action::kSalvage;
  std::string* operand = nullptr;
  if (TakesDirectory(options) && options.directory.empty()) {
    operand = &options.directory;
  } else if (salvages && options.new_directory.empty()) {
    operand = &options.new_directory;
  }
  if (operand == nullptr) {
    return Fail(ErrorCode::kInvalid, "unexpected argument \"{}\"", word);
  }
  if (word.empty()) {
    return Fail(ErrorCode::kInvalid, "{}: the name of {} is empty",
                line->command,
                operand == &options.directory ? "DIR" : "NEWDIR");
  }
  *operand = word;
  return {};
}

Result<void> TakeWord(const Argument& argument, Line* line) {
  const std::string_view word = argument.text;
  Options& options = line->options;
  if (!argument.after_dashes && word.size() > 1 && word[0] == '-') {
    return Fail(ErrorCode::kInvalid,
                "unknown option {} (a directory of that name: ./{})", word,
                word);
  }
  if (!line->command.empty()) return TakeOperand(word, line);
  line->command = word;
  if (word == "run") return {};
  if (word == "check-config") {
    options.action = Options::Action::kCheckConfig;
  } else if (word == "verify") {
    options.action = Options::Action::kVerify;
  } else if (word == "restore") {
    options.action = Options::Action::kRestore;
  } else if (word == "inspect") {
    options.action = Options::Action::kInspect;
  } else if (word == "salvage") {
    options.action = Options::Action::kSalvage;
  } else {
    return Fail(ErrorCode::kInvalid,
                "unknown command \"{}\": run, check-config, verify, restore, "
                "inspect or salvage",
                word);
  }
  return {};
}

// The words of restore are files, but for the last one.
Result<void> TakeLastAsDirectory(Options* options) {
  if (options->action != Options::Action::kRestore) return {};
  std::vector<std::string>& words = options->backups;
  if (words.size() < 2) {
    return Fail(ErrorCode::kInvalid, "restore: {} missing",
                words.empty() ? "FILE and DIR are" : "DIR is");
  }
  options->directory = std::move(words.back());
  words.pop_back();
  return {};
}

// Options of some commands alone, and words that are missing.
Result<void> CheckCommand(const Line& line) {
  const Options& options = line.options;
  const bool inspects = options.action == Options::Action::kInspect;
  const bool salvages = options.action == Options::Action::kSalvage;
  if ((options.records || options.key) && !inspects) {
    return Fail(ErrorCode::kInvalid, "--records and --key belong to inspect");
  }
  if (options.key && !options.records) {
    return Fail(ErrorCode::kInvalid, "--key needs --records");
  }
  if (options.uncertain && !salvages) {
    return Fail(ErrorCode::kInvalid, "--uncertain belongs to salvage");
  }
  if (options.json && !inspects && !salvages) {
    return Fail(ErrorCode::kInvalid, "--json belongs to inspect and salvage");
  }
  if (TakesDirectory(options) && options.directory.empty()) {
    return Fail(ErrorCode::kInvalid, "{}: DIR is missing", line.command);
  }
  if (salvages && options.new_directory.empty()) {
    return Fail(ErrorCode::kInvalid, "salvage: NEWDIR is missing");
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
  if (!line.asks_help && !line.asks_version) {
    KVD_TRY(TakeLastAsDirectory(&line.options));
    KVD_TRY(CheckCommand(line));
  }
  return line;
}

}  // namespace

std::variant<Options, ExitCode> ParseOptions(int argc, const char* const* argv,
                                             std::string_view program) {
  Result<Line> line = ReadLine(argc, argv);
  if (!line) {
    const std::string text = fmt::format("{0}: {1}\n  See:  {0} --help\n",
                                         program, line.error().message());
    std::fputs(text.c_str(), stderr);
    return ExitCode::kUsage;
  }
  if (line->asks_help || line->asks_version) {
    const std::string text = line->asks_help
                                 ? HelpOf(program)
                                 : fmt::format("{} {}\n", program, kVersion);
    std::fputs(text.c_str(), stdout);
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
