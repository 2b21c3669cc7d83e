// SPDX-License-Identifier: MIT
#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/verbs/key_state.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

class Persist final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Word("KEY", &key_, "the key");
  }

  Attempt<ExitCode> Run(Session& session) override {
    KVD_TRY_ASSIGN(const kvd::Reply reply, session.Call({"PERSIST", key_}));
    if (reply.type != kvd::ReplyType::kInteger)
      return UnforeseenReply("PERSIST");
    if (reply.integer == 0) {
      // Either it has no deadline, which is just as good, or it does not exist.
      KVD_TRY_ASSIGN(const kvd::Reply exists, session.Call({"EXISTS", key_}));
      if (exists.integer == 0) return NoSuchKey(key_);
    }
    session.output().Write(
        session.json() ? JsonObject().Bytes("key", key_).Null("ttl_ms").Line()
                       : "OK\n");
    return ExitCode::kOk;
  }

 private:
  std::string key_;
};

}  // namespace

std::unique_ptr<Verb> MakePersist() { return std::make_unique<Persist>(); }

}  // namespace kvctl
