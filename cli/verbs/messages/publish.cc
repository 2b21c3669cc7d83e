// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <string>

#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

class Publish final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Word("CHANNEL", &channel_, "the channel");
    arguments.Word("MESSAGE", &message_, "what its subscribers get");
  }

  Attempt<ExitCode> Run(Session& session) override {
    KVD_TRY_ASSIGN(const kvd::Reply reply,
                   session.Call({"PUBLISH", channel_, message_}));
    if (reply.type != kvd::ReplyType::kInteger) {
      return UnforeseenReply("PUBLISH");
    }
    session.output().Write(session.json()
                               ? JsonObject()
                                     .Bytes("channel", channel_)
                                     .Integer("subscribers", reply.integer)
                                     .Line()
                               : fmt::format("{}\n", reply.integer));
    return ExitCode::kOk;
  }

 private:
  std::string channel_;
  std::string message_;
};

}  // namespace

std::unique_ptr<Verb> MakePublish() { return std::make_unique<Publish>(); }

}  // namespace kvctl
