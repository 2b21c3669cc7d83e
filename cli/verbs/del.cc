// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <limits>

#include "cli/command_line.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/key_state.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

using kvd::Reply;
using kvd::ReplyType;

// Keys per DEL when many go.
constexpr size_t kKeysPerCommand = 1000;

std::string Keys(size_t count) {
  return Grouped(static_cast<int64_t>(count)) + (count == 1 ? " key" : " keys");
}

class Del final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Words("KEY", &keys_, /*required=*/false, "the keys");
    arguments.Integer("--ifrev", "REV", 1, std::numeric_limits<int64_t>::max(),
                      &if_revision_, "only if the key is at this revision");
    arguments.Text("--prefix", "PREFIX", &prefix_,
                   "all keys that begin with this; asks first");
    arguments.Flag("--yes", &yes_, "do not ask");
    arguments.Flag("--dry-run", &dry_run_, "only count");
  }

  Attempt<ExitCode> Run(Session& session) override {
    if (keys_.empty() == !prefix_) {
      return Refuse(ExitCode::kUsage,
                    "del: either KEY or --prefix is needed"
                    "\n  See:  kvctl del --help");
    }
    if (if_revision_ && (prefix_ || keys_.size() != 1)) {
      return Refuse(ExitCode::kUsage, "--ifrev is for one KEY");
    }
    if (dry_run_ && !prefix_) {
      return Refuse(ExitCode::kUsage, "--dry-run goes with --prefix");
    }
    if (prefix_) return DeletePrefix(session);
    if (if_revision_) return DeleteRevision(session);
    KVD_TRY_ASSIGN(const int64_t deleted, DeleteAll(session, keys_));
    if (deleted == 0 && keys_.size() == 1) return NoSuchKey(keys_[0]);
    PrintCount(session, "deleted", deleted);
    return deleted > 0 ? ExitCode::kOk : ExitCode::kNegative;
  }

 private:
  Attempt<ExitCode> DeleteRevision(Session& session) {
    const std::string revision = std::to_string(*if_revision_);
    KVD_TRY_ASSIGN(const Reply reply,
                   session.Call({"KV.DEL", keys_[0], "IFREV", revision}));
    if (reply.is_null()) {
      constexpr std::string_view kNothing = "; nothing was deleted";
      KVD_TRY_ASSIGN(const std::optional<KeyMeta> meta,
                     ReadKeyMeta(session, keys_[0]));
      if (!meta) return NoSuchKey(keys_[0]);
      return Refuse(ExitCode::kNegative, "{} is at rev {}, not {}{}",
                    Escape(keys_[0]), meta->revision, *if_revision_, kNothing);
    }
    if (reply.type != ReplyType::kInteger) return UnforeseenReply("KV.DEL");
    session.output().Write(session.json()
                               ? JsonObject()
                                     .Bytes("key", keys_[0])
                                     .Integer("rev", reply.integer)
                                     .Line()
                               : fmt::format("OK  rev {}\n", reply.integer));
    return ExitCode::kOk;
  }

  Attempt<ExitCode> DeletePrefix(Session& session) {
    std::vector<std::string> found;
    KVD_TRY(session.ForEachPage(
        *prefix_, [&](const Session::Page& page) -> Attempt<bool> {
          found.insert(found.end(), page.begin(), page.end());
          return true;
        }));
    // SCAN may name a key twice.
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    if (dry_run_) {
      PrintCount(session, "would_delete", static_cast<int64_t>(found.size()));
      return ExitCode::kOk;
    }
    if (!found.empty()) KVD_TRY(Confirm(found.size()));
    KVD_TRY_ASSIGN(const int64_t deleted, DeleteAll(session, found));
    PrintCount(session, "deleted", deleted);
    return ExitCode::kOk;
  }

  Attempt<void> Confirm(size_t count) const {
    if (yes_) return {};
    if (!StandardInputIsTerminal()) {
      return Refuse(ExitCode::kUsage,
                    "not deleting {} that begin with {} without asking"
                    "\n  Delete them:  --yes    Count them:  --dry-run",
                    Keys(count), Quote(*prefix_));
    }
    WriteError(fmt::format("Delete {} that begin with {}? [y/N] ", Keys(count),
                           Quote(*prefix_)));
    const int answer = std::getchar();
    if (answer == 'y' || answer == 'Y') return {};
    return Refuse(ExitCode::kNegative, "nothing was deleted");
  }

  Attempt<int64_t> DeleteAll(Session& session,
                             const std::vector<std::string>& keys) const {
    int64_t deleted = 0;
    for (size_t begin = 0; begin < keys.size(); begin += kKeysPerCommand) {
      const size_t end = std::min(begin + kKeysPerCommand, keys.size());
      std::vector<std::string_view> words = {"DEL"};
      words.insert(words.end(), keys.begin() + static_cast<ptrdiff_t>(begin),
                   keys.begin() + static_cast<ptrdiff_t>(end));
      KVD_TRY_ASSIGN(const Reply reply, session.Call(words));
      if (reply.type != ReplyType::kInteger) return UnforeseenReply("DEL");
      deleted += reply.integer;
    }
    return deleted;
  }

  static void PrintCount(Session& session, std::string_view name,
                         int64_t count) {
    const bool would = name == "would_delete";
    session.output().Write(session.json()
                               ? JsonObject().Integer(name, count).Line()
                               : fmt::format("{} {}\n",
                                             would ? "would delete" : "deleted",
                                             Grouped(count)));
  }

  std::vector<std::string> keys_;
  std::optional<int64_t> if_revision_;
  std::optional<std::string> prefix_;
  bool yes_ = false;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Verb> MakeDel() { return std::make_unique<Del>(); }

}  // namespace kvctl
