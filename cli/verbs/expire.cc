// SPDX-License-Identifier: MIT
#include <chrono>

#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/verbs/key_state.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

using std::chrono::milliseconds;

class Expire final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Word("KEY", &key_, "the key");
    arguments.Duration("DURATION", milliseconds(1000), &ttl_,
                       "how long it still lives, such as 90s, 5m or 1h30m; a "
                       "number alone is in seconds");
  }

  Attempt<ExitCode> Run(Session& session) override {
    if (*ttl_ == milliseconds(0)) {
      return Refuse(ExitCode::kUsage,
                    "a key lives for at least a millisecond"
                    "\n  Delete it:  kvctl del KEY");
    }
    const std::string ms = std::to_string(ttl_->count());
    KVD_TRY_ASSIGN(const kvd::Reply reply, session.Call({"PEXPIRE", key_, ms}));
    if (reply.type != kvd::ReplyType::kInteger)
      return UnforeseenReply("PEXPIRE");
    if (reply.integer == 0) return NoSuchKey(key_);
    session.output().Write(session.json()
                               ? JsonObject()
                                     .Bytes("key", key_)
                                     .Integer("ttl_ms", ttl_->count())
                                     .Line()
                               : "OK\n");
    return ExitCode::kOk;
  }

 private:
  std::string key_;
  std::optional<milliseconds> ttl_;
};

}  // namespace

std::unique_ptr<Verb> MakeExpire() { return std::make_unique<Expire>(); }

}  // namespace kvctl
