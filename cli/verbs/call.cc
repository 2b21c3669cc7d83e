// SPDX-License-Identifier: MIT
#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/reply_text.h"
#include "cli/session.h"
#include "cli/verbs/verb.h"

namespace kvd {
namespace {

class Call final : public Verb {
 public:
  void Declare(Arguments&) override {}

  bool TakeRest(const std::vector<std::string>& words) override {
    words_ = words;
    return true;
  }

  Attempt<ExitCode> Run(Session& session) override {
    if (words_.empty()) {
      return Refuse(ExitCode::kUsage,
                    "call: COMMAND is missing"
                    "\n  See:  kvctl call --help");
    }
    const std::vector<std::string_view> words(words_.begin(), words_.end());
    KVD_TRY_ASSIGN(const Reply reply, session.Call(words));
    session.output().Write(session.json() ? ToJson(reply) + "\n"
                           : session.output().is_terminal()
                               ? DescribeReply(reply)
                               : PlainReply(reply));
    return ExitCode::kOk;
  }

 private:
  std::vector<std::string> words_;
};

}  // namespace

std::unique_ptr<Verb> MakeCall() { return std::make_unique<Call>(); }

}  // namespace kvd
