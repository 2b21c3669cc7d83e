// SPDX-License-Identifier: MIT
#include <algorithm>
#include <limits>
#include <utility>

#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/key_state.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

class Ls final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.OptionalWord("PREFIX", &prefix_,
                           "only keys that begin with this");
    arguments.Integer("-n,--limit", "N", 0, std::numeric_limits<int64_t>::max(),
                      &limit_, "print at most N keys");
  }

  Attempt<ExitCode> Run(Session& session) override {
    left_ = limit_.value_or(std::numeric_limits<int64_t>::max());
    if (left_ == 0) return ExitCode::kOk;
    KVD_TRY(session.ForEachPage(
        prefix_.value_or(""), [&](const Session::Page& page) -> Attempt<bool> {
          if (session.json()) {
            KVD_TRY(PrintMeta(session, page));
          } else {
            PrintKeys(session, page);
          }
          // No need to go on when this cannot be written.
          KVD_TRY(session.output().Flush());
          return left_ > 0;
        }));
    return ExitCode::kOk;
  }

 private:
  void PrintKeys(Session& session, const Session::Page& page) {
    const bool is_terminal = session.output().is_terminal();
    for (const std::string& key : page) {
      if (left_ == 0) return;
      --left_;
      session.output().Write(is_terminal ? Escape(key) : key);
      session.output().Write("\n");
    }
  }

  Attempt<void> PrintMeta(Session& session, const Session::Page& page) {
    // Several rounds if keys that were found are gone, and a limit is set.
    for (size_t begin = 0; begin < page.size() && left_ > 0;) {
      const size_t left = static_cast<size_t>(left_);
      const size_t end = begin + std::min(page.size() - begin, left);
      KVD_TRY(PrintMeta(session, std::span(page).subspan(begin, end - begin)));
      begin = end;
    }
    return {};
  }

  Attempt<void> PrintMeta(Session& session, std::span<const std::string> keys) {
    std::vector<std::vector<std::string_view>> commands;
    for (const std::string& key : keys) {
      commands.push_back({"KV.GET", key, "META"});
    }
    KVD_TRY_ASSIGN(const std::vector<kvd::Reply> replies,
                   session.CallAll(commands));
    for (size_t i = 0; i < replies.size(); ++i) {
      KVD_TRY_ASSIGN(const std::optional<KeyMeta> meta, ToKeyMeta(replies[i]));
      if (!meta) continue;  // Deleted or expired since it was found.
      session.output().Write(JsonObject()
                                 .Bytes("key", keys[i])
                                 .Integer("rev", meta->revision)
                                 .Integer("size", meta->size)
                                 .Ttl("ttl_ms", meta->ttl_ms)
                                 .Line());
      --left_;
    }
    return {};
  }

  std::optional<std::string> prefix_;
  std::optional<int64_t> limit_;
  int64_t left_ = 0;
};

}  // namespace

std::unique_ptr<Verb> MakeLs() { return std::make_unique<Ls>(); }

}  // namespace kvctl
