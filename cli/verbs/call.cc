// SPDX-License-Identifier: MIT
#include <strings.h>

#include <optional>

#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/reply_text.h"
#include "cli/session.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

class Call final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Verbatim("COMMAND", &words_,
                       "the command and its arguments, sent as they are; "
                       "options of kvctl go before it");
  }

  Attempt<ExitCode> Run(Session& session) override {
    if (words_.empty()) {
      return Refuse(ExitCode::kUsage,
                    "call: COMMAND is missing"
                    "\n  See:  kvctl call --help");
    }
    const std::vector<std::string_view> words(words_.begin(), words_.end());
    if (IsShutdown()) return ShutDown(session, words);
    KVD_TRY_ASSIGN(const kvd::Reply reply, session.Call(words));
    Print(session, reply);
    return ExitCode::kOk;
  }

 private:
  static void Print(Session& session, const kvd::Reply& reply) {
    session.output().Write(session.json() ? ToJson(reply) + "\n"
                           : session.output().is_terminal()
                               ? DescribeReply(reply)
                               : PlainReply(reply));
  }

  bool IsShutdown() const {
    return strcasecmp(words_[0].c_str(), "shutdown") == 0;
  }

  // kvd answers by closing the connection.
  static Attempt<ExitCode> ShutDown(Session& session, Session::Words words) {
    KVD_TRY_ASSIGN(const std::optional<kvd::Reply> reply,
                   session.CallUntilClosed(words));
    if (reply) Print(session, *reply);
    return ExitCode::kOk;
  }

  std::vector<std::string> words_;
};

}  // namespace

std::unique_ptr<Verb> MakeCall() { return std::make_unique<Call>(); }

}  // namespace kvctl
