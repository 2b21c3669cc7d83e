// SPDX-License-Identifier: MIT
#include <chrono>

#include "cli/command_line.h"
#include "cli/duration.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/verbs/key_state.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

// PTTL's answer for a key that does not exist.
constexpr int64_t kNoKey = -2;

class Ttl final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Word("KEY", &key_, "the key");
  }

  Attempt<ExitCode> Run(Session& session) override {
    KVD_TRY_ASSIGN(const kvd::Reply reply, session.Call({"PTTL", key_}));
    if (reply.type != kvd::ReplyType::kInteger) return UnforeseenReply("PTTL");
    const int64_t ms = reply.integer;
    if (ms == kNoKey) return NoSuchKey(key_);
    session.output().Write(
        session.json()
            ? JsonObject().Bytes("key", key_).Ttl("ttl_ms", ms).Line()
            : (ms < 0 ? std::string("lives for ever")
                      : FormatDuration(std::chrono::milliseconds(ms))) +
                  "\n");
    return ExitCode::kOk;
  }

 private:
  std::string key_;
};

}  // namespace

std::unique_ptr<Verb> MakeTtl() { return std::make_unique<Ttl>(); }

}  // namespace kvctl
