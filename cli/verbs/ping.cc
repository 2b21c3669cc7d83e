// SPDX-License-Identifier: MIT
#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

class Ping final : public Verb {
 public:
  void Declare(Arguments&) override {}

  Attempt<ExitCode> Run(Session& session) override {
    // kvd answers PING even while it loads.
    KVD_TRY(session.AwaitLoaded());
    KVD_TRY_ASSIGN(const kvd::Reply reply, session.Call({"PING"}));
    if (!reply.is_text()) return UnforeseenReply("PING");
    session.output().Write(session.json()
                               ? JsonObject().Bytes("reply", reply.text).Line()
                               : Escape(reply.text) + "\n");
    return ExitCode::kOk;
  }
};

}  // namespace

std::unique_ptr<Verb> MakePing() { return std::make_unique<Ping>(); }

}  // namespace kvctl
