// SPDX-License-Identifier: MIT
#include <chrono>
#include <limits>

#include "cli/command_line.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/key_state.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

using std::chrono::milliseconds;

class Set final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    constexpr milliseconds kSecond{1000};
    constexpr milliseconds kMillisecond{1};
    arguments.Word("KEY", &key_, "the key");
    arguments.OptionalWord("VALUE", &value_,
                           "the value; without it, or with -, it is read from "
                           "standard input, a pipe or a file (next to options "
                           "like --nx with - only)");
    arguments.Text("--file", "PATH", &file_, "read the value from a file");
    arguments.Duration("--ttl,--ex", kSecond, &ttl_,
                       "how long the key lives; a number alone is in seconds");
    arguments.Duration("--px", kMillisecond, &px_,
                       "the same; a number alone is in milliseconds");
    arguments.Flag("--keep-ttl", &keep_ttl_, "keep the key's time to live");
    arguments.Flag("--nx", &nx_, "only if the key does not exist");
    arguments.Flag("--xx", &xx_, "only if the key exists");
    arguments.Integer(
        "--ifrev", "REV", 0, std::numeric_limits<int64_t>::max(), &if_revision_,
        "only if the key is at this revision; 0: if there is none");
  }

  Attempt<ExitCode> Run(Session& session) override {
    KVD_TRY(CheckOptions());
    KVD_TRY_ASSIGN(const std::string value, TakeValue());
    std::vector<std::string_view> words = {"KV.SET", key_, value};
    if (nx_) words.push_back("NX");
    if (xx_) words.push_back("XX");
    if (keep_ttl_) words.push_back("KEEPTTL");
    std::string ttl;
    if (const std::optional<milliseconds> lives = px_ ? px_ : ttl_) {
      ttl = std::to_string(lives->count());
      words.insert(words.end(), {"PX", ttl});
    }
    std::string revision;
    if (if_revision_) {
      revision = std::to_string(*if_revision_);
      words.insert(words.end(), {"IFREV", revision});
    }
    KVD_TRY_ASSIGN(const kvd::Reply reply, session.Call(words));
    if (reply.is_null()) return ConditionFailed(session);
    if (reply.type != kvd::ReplyType::kInteger)
      return UnforeseenReply("KV.SET");
    session.output().Write(session.json()
                               ? JsonObject()
                                     .Bytes("key", key_)
                                     .Integer("rev", reply.integer)
                                     .Line()
                               : fmt::format("OK  rev {}\n", reply.integer));
    return ExitCode::kOk;
  }

 private:
  Attempt<void> CheckOptions() const {
    if ((value_.word || value_.asks_for_input) && file_) {
      return Refuse(ExitCode::kUsage, "either VALUE or --file, not both");
    }
    if (nx_ && xx_) return Refuse(ExitCode::kUsage, "either --nx or --xx");
    if (ttl_.has_value() + px_.has_value() + keep_ttl_ > 1) {
      return Refuse(ExitCode::kUsage, "only one of --ttl, --px and --keep-ttl");
    }
    if ((px_ ? px_ : ttl_) == milliseconds(0)) {
      return Refuse(ExitCode::kUsage, "a key lives for at least a millisecond");
    }
    return {};
  }

  Attempt<std::string> TakeValue() {
    if (file_) return ReadFile(*file_);
    if (value_.word) return std::move(*value_.word);
    if (!value_.asks_for_input) KVD_TRY(CheckNoWordIsLost());
    if (StandardInputIsStream()) return ReadStandardInput();
    return Refuse(
        ExitCode::kUsage,
        "set: VALUE is missing, and standard input is {}"
        "\n  Give it:  kvctl set KEY VALUE"
        "\n  or:       kvctl set KEY --file PATH"
        "\n  or:       command | kvctl set KEY",
        StandardInputIsTerminal() ? "a terminal" : "neither a pipe nor a file");
  }

  // A script's key or value may look like an option. Then a word is missing,
  // and whatever is on standard input must not become the value.
  Attempt<void> CheckNoWordIsLost() const {
    if (value_.option_instead.empty()) return {};
    const std::string option = Escape(value_.option_instead);
    return Refuse(ExitCode::kUsage,
                  "set: VALUE is missing, or was \"{0}\" meant to be one?"
                  "\n  As a key or a value:    kvctl set -- KEY VALUE"
                  "\n  From standard input:    kvctl set {1} - {0}",
                  option, Escape(key_));
  }

  // Looks at the key again to say which condition failed. The key may have
  // changed since then, but the write stays refused.
  Attempt<ExitCode> ConditionFailed(Session& session) {
    constexpr std::string_view kNothing = "; nothing was written";
    KVD_TRY_ASSIGN(const std::optional<KeyMeta> meta,
                   ReadKeyMeta(session, key_));
    if (!meta) return NoSuchKey(key_, kNothing);
    if (if_revision_ && *if_revision_ != 0) {
      return Refuse(ExitCode::kNegative, "{} is at rev {}, not {}{}",
                    Escape(key_), meta->revision, *if_revision_, kNothing);
    }
    return Refuse(ExitCode::kNegative, "{} exists, at rev {}{}", Escape(key_),
                  meta->revision, kNothing);
  }

  std::string key_;
  WordOrInput value_;
  std::optional<std::string> file_;
  std::optional<milliseconds> ttl_;
  std::optional<milliseconds> px_;
  bool keep_ttl_ = false;
  bool nx_ = false;
  bool xx_ = false;
  std::optional<int64_t> if_revision_;
};

}  // namespace

std::unique_ptr<Verb> MakeSet() { return std::make_unique<Set>(); }

}  // namespace kvctl
