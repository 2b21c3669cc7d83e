// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "cli/command_line.h"
#include "cli/duration.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/status_fields.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

constexpr std::chrono::milliseconds kLookEvery{100};
constexpr int kBarWidth = 40;

// A progress bar: one line on standard error, if that is a terminal.
class Bar {
 public:
  ~Bar() {
    if (drawn_) WriteError("\r\x1b[K");
  }

  void Draw(int64_t done, int64_t all) {
    if (isatty(STDERR_FILENO) == 0 || all <= 0) return;
    drawn_ = true;
    const int64_t share = std::min<int64_t>(done, all) * 100 / all;
    const auto filled = static_cast<size_t>(share * kBarWidth / 100);
    std::string bar(kBarWidth, ' ');
    bar.replace(0, filled, filled, '#');
    WriteError(fmt::format("\r[{}] {:3}%  {} of {}\x1b[K", bar, share,
                           HumanBytes(done), HumanBytes(all)));
  }

 private:
  bool drawn_ = false;
};

class Compact final : public Verb {
 public:
  void Declare(Arguments&) override {}

  Attempt<ExitCode> Run(Session& session) override {
    KVD_TRY_ASSIGN(const kvd::Reply run, session.Call({"KV.COMPACT"}));
    if (run.type != kvd::ReplyType::kInteger)
      return UnforeseenReply("KV.COMPACT");
    Bar bar;
    while (true) {
      KVD_TRY_ASSIGN(const kvd::Reply reply, session.Call({"KV.STATUS"}));
      if (!reply.is_aggregate()) return UnforeseenReply("KV.STATUS");
      StatusFields status(reply);
      if (status.Integer("compaction_runs").value_or(0) >= run.integer) {
        return Report(session, status);
      }
      bar.Draw(status.Integer("compaction_done_bytes").value_or(0),
               status.Integer("compaction_all_bytes").value_or(0));
      std::this_thread::sleep_for(kLookEvery);
    }
  }

 private:
  static Attempt<ExitCode> Report(Session& session, StatusFields& status) {
    const std::string error = status.Text("compaction_last_error").value_or("");
    if (!error.empty()) {
      return Refuse(ExitCode::kServerError,
                    "compaction gave up, nothing was lost: {}", error);
    }
    const int64_t reclaimed =
        status.Integer("compaction_last_reclaimed_bytes").value_or(0);
    const int64_t took_ms =
        status.Integer("compaction_last_took_ms").value_or(0);
    session.output().Write(
        session.json()
            ? JsonObject()
                  .Integer("reclaimed_bytes", reclaimed)
                  .Integer("took_ms", took_ms)
                  .Line()
            : fmt::format("reclaimed {} in {}\n", HumanBytes(reclaimed),
                          FormatDuration(std::chrono::milliseconds(took_ms))));
    return ExitCode::kOk;
  }
};

}  // namespace

std::unique_ptr<Verb> MakeCompact() { return std::make_unique<Compact>(); }

}  // namespace kvctl
