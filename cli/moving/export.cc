// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/moving/move.h"
#include "cli/moving/options.h"
#include "cli/moving/report.h"
#include "cli/moving/sorted_source.h"
#include "cli/moving/verify.h"
#include "cli/output.h"
#include "cli/records/dump_sink.h"
#include "cli/servers/other_types.h"
#include "cli/servers/server_sink.h"
#include "cli/servers/server_source.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

class Export final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.OptionalWord("PATTERN", &pattern_,
                           "only keys that match, such as user:*");
    arguments.Text("--prefix", "PREFIX", &prefix_,
                   "only keys that begin with this");
    arguments.Text("-o,--output", "FILE", &output_,
                   "write there (default: -, standard output); compressed if "
                   "the name ends in .zst");
    arguments.Text("--format", "FORMAT", &format_,
                   "json, csv or resp (default: as FILE's name ends, or json)");
    arguments.Flag("--revisions", &revisions_, "with each key's revision");
    arguments.Flag("--sort", &sort_,
                   "in the order of the keys; takes room in $TMPDIR");
    arguments.Text("--to-redis", "PLACE", &to_redis_,
                   "copy to a running Redis or Valkey instead, at a socket's "
                   "path or HOST:PORT, then compare");
    login_.Declare(arguments);
    arguments.Flag("--no-verify", &no_verify_,
                   "with --to-redis: do not compare afterwards");
    existing_.Declare(arguments);
    arguments.Text("--resume-file", "STATE", &resume_file_,
                   "remember there how far it is; the same command goes on "
                   "from there");
  }

  Attempt<ExitCode> Run(Session& session) override {
    KVD_TRY_ASSIGN(const KeySelection selection,
                   SelectKeys(pattern_, prefix_, session.options()));
    if (sort_ && resume_file_) {
      return Refuse(ExitCode::kUsage, "either --sort or --resume-file");
    }
    return to_redis_ ? ToRedis(session, selection) : ToDump(session, selection);
  }

 private:
  Attempt<ExitCode> ToDump(Session& session, const KeySelection& selection) {
    KVD_TRY(CheckDumpOptions());
    KVD_TRY_ASSIGN(const DumpFormat format, Format(session));
    KVD_TRY_ASSIGN(const std::unique_ptr<Peer> kvd,
                   ConnectOwn(session.options()));
    OtherTypes others;  // kvd has none.
    KVD_TRY_ASSIGN(std::unique_ptr<ServerSource> keys,
                   ServerSource::Open(kvd.get(), selection, &others));
    const std::string path = output_.value_or("-");
    KVD_TRY_ASSIGN(const std::unique_ptr<DumpSink> sink,
                   DumpSink::Open(path, format,
                                  {.revisions = revisions_,
                                   .databases = keys->has_databases()}));
    std::unique_ptr<RecordSource> source = std::move(keys);
    if (sort_) source = std::make_unique<SortedSource>(std::move(source));
    const std::string task = TaskName(
        fmt::format("export to {} as {}", path, NameOf(format)), selection);
    KVD_TRY_ASSIGN(const Moved moved,
                   Move(source.get(), sink.get(), Options(task)));
    // Standard output is for the records.
    WriteError(session.json() ? SummaryJson(moved).Line()
                              : Summary(moved, "exported") + "\n");
    return ExitCode::kOk;
  }

  Attempt<void> CheckDumpOptions() const {
    if (login_.user || login_.password_file || no_verify_ ||
        existing_.replace || existing_.skip_existing || existing_.if_empty ||
        existing_.dry_run) {
      return Refuse(ExitCode::kUsage,
                    "--user, --password-file, --no-verify, --replace, "
                    "--skip-existing, --if-empty and --dry-run go with "
                    "--to-redis");
    }
    if (resume_file_ && output_.value_or("-") == "-") {
      return Refuse(ExitCode::kUsage,
                    "--resume-file needs a file to go on with:  -o FILE");
    }
    return {};
  }

  Attempt<DumpFormat> Format(Session& session) const {
    DumpFormat format = DumpFormat::kJson;
    if (format_) {
      KVD_TRY_ASSIGN(format, FormatByName(*format_));
    } else if (output_) {
      format = FormatByFileName(*output_).value_or(DumpFormat::kJson);
    }
    if (format != DumpFormat::kResp) return format;
    if (revisions_) {
      return Refuse(ExitCode::kUsage, "resp has no room for --revisions");
    }
    if (!output_ && session.output().is_terminal()) {
      return Refuse(ExitCode::kUsage,
                    "resp is not for a terminal\n  Write a file:  -o FILE");
    }
    return format;
  }

  Attempt<ExitCode> ToRedis(Session& session, const KeySelection& selection) {
    if (output_ || format_ || revisions_ || sort_) {
      return Refuse(ExitCode::kUsage,
                    "--output, --format, --revisions and --sort do not go "
                    "with --to-redis");
    }
    KVD_TRY(existing_.Check());
    KVD_TRY_ASSIGN(const std::unique_ptr<Peer> kvd,
                   ConnectOwn(session.options()));
    OtherTypes others;
    KVD_TRY_ASSIGN(const std::unique_ptr<ServerSource> source,
                   ServerSource::Open(kvd.get(), selection, &others));
    KVD_TRY_ASSIGN(const std::unique_ptr<Peer> redis,
                   login_.Connect(session.options(), *to_redis_));
    KVD_TRY(existing_.CheckEmpty(redis.get(), resume_file_));
    ServerSink sink(redis.get(), existing_.choice());
    const std::string task = TaskName("export to " + *to_redis_, selection);
    KVD_TRY_ASSIGN(const Moved moved, Move(source.get(), &sink, Options(task)));
    ServerReport report = {.done_word = DoneWord(),
                           .moved = moved,
                           .existing = existing_.choice(),
                           .existing_count = sink.existing(),
                           .others = others,
                           .verified = {}};
    if (!no_verify_ && existing_.choice() == Existing::kReplace) {
      KVD_TRY_ASSIGN(report.verified,
                     Verify(kvd.get(), redis.get(), selection));
    }
    return PrintReport(session, report);
  }

  const char* DoneWord() const {
    return existing_.dry_run ? "counted" : "exported";
  }

  MoveOptions Options(const std::string& task) const {
    return {.done_word = DoneWord(),
            .task = existing_.dry_run ? task + ", counting" : task,
            .resume_file = resume_file_};
  }

  std::optional<std::string> pattern_;
  std::optional<std::string> prefix_;
  std::optional<std::string> output_;
  std::optional<std::string> format_;
  bool revisions_ = false;
  bool sort_ = false;
  std::optional<std::string> to_redis_;
  LoginOptions login_;
  bool no_verify_ = false;
  ExistingOptions existing_;
  std::optional<std::string> resume_file_;
};

}  // namespace

std::unique_ptr<Verb> MakeExport() { return std::make_unique<Export>(); }

}  // namespace kvctl
