// SPDX-License-Identifier: MIT
#include "cli/command_line.h"
#include "cli/session.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

class Help final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.OptionalWord("COMMAND", &command_,
                           "the command (default: an overview of all)");
  }

  Attempt<ExitCode> Run(Session& session) override {
    KVD_TRY_ASSIGN(const std::string text, HelpText(command_.value_or("")));
    session.output().Write(text);
    return ExitCode::kOk;
  }

 private:
  std::optional<std::string> command_;
};

}  // namespace

std::unique_ptr<Verb> MakeHelp() { return std::make_unique<Help>(); }

}  // namespace kvctl
