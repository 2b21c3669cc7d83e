// SPDX-License-Identifier: MIT
#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

class Exists final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Words("KEY", &keys_, /*required=*/true,
                    "the keys; success if all of them exist");
  }

  Attempt<ExitCode> Run(Session& session) override {
    std::vector<std::string_view> words = {"EXISTS"};
    words.insert(words.end(), keys_.begin(), keys_.end());
    KVD_TRY_ASSIGN(const kvd::Reply reply, session.Call(words));
    if (reply.type != kvd::ReplyType::kInteger)
      return UnforeseenReply("EXISTS");
    session.output().Write(
        session.json() ? JsonObject().Integer("exist", reply.integer).Line()
                       : std::to_string(reply.integer) + "\n");
    const bool all = static_cast<size_t>(reply.integer) == keys_.size();
    return all ? ExitCode::kOk : ExitCode::kNegative;
  }

 private:
  std::vector<std::string> keys_;
};

}  // namespace

std::unique_ptr<Verb> MakeExists() { return std::make_unique<Exists>(); }

}  // namespace kvctl
