// SPDX-License-Identifier: MIT
#include <chrono>
#include <thread>

#include "cli/command_line.h"
#include "cli/duration.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/status/status_fields.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

constexpr std::chrono::milliseconds kLookEvery{100};
class Compact final : public Verb {
 public:
  void Declare(Arguments&) override {}

  Attempt<ExitCode> Run(Session& session) override {
    KVD_TRY_ASSIGN(const kvd::Reply run, session.Call({"KV.COMPACT"}));
    if (run.type != kvd::ReplyType::kInteger)
      return UnforeseenReply("KV.COMPACT");
    ProgressBar bar;
    while (true) {
      KVD_TRY_ASSIGN(const kvd::Reply reply, session.Call({"KV.STATUS"}));
      if (!reply.is_aggregate()) return UnforeseenReply("KV.STATUS");
      StatusFields status(reply);
      if (status.Integer("compaction_runs").value_or(0) >= run.integer) {
        return Report(session, status);
      }
      Draw(status, &bar);
      std::this_thread::sleep_for(kLookEvery);
    }
  }

 private:
  static void Draw(StatusFields& status, ProgressBar* bar) {
    const int64_t done = status.Integer("compaction_done_bytes").value_or(0);
    const int64_t all = status.Integer("compaction_all_bytes").value_or(0);
    if (all <= 0) return;
    bar->Draw(done, all,
              fmt::format("{} of {}", HumanBytes(done), HumanBytes(all)));
  }

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
