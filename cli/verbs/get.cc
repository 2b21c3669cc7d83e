// SPDX-License-Identifier: MIT
#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/key_state.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

class Get final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Word("KEY", &key_, "the key");
    arguments.Flag("--raw", &raw_, "exact bytes, on a terminal too");
    arguments.Flag("--hex", &hex_, "the value in hexadecimal digits");
    arguments.Flag("--base64", &base64_, "the value in base64");
  }

  Attempt<ExitCode> Run(Session& session) override {
    if (raw_ + hex_ + base64_ + session.json() > 1) {
      return Refuse(ExitCode::kUsage,
                    "only one of --raw, --hex, --base64 and --json");
    }
    if (session.json()) return PrintJson(session);
    KVD_TRY_ASSIGN(const kvd::Reply reply, session.Call({"GET", key_}));
    if (reply.is_null()) return NoSuchKey(key_);
    if (!reply.is_text()) return UnforeseenReply("GET");
    session.output().Write(Shown(reply.text, session.output().is_terminal()));
    return ExitCode::kOk;
  }

 private:
  std::string Shown(const std::string& value, bool is_terminal) const {
    if (hex_) return Hex(value) + "\n";
    if (base64_) return Base64(value) + "\n";
    if (raw_ || !is_terminal) return value;
    const std::string text = Escape(value, /*keep_lines=*/true);
    return text.ends_with('\n') ? text : text + "\n";
  }

  Attempt<ExitCode> PrintJson(Session& session) {
    KVD_TRY_ASSIGN(const std::optional<KeyState> state,
                   ReadKeyState(session, key_));
    if (!state) return NoSuchKey(key_);
    session.output().Write(JsonObject()
                               .Bytes("key", key_)
                               .Bytes("value", state->value)
                               .Integer("rev", state->meta.revision)
                               .Ttl("ttl_ms", state->meta.ttl_ms)
                               .Line());
    return ExitCode::kOk;
  }

  std::string key_;
  bool raw_ = false;
  bool hex_ = false;
  bool base64_ = false;
};

}  // namespace

std::unique_ptr<Verb> MakeGet() { return std::make_unique<Get>(); }

}  // namespace kvctl
