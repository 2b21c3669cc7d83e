// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

class Subscribe final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Words("CHANNEL", &names_, /*required=*/true,
                    "the channels, or with -p patterns of channels");
    arguments.Flag("-p,--patterns", &patterns_,
                   "the words are patterns such as 'news.*'");
    arguments.Integer("-n,--count", "N", 1, std::numeric_limits<int64_t>::max(),
                      &count_, "end after N messages (default: never)");
  }

  Attempt<ExitCode> Run(Session& session) override {
    std::vector<std::string_view> words{patterns_ ? "PSUBSCRIBE" : "SUBSCRIBE"};
    words.insert(words.end(), names_.begin(), names_.end());
    // The reply confirms the first name; the others come like messages.
    KVD_TRY_ASSIGN(const kvd::Reply first, session.Call(words));
    if (!first.is_aggregate()) return UnforeseenReply(words[0]);
    for (int64_t got = 0; !count_ || got < *count_;) {
      KVD_TRY_ASSIGN(const kvd::Reply reply, session.ReceiveAtAnyTime());
      if (!Print(session, reply)) continue;
      // A person watches, or a program reads line by line.
      KVD_TRY(session.output().Flush());
      ++got;
    }
    return ExitCode::kOk;
  }

 private:
  // False if it is no message.
  static bool Print(Session& session, const kvd::Reply& reply) {
    const size_t count = reply.elements.size();
    if (count < 3) return false;
    const bool by_pattern = reply.elements[0].text == "pmessage" && count == 4;
    if (!by_pattern && reply.elements[0].text != "message") return false;
    const std::string& channel = reply.elements[count - 2].text;
    const std::string& message = reply.elements[count - 1].text;
    if (!session.json()) {
      session.output().Write(
          fmt::format("{} {}\n", Escape(channel), Escape(message)));
      return true;
    }
    JsonObject json;
    json.Bytes("channel", channel).Bytes("message", message);
    if (by_pattern) json.Bytes("pattern", reply.elements[1].text);
    session.output().Write(json.Line());
    return true;
  }

  std::vector<std::string> names_;
  bool patterns_ = false;
  std::optional<int64_t> count_;
};

}  // namespace

std::unique_ptr<Verb> MakeSubscribe() { return std::make_unique<Subscribe>(); }

}  // namespace kvctl
