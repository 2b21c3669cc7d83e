// SPDX-License-Identifier: MIT
#include <limits>

#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

class Incr final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    using Limits = std::numeric_limits<int64_t>;
    arguments.Word("KEY", &key_,
                   "the key; one that does not exist counts as 0");
    arguments.Integer("BY", "", Limits::min(), Limits::max(), &by_,
                      "what to add, may be negative (default: 1)");
  }

  Attempt<ExitCode> Run(Session& session) override {
    const std::string by = std::to_string(by_.value_or(1));
    KVD_TRY_ASSIGN(const kvd::Reply reply, session.Call({"INCRBY", key_, by}));
    if (reply.type != kvd::ReplyType::kInteger)
      return UnforeseenReply("INCRBY");
    session.output().Write(session.json()
                               ? JsonObject()
                                     .Bytes("key", key_)
                                     .Integer("value", reply.integer)
                                     .Line()
                               : std::to_string(reply.integer) + "\n");
    return ExitCode::kOk;
  }

 private:
  std::string key_;
  std::optional<int64_t> by_;
};

}  // namespace

std::unique_ptr<Verb> MakeIncr() { return std::make_unique<Incr>(); }

}  // namespace kvctl
