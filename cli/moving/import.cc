// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "cli/command_line.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/moving/move.h"
#include "cli/moving/options.h"
#include "cli/moving/report.h"
#include "cli/moving/verify.h"
#include "cli/records/dump_source.h"
#include "cli/servers/other_types.h"
#include "cli/servers/server_sink.h"
#include "cli/servers/server_source.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

// kvd's databases are 0 to 15; a Redis may have more.
constexpr int64_t kDatabaseMax = 15;

class Import final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.OptionalWord("FILE", &file_,
                           "the dump; without it, or with -, it is read from "
                           "standard input. What is compressed with zstd is "
                           "unpacked");
    arguments.Text("--format", "FORMAT", &format_,
                   "json, csv or resp (default: as the dump begins)");
    arguments.Text("--from-redis", "PLACE", &from_redis_,
                   "copy a running Redis or Valkey, at a socket's path or "
                   "HOST:PORT, then compare");
    arguments.Text("--pattern", "PATTERN", &pattern_,
                   "with --from-redis: only keys that match");
    arguments.Text("--prefix", "PREFIX", &prefix_,
                   "with --from-redis: only keys that begin with this");
    login_.Declare(arguments);
    arguments.Text("--skipped", "FILE", &skipped_,
                   "with --from-redis: list keys of other types there");
    arguments.Flag("--no-verify", &no_verify_,
                   "with --from-redis: do not compare afterwards");
    existing_.Declare(arguments);
    arguments.Text("--resume-file", "STATE", &resume_file_,
                   "remember there how far it is; the same command goes on "
                   "from there");
  }

  Attempt<ExitCode> Run(Session& session) override {
    KVD_TRY(existing_.Check());
    return from_redis_ ? FromRedis(session) : FromDump(session);
  }

 private:
  Attempt<ExitCode> FromDump(Session& session) {
    if (pattern_ || prefix_ || skipped_ || login_.user ||
        login_.password_file || no_verify_) {
      return Refuse(ExitCode::kUsage,
                    "--pattern, --prefix, --user, --password-file, --skipped "
                    "and --no-verify go with --from-redis");
    }
    DumpOptions options = {.database = session.options().db.value_or(0)};
    if (format_) {
      KVD_TRY_ASSIGN(options.format, FormatByName(*format_));
    }
    KVD_TRY_ASSIGN(const std::string path, Path());
    KVD_TRY_ASSIGN(const std::unique_ptr<DumpSource> source,
                   DumpSource::Open(path, options));
    KVD_TRY_ASSIGN(const std::unique_ptr<Peer> kvd,
                   ConnectOwn(session.options()));
    KVD_TRY(existing_.CheckEmpty(kvd.get(), resume_file_));
    ServerSink sink(kvd.get(), existing_.choice());
    const std::string task =
        TaskName("import of " + path, {.database = session.options().db});
    KVD_TRY_ASSIGN(const Moved moved, Move(source.get(), &sink, Options(task)));
    return PrintReport(session, Report(moved, sink, OtherTypes()));
  }

  Attempt<std::string> Path() const {
    if (file_.word) return *file_.word;
    if (file_.asks_for_input) return "-";
    if (StandardInputIsStream()) return "-";
    return Refuse(ExitCode::kUsage,
                  "import: FILE is required: standard input is {}"
                  "\n  See:  kvctl import --help",
                  StandardInputIsTerminal() ? "a terminal" : "no stream");
  }

  Attempt<ExitCode> FromRedis(Session& session) {
    if (file_.word || file_.asks_for_input || format_) {
      return Refuse(ExitCode::kUsage,
                    "either FILE, whose format --format may tell, or "
                    "--from-redis");
    }
    KVD_TRY_ASSIGN(const KeySelection selection,
                   SelectKeys(pattern_, prefix_, session.options()));
    OtherTypes others;
    if (skipped_) KVD_TRY(others.ListIn(*skipped_));
    KVD_TRY_ASSIGN(const std::unique_ptr<Peer> redis,
                   login_.Connect(session.options(), *from_redis_));
    KVD_TRY_ASSIGN(const std::unique_ptr<ServerSource> source,
                   ServerSource::Open(redis.get(), selection, &others));
    KVD_TRY(CheckDatabases(*source, redis->name()));
    KVD_TRY_ASSIGN(const std::unique_ptr<Peer> kvd,
                   ConnectOwn(session.options()));
    KVD_TRY(existing_.CheckEmpty(kvd.get(), resume_file_));
    ServerSink sink(kvd.get(), existing_.choice());
    const std::string task = TaskName("import from " + *from_redis_, selection);
    KVD_TRY_ASSIGN(const Moved moved, Move(source.get(), &sink, Options(task)));
    KVD_TRY(others.Flush());

    ServerReport report = Report(moved, sink, others);
    if (!no_verify_ && existing_.choice() == Existing::kReplace) {
      KVD_TRY_ASSIGN(report.verified,
                     Verify(redis.get(), kvd.get(), selection));
    }
    return PrintReport(session, report);
  }

  static Attempt<void> CheckDatabases(const ServerSource& source,
                                      const std::string& name) {
    for (const auto& [database, keys] : source.databases()) {
      if (database <= kDatabaseMax) continue;
      return Refuse(ExitCode::kUsage,
                    "database {} of {} has {} keys, and kvd has databases 0 "
                    "to {} only; nothing was written"
                    "\n  Copy a single one:  --db N",
                    database, name, Grouped(keys), kDatabaseMax);
    }
    return {};
  }

  const char* DoneWord() const {
    return existing_.dry_run ? "counted" : "imported";
  }

  MoveOptions Options(const std::string& task) const {
    return {.done_word = DoneWord(),
            .task = existing_.dry_run ? task + ", counting" : task,
            .resume_file = resume_file_};
  }

  ServerReport Report(const Moved& moved, const ServerSink& sink,
                      const OtherTypes& others) const {
    return {.done_word = DoneWord(),
            .moved = moved,
            .existing = existing_.choice(),
            .existing_count = sink.existing(),
            .others = others,
            .verified = {}};
  }

  WordOrInput file_;
  std::optional<std::string> format_;
  std::optional<std::string> from_redis_;
  std::optional<std::string> pattern_;
  std::optional<std::string> prefix_;
  LoginOptions login_;
  std::optional<std::string> skipped_;
  bool no_verify_ = false;
  ExistingOptions existing_;
  std::optional<std::string> resume_file_;
};

}  // namespace

std::unique_ptr<Verb> MakeImport() { return std::make_unique<Import>(); }

}  // namespace kvctl
