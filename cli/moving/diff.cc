// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/moving/compare.h"
#include "cli/moving/options.h"
#include "cli/records/dump_source.h"
#include "cli/records/interrupt.h"
#include "cli/servers/other_types.h"
#include "cli/servers/peer.h"
#include "cli/servers/server_source.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

// One of the two: a dump, or a server.
struct Operand {
  std::unique_ptr<Peer> peer;  // None of a dump.
  OtherTypes others;
  std::unique_ptr<RecordSource> source;
};

class Diff final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Word("A", &a_,
                   "a dump, whatever its format, or - for standard input; or "
                   "the socket of kvd or Redis, or HOST:PORT");
    arguments.Word("B", &b_, "the other one");
    login_.Declare(arguments);
  }

  Attempt<ExitCode> Run(Session& session) override {
    if (a_ == "-" && b_ == "-") {
      return Refuse(ExitCode::kUsage, "only one can be standard input");
    }
    const InterruptCatcher catcher;
    Operand a;
    Operand b;
    KVD_TRY(Open(session, a_, &a));
    KVD_TRY(Open(session, b_, &b));
    CompareOptions options = {.database = session.options().db};
    // Two dumps are the same at any time.
    if (a.peer != nullptr || b.peer != nullptr) {
      options.now_ms = kvd::SystemClock().WallMs();
    }
    for (const Operand* operand : {&a, &b}) {
      if (operand->peer != nullptr && !operand->peer->knows_deadlines()) {
        options.exact_deadlines = false;
      }
    }
    RecordSorter of_a;
    RecordSorter of_b;
    KVD_TRY(Collect(a.source.get(), options, &of_a));
    KVD_TRY(Collect(b.source.get(), options, &of_b));
    KVD_TRY_ASSIGN(
        const Compared compared,
        Compare(&of_a, &of_b, options,
                [&](const Difference& difference, const Record& record) {
                  Print(session, difference, record);
                  return Attempt<void>();
                }));
    PrintSummary(session, compared);
    // What cannot be compared is not equal.
    const std::string left_out =
        a.others.Report("not compared") + b.others.Report("not compared");
    WriteError(left_out);
    return compared.is_equal() && left_out.empty() ? ExitCode::kOk
                                                   : ExitCode::kNegative;
  }

 private:
  Attempt<void> Open(Session& session, const std::string& place,
                     Operand* operand) const {
    const std::optional<int64_t> database = session.options().db;
    struct stat status = {};
    const bool there = ::stat(place.c_str(), &status) == 0;
    const bool is_server =
        there ? S_ISSOCK(status.st_mode) : !ParseAddress(place).host.empty();
    if (!is_server) {
      KVD_TRY_ASSIGN(
          operand->source,
          DumpSource::Open(place, {.database = database.value_or(0)}));
      return {};
    }
    KVD_TRY_ASSIGN(operand->peer, login_.Connect(session.options(), place));
    KVD_TRY_ASSIGN(operand->source, ServerSource::Open(operand->peer.get(),
                                                       {.database = database},
                                                       &operand->others));
    return {};
  }

  static void Print(Session& session, const Difference& difference,
                    const Record& record) {
    const int64_t database = record.database.value_or(0);
    const std::string what = difference.value && difference.deadline
                                 ? "value and deadline"
                             : difference.value ? "value"
                                                : "deadline";
    const char* side = difference.side == Side::kOnlyA ? "A" : "B";
    if (session.json()) {
      JsonObject json;
      json.Bytes("key", record.key).Integer("db", database);
      if (difference.side == Side::kBoth) {
        json.Bytes("different", what);
      } else {
        json.Bytes("only_in", side);
      }
      session.output().Write(json.Line());
      return;
    }
    const std::string where =
        database == 0 ? "" : fmt::format("  (database {})", database);
    session.output().Write(
        difference.side == Side::kBoth
            ? fmt::format("different {}{}: {}\n", Quote(record.key), where,
                          what)
            : fmt::format("only in {} {}{}\n", side, Quote(record.key), where));
  }

  static void PrintSummary(Session& session, const Compared& compared) {
    session.output().Write(
        session.json()
            ? JsonObject()
                  .Integer("equal", compared.equal)
                  .Integer("different", compared.different)
                  .Integer("only_in_a", compared.only_a)
                  .Integer("only_in_b", compared.only_b)
                  .Line()
            : fmt::format("{} equal, {} different, {} only in A, {} only in "
                          "B\n",
                          Grouped(compared.equal), Grouped(compared.different),
                          Grouped(compared.only_a), Grouped(compared.only_b)));
  }

  std::string a_;
  std::string b_;
  LoginOptions login_;
};

}  // namespace

std::unique_ptr<Verb> MakeDiff() { return std::make_unique<Diff>(); }

}  // namespace kvctl
